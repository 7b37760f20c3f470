"""The quickstart as a list of commands, in the order in which they run."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.stage import Stage

CONFIGS = Path("configs/quickstart")
THINK, MERGE = CONFIGS / "think.txt", CONFIGS / "merge.txt"
ONE_PROCESS = "configs/accelerate/one.yaml"
TWO_PROCESSES = "configs/accelerate/cpu_two.yaml"
DEEPSPEED = "configs/accelerate/cpu_zero2.yaml"


@dataclass(frozen=True, slots=True)
class Size:
    """Where the full quickstart and its smallest run differ: further words of the commands."""

    demo: str = ""
    model: str = ""
    sft: str = ""
    grpo: str = ""
    merge_sft: str = ""
    merge_grpo: str = ""
    greedy: str = ""
    accelerate_sft: str = TWO_PROCESSES
    accelerate_grpo: str = TWO_PROCESSES


SIZES = {
    "full": Size(),
    # Shows that the programs fit together, not that anything is learnt.
    "smallest": Size(
        demo="--demonstrations 400 --audited 40 --held_out 20",
        model="--layers 2 --width 64 --heads 2 --key_value_heads 1",
        # Enough steps to write SQL that runs: otherwise there is nothing to merge.
        sft="--max_steps 400 --learning_rate 3e-3",
        grpo="--max_steps 2 --per_device_train_batch_size 4 --num_generations 4",
        merge_sft="--max_steps 2 --logging_steps 1",
        merge_grpo="--max_steps 1 --per_device_train_batch_size 4 --num_generations 4",
        greedy="--sampler transformers",
        accelerate_sft=ONE_PROCESS,
        accelerate_grpo=DEEPSPEED,
    ),
}


def stages(output: Path, size_name: Literal["full", "smallest"], seed: int) -> list[Stage]:
    """All stages in order; the files they write lie in `output`."""
    size = SIZES[size_name]
    out = shlex.quote(str(output))
    test = f"--questions {out}/demo/test.jsonl"
    threads = f"--num_cpu_threads_per_process {max(1, (os.cpu_count() or 1) // 2)}"
    launch_sft = f"accelerate launch --config_file {size.accelerate_sft} {threads}"
    launch_grpo = f"accelerate launch --config_file {size.accelerate_grpo} {threads}"
    generate = "python inference/generate.py"
    prompt = f"--template {THINK} --sample_values 0 --max_tokens 64"
    sampled = f"--temperature 1.0 --seed {seed}"
    return [
        # Data, and a model of random weights.
        Stage(
            "demo",
            "Databases, demonstrations, audited and held-out questions",
            f"""python scripts/demo/make_data.py --output {out}/demo --seed {seed}
            --template {THINK} --merge_template {MERGE} {size.demo}""",
            outputs=(output / "demo",),
            reads=(THINK, MERGE),
        ),
        Stage(
            "base",
            "A tiny Qwen2 from random weights, and its tokenizer",
            f"""python scripts/demo/make_tiny_model.py --output {out}/base
            --corpus {out}/demo/sft.jsonl {out}/demo/words.jsonl --seed {seed} {size.model}""",
            outputs=(output / "base",),
        ),
        # The generator: SFT, then GRPO.
        Stage(
            "sft",
            "SFT on the demonstrations",
            f"""{launch_sft} sft/train.py --config {CONFIGS}/sft.yaml
            --data {out}/demo/sft.jsonl --model_name_or_path {out}/base
            --output_dir {out}/sft --seed {seed} {size.sft}""",
            outputs=(output / "sft",),
            reads=(CONFIGS / "sft.yaml",),
        ),
        Stage(
            "rl_rows",
            "GRPO rows from the audited questions",
            f"""python scripts/prepare_rl.py --questions {out}/demo/rl.jsonl
            --output {out}/rl.jsonl --template {THINK} --sample_values 0""",
            outputs=(output / "rl.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "grpo",
            "GRPO with rewards from execution",
            f"""{launch_grpo} rl/grpo.py --config {CONFIGS}/grpo.yaml
            --train_file {out}/rl.jsonl --model_name_or_path {out}/sft
            --output_dir {out}/grpo --seed {seed} {size.grpo}""",
            outputs=(output / "grpo",),
            reads=(CONFIGS / "grpo.yaml",),
        ),
        # Its answers to the held-out questions: greedy, sampled, and the vote.
        Stage(
            "sft_test_greedy_candidates",
            "One greedy answer to each held-out question from the SFT model",
            f"""{generate} --model {out}/sft {test}
            --output {out}/sft_test_greedy_candidates.jsonl {prompt}
            --temperature 0 {size.greedy}""",
            outputs=(output / "sft_test_greedy_candidates.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "sft_greedy",
            "Predictions: the SFT model's greedy answers",
            f"""python inference/vote.py --candidates {out}/sft_test_greedy_candidates.jsonl
            {test} --output {out}/sft_greedy.jsonl""",
            outputs=(output / "sft_greedy.jsonl",),
        ),
        Stage(
            "grpo_test_greedy_candidates",
            "One greedy answer to each held-out question from the GRPO model",
            f"""{generate} --model {out}/grpo {test}
            --output {out}/grpo_test_greedy_candidates.jsonl {prompt}
            --temperature 0 {size.greedy}""",
            outputs=(output / "grpo_test_greedy_candidates.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "grpo_greedy",
            "Predictions: the GRPO model's greedy answers",
            f"""python inference/vote.py --candidates {out}/grpo_test_greedy_candidates.jsonl
            {test} --output {out}/grpo_greedy.jsonl""",
            outputs=(output / "grpo_greedy.jsonl",),
        ),
        Stage(
            "sft_test_sampled",
            "4 sampled answers to each held-out question from the SFT model, for pass@1",
            f"""{generate} --model {out}/sft {test}
            --output {out}/sft_test_sampled.jsonl {prompt} --n 4 {sampled}""",
            outputs=(output / "sft_test_sampled.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "grpo_test_sampled",
            "8 sampled answers to each held-out question from the GRPO model",
            f"""{generate} --model {out}/grpo {test}
            --output {out}/grpo_test_sampled.jsonl {prompt} --n 8 {sampled}""",
            outputs=(output / "grpo_test_sampled.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "vote",
            "Predictions: self-consistency, the vote of the GRPO model's 8 answers",
            f"""python inference/vote.py --candidates {out}/grpo_test_sampled.jsonl
            {test} --output {out}/vote.jsonl""",
            outputs=(output / "vote.jsonl",),
        ),
        # The merge model: trained on samples of the SFT model, starting from the GRPO model.
        Stage(
            "sft_rl_sampled",
            "4 sampled answers to each audited question from the SFT model",
            f"""{generate} --model {out}/sft --questions {out}/demo/rl.jsonl
            --output {out}/sft_rl_sampled.jsonl {prompt} --n 4 {sampled}""",
            outputs=(output / "sft_rl_sampled.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "merge_rows",
            "Rows for the merge model: two drafts with their results",
            f"""python scripts/prepare_merge.py --questions {out}/demo/rl.jsonl
            --candidates {out}/sft_rl_sampled.jsonl --output {out}/merge_sft.jsonl
            --rl_output {out}/merge_rl.jsonl --seed {seed}
            --template {MERGE} --sample_values 0 --max_rows 3""",
            outputs=(output / "merge_sft.jsonl", output / "merge_rl.jsonl"),
            reads=(MERGE,),
        ),
        Stage(
            "merge_sft",
            "SFT of the merge model",
            f"""{launch_sft} sft/train.py --config {CONFIGS}/merge_sft.yaml
            --data {out}/merge_sft.jsonl --model_name_or_path {out}/grpo
            --output_dir {out}/merge_sft --seed {seed} {size.merge_sft}""",
            outputs=(output / "merge_sft",),
            reads=(CONFIGS / "merge_sft.yaml",),
        ),
        Stage(
            "merge_grpo",
            "GRPO of the merge model",
            f"""{launch_grpo} rl/grpo.py --config {CONFIGS}/merge_grpo.yaml
            --train_file {out}/merge_rl.jsonl --model_name_or_path {out}/merge_sft
            --output_dir {out}/merge_grpo --seed {seed} {size.merge_grpo}""",
            outputs=(output / "merge_grpo",),
            reads=(CONFIGS / "merge_grpo.yaml",),
        ),
        # A clear majority (--consensus) is not revised. The merge model is small, so the first
        # vote keeps a weight.
        Stage(
            "revise",
            "Corrective self-consistency: the merge model decides between the two largest groups",
            f"""python inference/revise.py --model {out}/merge_grpo
            --candidates {out}/grpo_test_sampled.jsonl {test}
            --output {out}/corrective.jsonl --revisions {out}/revisions.jsonl
            --merge_template {MERGE} --merge_sample_values 0 --max_rows 3
            --consensus 0.75 --first_vote_weight 2.0
            --n 8 --max_tokens 64 --temperature 0.7 --seed {seed}""",
            outputs=(output / "corrective.jsonl", output / "revisions.jsonl"),
            reads=(MERGE,),
        ),
        *(
            Stage(
                f"evaluate_{name}",
                f"Execution accuracy of {name.replace('_', ' ')}",
                f"""python scripts/evaluate.py {test} --predictions {out}/{name}.jsonl
                --output {out}/evaluation/{name}""",
                outputs=(output / "evaluation" / name,),
            )
            for name in ("sft_greedy", "grpo_greedy", "vote", "corrective")
        ),
    ]
