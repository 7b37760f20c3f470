"""Measure where the time of a GRPO step goes: rollout, log-probabilities, reward, update, sync.

    python scripts/prepare_rl.py --benchmark bird --root BIRD --split train --output rl.jsonl
    python scripts/bench/step.py --config configs/rl/one_gpu.yaml --model_name_or_path MODEL \\
        --train_file rl.jsonl --output_dir bench_step --max_steps 20 --eval_strategy no

Trains with `rl/grpo.py` and accepts all its options. The model samples as usual, and then real SQL
replaces its completions: an untrained model writes no SQL, and text that is not SQL costs no time
to run. Each group gets the row's gold query and gold queries of other rows on the same database. A
step thus runs as many distinct queries as it has completions, the most that its rewards can cost.
The first step is slower: it starts the workers and reads the databases for the first time.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

from rl.grpo import GRPORun, check_run, train
from rl.options import Options
from rl.step_clock import PARTS
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import run_program
from slmsql.files import Record, read_json, write_json
from slmsql.prompt.build import Layout, target

RolloutFunc = Callable[[list[Any], Any], Record]


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=__doc__
    )
    run = check_run(options, training, model)
    train(run, rollout_func=rollout_func(run))
    if training.process_index == 0:
        steps = list(step_times(run.folder))
        print(table(steps))
        write_json(run.folder / "step_times.json", steps)


def texts_by_prompt(rows: Sequence[Record], size: int, seed: int) -> dict[str, list[str]]:
    """A group of `size` completions for each row, by the last message of the row's prompt."""
    random = Random(seed)
    queries: dict[str, list[str]] = {}
    for row in rows:
        queries.setdefault(row["database"], []).append(row["gold_sql"])
    return {
        row["prompt"][-1]["content"]: [
            target("A query of the benchmark.", sql, Layout.THINK)
            for sql in _group(row["gold_sql"], queries[row["database"]], size, random)
        ]
        for row in rows
    }


def _group(gold: str, queries: Sequence[str], size: int, random: Random) -> list[str]:
    others = [sql for sql in queries if sql != gold] or [gold]
    return [gold, *islice(cycle(random.sample(others, len(others))), size - 1)]


def rollout_func(run: GRPORun) -> RolloutFunc:
    """TRL's hook that makes the completions of this benchmark."""
    size = run.training.num_generations
    assert size is not None  # TRL's type allows None; its default is 8
    texts = texts_by_prompt(run.rows, size, run.training.seed)

    def roll_out(prompts: list[Any], trainer: Any) -> Record:
        """Sample as usual, and return the token ids of the prepared completions.

        TRL passes this process's prompts; each stands in the batch once for every completion.
        """
        prompt_ids, images, multimodal_fields = trainer._tokenize_prompts(prompts)
        trainer._generate_single_turn(prompt_ids, images, multimodal_fields, size)
        tokenizer, rank = trainer.processing_class, trainer.accelerator.process_index
        # Processes may share a group, so the index in the whole batch selects the completion.
        completions = [
            texts[prompt[-1]["content"]][(rank * len(prompts) + index) % size]
            for index, prompt in enumerate(prompts)
        ]
        ids = [[*tokenizer.encode(text), tokenizer.eos_token_id] for text in completions]
        # vLLM's correction reads them; what they say changes no time.
        logprobs = [[0.0] * len(completion) for completion in ids] if trainer.use_vllm else None
        return {"prompt_ids": prompt_ids, "completion_ids": ids, "logprobs": logprobs}

    return roll_out


def step_times(folder: Path) -> Iterator[Record]:
    """Seconds of the parts of each step, and the rewards' share of it."""
    for log in read_json(folder / "trainer_state.json")["log_history"]:
        if "time/rollout" in log:
            parts = {part: log[f"time/{part}"] for part in PARTS}
            yield {"step": log["step"], **parts, "reward_share": log["time/reward_share"]}


def mean_step(steps: Sequence[Record]) -> Record:
    """The mean of all steps but the first."""
    later = steps[1:] or steps
    return {name: mean(step[name] for step in later) for name in steps[0] if name != "step"}


def table(steps: Sequence[Record]) -> str:
    """One line for each step, and the means of all steps but the first."""
    lines = [f"{'step':>5}" + "".join(f"{part:>12}" for part in PARTS) + "  reward share"]
    for name, step in [*((str(step["step"]), step) for step in steps), ("later", mean_step(steps))]:
        seconds = "".join(f"{step[part]:>10.2f} s" for part in PARTS)
        lines.append(f"{name:>5}{seconds}{step['reward_share']:>14.1%}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
