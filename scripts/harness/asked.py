"""What the doors share: questions that can be judged, with their prompts, and the verdict."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rewards import ExecutionReward
from slmsql.execution import Executor, Statement
from slmsql.match import Match
from slmsql.prompt.build import Messages, PromptSettings, build_prompt
from slmsql.questions.question import Question, with_databases
from slmsql.questions.reading import read_benchmark


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with a gold query that runs, and its prompt."""

    question: Question
    gold_sql: str
    messages: Messages

    def text(self, role: str) -> str:
        """The text of the `system` or the `user` message; empty if the template has none."""
        return "".join(message["content"] for message in self.messages if message["role"] == role)


def asked_questions(
    benchmark: str, root: str, split: str, *, limit: int = 0, template: str = "think"
) -> list[Asked]:
    """The questions of a split that `evaluate.py` would count, with their prompts.

    Args:
        benchmark: `spider` or `bird`.
        root: folder of the benchmark.
        split: `dev`, `train`, ...
        limit: only the first N questions of the split; 0: all.
        template: prompt template, a name or a path.

    Raises:
        InputError, FileNotFoundError: as `read_benchmark` and `build_prompt`.
    """
    questions = read_benchmark(benchmark, Path(root), split)[: limit or None]
    present, _ = with_databases(questions)
    golds = [(question, question.gold_sql) for question in present if question.gold_sql]
    with Executor() as executor:
        executions = executor.run([Statement(q.database, gold) for q, gold in golds])
    return [
        Asked(question, gold, build_prompt(question, PromptSettings(template)).messages)
        for (question, gold), execution in zip(golds, executions, strict=True)
        if execution.ok
    ]


def verdict(completion: str, gold_sql: str, database: str, match: str = "bird") -> float:
    """1 if the SQL of a completion has the gold query's result, else 0: the reward of GRPO.

    Args:
        completion: the model's whole text, in any form that `slmsql.prompt.answer` reads.
        match: `bird`, `spider` or `strict`.

    Raises:
        RuntimeError: there is no verdict, because the machine failed.
    """
    (reward,) = _reward(match)([completion], [gold_sql], [database])
    if reward is None:
        raise RuntimeError(f"no verdict on {database} for {completion!r:.80}")
    return reward


@cache
def _reward(match: str) -> ExecutionReward:
    return ExecutionReward(Match(match))
