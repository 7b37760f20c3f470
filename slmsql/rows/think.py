"""Think rows from SynSQL records: filtered, run, worded, measured; part by part."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from slmsql.execution import Executor, Statement
from slmsql.files import Record
from slmsql.prompt.build import PromptSettings, compose, read_template, target
from slmsql.prompt.tokens import count_tokens
from slmsql.questions.question import Question
from slmsql.questions.synsql import Reason, SynRecord, think
from slmsql.rows.data_card import Tally, row_tokens
from slmsql.rows.formats import sft_row
from slmsql.schema.random_subset import thin


@dataclass(frozen=True, slots=True)
class ThinkRows:
    """Builds the rows of a chunk of records; goes to worker processes as it is."""

    databases: Path
    prompt_settings: PromptSettings
    tokenizer: str = ""
    """Counts the tokens; empty for an estimate."""
    max_tokens: int = 0
    """Longest row, prompt and completion together; 0 for any."""
    thinning: bool = False
    seed: int = 42

    def __call__(self, records: Sequence[SynRecord]) -> tuple[list[Record], Tally]:
        tally = Tally()
        thought = list(self._thought(records, tally))
        rows = []
        for question, thinking in running(thought, tally):
            row, tokens = self._row(question, thinking)
            if self.max_tokens and tokens > self.max_tokens:
                tally.left_out[Reason.TOO_LONG] += 1
            else:
                tally.add(question, row, tokens)
                rows.append(row)
        return rows, tally

    def _thought(
        self, records: Iterable[SynRecord], tally: Tally
    ) -> Iterator[tuple[Question, str]]:
        for record in records:
            found = think(record)
            if isinstance(found, Reason):
                tally.left_out[found] += 1
            else:
                yield record.question_over(self.databases), found

    def _row(self, question: Question, thought: str) -> tuple[Record, int]:
        sql = question.gold_sql or ""
        change = partial(thin, sql=sql, seed=f"{self.seed} {question.id}")
        prompt = compose(question, self.prompt_settings, change=change if self.thinning else None)
        layout = read_template(self.prompt_settings.template).layout
        row = sft_row(question, prompt.messages, target(thought, sql, layout))
        if prompt.left_out:
            row["columns_left_out"] = prompt.left_out
        return row, self._tokens(row)

    def _tokens(self, row: Record) -> int:
        messages = [*row["prompt"], *row["completion"]]
        if self.tokenizer:
            return count_tokens(messages, self.tokenizer)
        return row_tokens(row)


def running(pairs: Sequence[tuple[Question, str]], tally: Tally) -> Iterator[tuple[Question, str]]:
    """Those whose gold query runs; why the others are left out is counted."""
    present = [pair for pair in pairs if pair[0].database.is_file()]
    if len(present) < len(pairs):
        tally.left_out[Reason.NO_DATABASE] += len(pairs) - len(present)
    statements = [Statement(question.database, question.gold_sql) for question, _ in present]
    for pair, execution in zip(present, _executor().run(statements), strict=True):
        if execution.ok:
            yield pair
        else:
            tally.left_out[f"{Reason.DOES_NOT_RUN}: {execution.status}"] += 1


@cache
def _executor() -> Executor:
    """One worker for each building process; it ends with it."""
    return Executor(workers=1)
