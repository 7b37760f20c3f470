"""Measure where the time of a GRPO step goes: rollout, reward, update.

    python scripts/prepare_rl.py --benchmark bird --root BIRD --split train --output rl.jsonl
    python scripts/bench/step.py --config configs/rl/one_gpu.yaml --model_name_or_path MODEL \\
        --train_file rl.jsonl --output_dir bench_step --max_steps 20 --eval_strategy no

A training by `rl/grpo.py`, with all its options, in which completions are sampled as always and
then replaced by real SQL: an untrained model writes none, and nonsense costs no time to run. One
of a group is the row's gold query, the others are gold queries of other rows on the same database,
so that a step has as many distinct queries as completions: the most that its rewards can cost.
The first step starts the workers and reads the databases for the first time.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

from rl.grpo import Run, check_run, train
from rl.options import Options
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import run_program
from slmsql.files import Record, read_json, write_json
from slmsql.prompt.build import Layout, target


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=__doc__
    )
    run = check_run(options, training, model)
    train(run, rollout_func=_given(run))
    if training.process_index == 0:
        steps = list(_steps(run.folder))
        print(table(steps))
        write_json(run.folder / "step_times.json", steps)


def texts_by_prompt(rows: Sequence[Record], size: int, seed: int) -> dict[str, list[str]]:
    """A group of completions for each row, by the last message of its prompt."""
    random, by_database = Random(seed), dict[str, list[str]]()
    for row in rows:
        by_database.setdefault(row["database"], []).append(row["gold_sql"])
    return {
        row["prompt"][-1]["content"]: [
            target("A query of the benchmark.", sql, Layout.THINK)
            for sql in _group(row["gold_sql"], by_database[row["database"]], size, random)
        ]
        for row in rows
    }


def _group(gold: str, queries: Sequence[str], size: int, random: Random) -> list[str]:
    others = [sql for sql in queries if sql != gold] or [gold]
    return [gold, *islice(cycle(random.sample(others, len(others))), size - 1)]


def _given(run: Run) -> Any:
    size = run.training.num_generations
    texts = texts_by_prompt(run.rows, size, run.training.seed)

    def roll_out(prompts: list[Any], trainer: Any) -> Record:
        """TRL: prompts, each as often as its group is large -> token ids of completions."""
        prompt_ids, images, more = trainer._tokenize_prompts(prompts)
        trainer._generate_single_turn(prompt_ids, images, more, size)
        tokenizer, first = trainer.processing_class, trainer.accelerator.process_index
        given = [
            texts[prompt[-1]["content"]][(first * len(prompts) + place) % size]
            for place, prompt in enumerate(prompts)
        ]
        ids = [[*tokenizer.encode(text), tokenizer.eos_token_id] for text in given]
        return {"prompt_ids": prompt_ids, "completion_ids": ids, "logprobs": None}

    return roll_out


def _steps(folder: Path) -> Iterator[Record]:
    """Seconds of each step: of the rollout (with log-probabilities), the rewards, the update."""
    for log in read_json(folder / "trainer_state.json")["log_history"]:
        if "time/rollout" in log:
            rollout, reward, share = (
                log[f"time/{name}"] for name in ("rollout", "reward", "reward_share")
            )
            update = log["step_time"] - rollout - reward
            yield {
                "step": log["step"],
                "rollout": rollout,
                "reward": reward,
                "update": update,
                "reward_share": share,
            }


def table(steps: Sequence[Record]) -> str:
    lines = [f"{'step':>5}{'rollout':>11}{'reward':>11}{'update':>11}{'reward share':>15}"]
    first, *later = steps
    whole = {name: mean(step[name] for step in later or steps) for name in first}
    for name, step in [(str(step["step"]), step) for step in steps] + [("later", whole)]:
        seconds = "".join(f"{step[part]:>9.2f} s" for part in ("rollout", "reward", "update"))
        lines.append(f"{name:>5}{seconds}{step['reward_share']:>15.1%}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
