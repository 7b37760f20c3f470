"""SFT rows with reasoning from SynSQL records.

A record becomes a row in four steps: take its reasoning, run its SQL, build the prompt, measure
the length. A record that fails a step is left out and counted by reason.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from slmsql.execution import Executor, Statement
from slmsql.files import Record
from slmsql.prompt.build import PromptSettings, build_prompt, read_template, target
from slmsql.prompt.tokens import count_tokens
from slmsql.questions.question import Question
from slmsql.questions.synsql import Reason, SynRecord, think
from slmsql.rows.data_card import Tally, row_tokens
from slmsql.rows.formats import sft_row
from slmsql.schema.random_subset import random_subset


@dataclass(frozen=True, slots=True)
class ReasonedQuestion:
    """A question with gold SQL and the reasoning that leads to it."""

    question: Question
    thought: str


@dataclass(frozen=True, slots=True)
class ThinkRows:
    """Builds the rows of a chunk of records. Worker processes receive a pickled copy."""

    databases: Path
    """Folder of <db_id>/<db_id>.sqlite."""
    prompt_settings: PromptSettings
    tokenizer: str = ""
    """The tokenizer that counts tokens; empty for an estimate."""
    max_tokens: int = 0
    """Tokens of the longest row, prompt and completion together; 0: no limit."""
    thinning: bool = False
    """Whether a prompt shows only a random part of the schema."""
    seed: int = 42

    def __call__(self, records: Sequence[SynRecord]) -> tuple[list[Record], Tally]:
        """Return the rows of some records, and counts of rows and of records left out."""
        tally = Tally()
        rows: list[Record] = []
        for reasoned in runnable(list(self._reasoned(records, tally)), tally):
            row = self._row(reasoned)
            tokens = self._tokens(row)
            if self.max_tokens and tokens > self.max_tokens:
                tally.left_out[Reason.TOO_LONG] += 1
            else:
                tally.add(reasoned.question, row, tokens)
                rows.append(row)
        return rows, tally

    def _reasoned(self, records: Iterable[SynRecord], tally: Tally) -> Iterator[ReasonedQuestion]:
        for record in records:
            thought = think(record)
            if isinstance(thought, Reason):
                tally.left_out[thought] += 1
            else:
                yield ReasonedQuestion(record.question_over(self.databases), thought)

    def _row(self, reasoned: ReasonedQuestion) -> Record:
        question, sql = reasoned.question, reasoned.question.gold_sql or ""
        thin = partial(random_subset, sql=sql, seed=f"{self.seed} {question.id}")
        prompt = build_prompt(
            question, self.prompt_settings, change_schema=thin if self.thinning else None
        )
        layout = read_template(self.prompt_settings.template).layout
        completion = target(reasoned.thought, sql, layout)
        return sft_row(
            question, prompt.messages, completion, columns_left_out=prompt.columns_left_out
        )

    def _tokens(self, row: Record) -> int:
        if self.tokenizer:
            return count_tokens([*row["prompt"], *row["completion"]], self.tokenizer)
        return row_tokens(row)


def runnable(
    reasoned_questions: Sequence[ReasonedQuestion], tally: Tally
) -> Iterator[ReasonedQuestion]:
    """Yield the questions whose gold query runs, and count why the others are left out."""
    present = [reasoned for reasoned in reasoned_questions if reasoned.question.database.is_file()]
    tally.left_out[Reason.NO_DATABASE] += len(reasoned_questions) - len(present)
    statements = [
        Statement(reasoned.question.database, reasoned.question.gold_sql) for reasoned in present
    ]
    for reasoned, execution in zip(present, _executor().run(statements), strict=True):
        if execution.ok:
            yield reasoned
        else:
            tally.left_out[f"{Reason.DOES_NOT_RUN}: {execution.status}"] += 1


@cache
def _executor() -> Executor:
    """One SQL worker for each building process; it ends with that process."""
    return Executor(workers=1)
