"""The quickstart's chain as commands of this repository's own programs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.stage import Stage

CONFIGS = Path("configs/quickstart")
ONE = "configs/accelerate/one.yaml"
TWO = "configs/accelerate/cpu_two.yaml"
ZERO2 = "configs/accelerate/cpu_zero2.yaml"
THINK, MERGE = CONFIGS / "think.txt", CONFIGS / "merge.txt"


@dataclass(frozen=True, slots=True)
class Size:
    """What differs between the real quickstart and the smallest run of the same programs."""

    demo: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    sft: tuple[str, ...] = ()
    grpo: tuple[str, ...] = ()
    merge_sft: tuple[str, ...] = ()
    merge_grpo: tuple[str, ...] = ()
    candidates: int = 8
    greedy: tuple[str, ...] = ()
    launch_sft: str = TWO
    launch_grpo: str = TWO


SIZES = {
    "full": Size(),
    # Proves that everything fits together, not that anything is learnt; GRPO runs under DeepSpeed.
    "smallest": Size(
        demo=("--demonstrations", "400", "--audited", "40", "--held_out", "20"),
        model=("--layers", "2", "--width", "64", "--heads", "2", "--key_value_heads", "1"),
        # Enough to write SQL that runs, or there would be nothing to merge.
        sft=("--max_steps", "400", "--learning_rate", "3e-3"),
        grpo=("--max_steps", "2", "--per_device_train_batch_size", "4", "--num_generations", "4"),
        merge_sft=("--max_steps", "2", "--logging_steps", "1"),
        merge_grpo=(
            *("--max_steps", "1", "--per_device_train_batch_size", "4"),
            *("--num_generations", "4"),
        ),
        greedy=("--sampler", "transformers"),
        launch_sft=ONE,
        launch_grpo=ZERO2,
    ),
}


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of a run, named once."""

    output: Path

    def __truediv__(self, name: str) -> Path:
        return self.output / name

    @property
    def demo(self) -> Path:
        return self / "demo"


def stages(output: Path, size: Literal["full", "smallest"], seed: int) -> list[Stage]:
    """All stages in order."""
    paths, chosen = Paths(output), SIZES[size]
    return [
        *_data(paths, chosen, seed),
        *_generator(paths, chosen, seed),
        *_answers(paths, chosen, seed),
        *_merge_model(paths, chosen, seed),
        *_corrective(paths, chosen, seed),
    ]


def _data(paths: Paths, size: Size, seed: int) -> list[Stage]:
    return [
        Stage(
            "demo",
            "Databases, demonstrations, audited and held-out questions",
            (
                *("python", "scripts/demo/make_data.py", "--output", str(paths.demo)),
                *("--seed", str(seed), "--template", str(THINK), "--merge_template", str(MERGE)),
                *size.demo,
            ),
            (paths.demo,),
            (THINK, MERGE),
        ),
        Stage(
            "base",
            "A tiny Qwen2 from random weights, and its tokenizer",
            (
                *("python", "scripts/demo/make_tiny_model.py", "--output", str(paths / "base")),
                *("--corpus", str(paths.demo / "sft.jsonl"), str(paths.demo / "words.jsonl")),
                *("--seed", str(seed), *size.model),
            ),
            (paths / "base",),
        ),
    ]


def _generator(paths: Paths, size: Size, seed: int) -> list[Stage]:
    return [
        _sft(
            "sft", "SFT on the demonstrations", paths, paths.demo / "sft.jsonl", "base", size, seed
        ),
        Stage(
            "rl_rows",
            "GRPO rows from the audited questions",
            (
                *("python", "scripts/prepare_rl.py"),
                *("--questions", str(paths.demo / "rl.jsonl")),
                *("--output", str(paths / "rl.jsonl")),
                *("--template", str(THINK), "--sample_values", "0"),
            ),
            (paths / "rl.jsonl",),
        ),
        _grpo("grpo", "GRPO with rewards from execution", paths, "rl.jsonl", "sft", size, seed),
    ]


def _merge_model(paths: Paths, size: Size, seed: int) -> list[Stage]:
    """Its data are the SFT model's own samples; it starts from the reinforced generator."""
    return [
        _generate("sft", "rl", paths, size, seed),
        Stage(
            "merge_max_rows",
            "Rows for the merge model: two drafts with their results",
            (
                *("python", "scripts/prepare_merge.py"),
                *("--questions", str(paths.demo / "rl.jsonl")),
                *("--candidates", str(paths / "sft_rl_sampled.jsonl")),
                *("--output", str(paths / "merge_sft.jsonl")),
                *("--rl_output", str(paths / "merge_rl.jsonl"), "--seed", str(seed)),
                *("--template", str(MERGE), "--sample_values", "0", "--max_rows", "3"),
            ),
            (paths / "merge_sft.jsonl", paths / "merge_rl.jsonl"),
        ),
        _sft(
            "merge_sft",
            "SFT of the merge model",
            paths,
            paths / "merge_sft.jsonl",
            "grpo",
            size,
            seed,
        ),
        _grpo(
            "merge_grpo",
            "GRPO of the merge model",
            paths,
            "merge_rl.jsonl",
            "merge_sft",
            size,
            seed,
        ),
    ]


def _answers(paths: Paths, size: Size, seed: int) -> list[Stage]:
    return [
        *_greedy("sft", paths, size, seed),
        *_greedy("grpo", paths, size, seed),
        _generate("sft", "test", paths, size, seed),
        _generate("grpo", "test", paths, size, seed),
        _vote("vote", paths / "grpo_test_sampled.jsonl", paths),
    ]


def _corrective(paths: Paths, size: Size, seed: int) -> list[Stage]:
    test = str(paths.demo / "test.jsonl")
    return [
        Stage(
            "revise",
            "Corrective self-consistency: the merge model settles between the two best groups",
            (
                *("python", "inference/revise.py", "--model", str(paths / "merge_grpo")),
                *("--candidates", str(paths / "grpo_test_sampled.jsonl"), "--questions", test),
                *("--output", str(paths / "corrective.jsonl")),
                *("--revisions", str(paths / "revisions.jsonl")),
                *("--merge_template", str(MERGE), "--merge_sample_values", "0", "--max_rows", "3"),
                # A clear majority stands, and so small a merge model is a witness, not the judge.
                *("--consensus", "0.75", "--first_vote_weight", "2.0"),
                *("--n", str(size.candidates), "--max_tokens", "64", "--temperature", "0.7"),
                *("--seed", str(seed)),
            ),
            (paths / "corrective.jsonl", paths / "revisions.jsonl"),
            (MERGE,),
        ),
        *(_evaluate(name, paths) for name in ("sft_greedy", "grpo_greedy", "vote", "corrective")),
    ]


def _sft(
    name: str, about: str, paths: Paths, data: Path, model: str, size: Size, seed: int
) -> Stage:
    config = CONFIGS / f"{name}.yaml"
    return Stage(
        name,
        about,
        (
            *_launch(size.launch_sft, "sft/train.py", config),
            *("--data", str(data), "--model_name_or_path", str(paths / model)),
            *("--output_dir", str(paths / name), "--seed", str(seed)),
            *(size.sft if name == "sft" else size.merge_sft),
        ),
        (paths / name,),
        (config,),
    )


def _grpo(
    name: str, about: str, paths: Paths, data: str, model: str, size: Size, seed: int
) -> Stage:
    config = CONFIGS / f"{name}.yaml"
    return Stage(
        name,
        about,
        (
            *_launch(size.launch_grpo, "rl/grpo.py", config),
            *("--train_file", str(paths / data), "--model_name_or_path", str(paths / model)),
            *("--output_dir", str(paths / name), "--seed", str(seed)),
            *(size.grpo if name == "grpo" else size.merge_grpo),
        ),
        (paths / name,),
        (config,),
    )


def _launch(accelerate: str, program: str, config: Path) -> tuple[str, ...]:
    threads = max(1, (os.cpu_count() or 1) // 2)
    return (
        *("accelerate", "launch", "--config_file", accelerate),
        *("--num_cpu_threads_per_process", str(threads)),
        *(program, "--config", str(config)),
    )


def _generate(
    model: str, questions: str, paths: Paths, size: Size, seed: int, greedy: bool = False
) -> Stage:
    kind = "greedy_candidates" if greedy else "sampled"
    name = f"{model}_{questions}_{kind}"
    # For pass@1, and for two groups to merge, half as many answers do as for a vote.
    count = size.candidates // 2 if model == "sft" else size.candidates
    sampling = ("--temperature", "0", *size.greedy) if greedy else ("--n", str(count))
    what = "One greedy answer" if greedy else f"{count} sampled answers"
    return Stage(
        name,
        f"{what} a question ({questions}) from the {model.upper()} model",
        (
            *("python", "inference/generate.py", "--model", str(paths / model)),
            *("--questions", str(paths.demo / f"{questions}.jsonl")),
            *("--output", str(paths / f"{name}.jsonl")),
            *("--template", str(THINK), "--sample_values", "0", "--max_tokens", "64"),
            *sampling,
            *(() if greedy else ("--temperature", "1.0", "--seed", str(seed))),
        ),
        (paths / f"{name}.jsonl",),
        (THINK,),
    )


def _greedy(model: str, paths: Paths, size: Size, seed: int) -> list[Stage]:
    return [
        _generate(model, "test", paths, size, seed, greedy=True),
        _vote(f"{model}_greedy", paths / f"{model}_test_greedy_candidates.jsonl", paths),
    ]


def _vote(name: str, candidates: Path, paths: Paths) -> Stage:
    return Stage(
        name,
        "Predictions: the vote of each question's candidates",
        (
            *("python", "inference/vote.py", "--candidates", str(candidates)),
            *("--questions", str(paths.demo / "test.jsonl")),
            *("--output", str(paths / f"{name}.jsonl")),
        ),
        (paths / f"{name}.jsonl",),
    )


def _evaluate(name: str, paths: Paths) -> Stage:
    return Stage(
        f"evaluate_{name}",
        f"Execution accuracy of {name.replace('_', ' ')}",
        (
            *("python", "scripts/evaluate.py", "--questions", str(paths.demo / "test.jsonl")),
            *("--predictions", str(paths / f"{name}.jsonl")),
            *("--output", str(paths / "evaluation" / name)),
        ),
        (paths / "evaluation" / name,),
    )
