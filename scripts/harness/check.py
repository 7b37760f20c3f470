"""Shows that verifiers and lm-evaluation-harness give our verdicts on a prediction file.

    make .venv/harness/ready
    .venv/harness/bin/python scripts/harness/check.py --root SPIDER --predictions FILE --limit 50

Each harness loads the questions through its own door and is handed the file's SQL as the model's
reply. It asks and scores with its own code. The table has the right answers by each; a difference
from `scripts/evaluate.py` is listed and makes the program fail.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from scripts.harness.asked import Asked, asked_questions
from scripts.harness.verifiers_text_to_sql import TextToSqlConfig, TextToSqlTaskset
from slmsql.cli.config import parse
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError, run_program
from slmsql.evaluation import Extras, evaluate
from slmsql.execution import Executor
from slmsql.match import Match
from slmsql.prompt.build import Layout, target
from slmsql.questions.reading import read_benchmark

FOLDER = Path(__file__).parent
AGENT = vf.AgentInfo(config=vf.AgentConfig())
Verdicts = dict[str, bool]


@dataclass(kw_only=True)
class Options:
    root: str = field(metadata={"help": "folder of the benchmark"})
    predictions: str = field(metadata={"help": "as scripts/evaluate.py reads them"})
    benchmark: str = field(default="spider", metadata={"help": "spider or bird"})
    split: str = field(default="dev", metadata={"help": "split of the benchmark"})
    limit: int = field(default=50, metadata={"help": "number of questions"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when two results agree"})


class Replay(LM):
    """A model of lm-evaluation-harness whose replies are given, by the text of the prompt."""

    tokenizer_name = "replay"

    def __init__(self, replies: Mapping[str, str]) -> None:
        super().__init__()
        self.replies = replies

    def apply_chat_template(self, history: list[dict[str, str]], *_: Any, **__: Any) -> str:
        """The messages themselves, so that `generate_until` looks the whole prompt up."""
        return json.dumps(history)

    def generate_until(self, requests: list[Instance], *_: Any, **__: Any) -> list[str]:
        """The replies to the prompts.

        Raises:
            KeyError: a prompt is not one of ours.
        """
        return [self.replies[request.args[0]] for request in requests]

    def loglikelihood(self, *_: Any, **__: Any) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def loglikelihood_rolling(self, *_: Any, **__: Any) -> list[float]:
        raise NotImplementedError


def main() -> None:
    options = parse(Options, about=__doc__)
    questions = read_benchmark(options.benchmark, Path(options.root), options.split)
    predictions = read_predictions(Path(options.predictions), questions)
    asked = asked_questions(options.benchmark, options.root, options.split, limit=options.limit)
    if not asked:
        raise InputError(f"{options.root}: none of the questions can be judged")
    replies = {
        one.question.id: target("x", predictions[one.question.id], Layout.THINK) for one in asked
    }
    verdicts = {
        "evaluate.py": _ours(asked, predictions, options.match),
        "verifiers": asyncio.run(_verifiers(options, replies)),
        "lm-evaluation-harness": _lm_eval(options, asked, replies),
    }
    _show(verdicts)


def _ours(asked: Sequence[Asked], predictions: Mapping[str, str], match: Match) -> Verdicts:
    with Executor() as executor:
        evaluation = evaluate(
            [one.question for one in asked],
            predictions,
            match=match,
            executor=executor,
            extras=Extras(queries=False, results=False),
        )
    return {outcome.question.id: outcome.correct[match] for outcome in evaluation.outcomes}


async def _verifiers(options: Options, replies: Mapping[str, str]) -> Verdicts:
    """Each task's own scoring, on a trace that ends with the reply."""
    config = TextToSqlConfig(
        benchmark=options.benchmark,
        root=options.root,
        split=options.split,
        limit=options.limit,
        match=options.match.value,
    )
    verdicts = {}
    for task in TextToSqlTaskset(config):
        seen = vf.TraceTask(type="text-to-sql", data=task.data, key=task.key, hash=task.hash)
        trace = vf.Trace(task=seen, agent=AGENT, root_reply=replies[task.data.id])
        await task.score(trace)
        verdicts[task.data.id] = trace.rewards["execution"].score == 1.0
    return verdicts


def _lm_eval(options: Options, asked: Sequence[Asked], replies: Mapping[str, str]) -> Verdicts:
    """A whole run of the harness; a prompt other than ours has no reply."""
    model = Replay({json.dumps(one.messages): replies[one.question.id] for one in asked})
    source = {
        name: getattr(options, name) for name in ("benchmark", "root", "split", "limit", "match")
    }
    manager = TaskManager(include_path=str(FOLDER / "lm_eval_task"), metadata=source)
    results = simple_evaluate(
        model=model,
        tasks=["text_to_sql"],
        task_manager=manager,
        metadata=source,
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    samples = results["samples"]["text_to_sql"]
    return {sample["doc"]["id"]: sample["execution"] == 1.0 for sample in samples}


def _show(verdicts: Mapping[str, Verdicts]) -> None:
    """Print the table.

    Raises:
        InputError: a harness has another verdict than `evaluate.py`.
    """
    expected = verdicts["evaluate.py"]
    for name, given in verdicts.items():
        print(f"{name:<22} {sum(given.values()):4} right of {len(given)}")
    different = {
        f"{identity} ({name})"
        for name, given in verdicts.items()
        for identity in expected.keys() | given.keys()
        if expected.get(identity) != given.get(identity)
    }
    if different:
        raise InputError(f"{len(different)} different verdicts: {', '.join(sorted(different)[:5])}")
    print("equal verdicts on each question")


if __name__ == "__main__":
    run_program(main)
