"""Asking databases from Python."""

from pathlib import Path
from types import TracebackType

from slmsql.cli.options import PromptOptions
from slmsql.consistency.options import RevisionOptions
from slmsql.execution import check_usable
from slmsql.execution.engines.address import name_of
from slmsql.sampling.model import ModelOptions
from slmsql.sampling.sampler import Sampler
from slmsql.server.service import (
    AdaptivePlanOptions,
    Reply,
    Service,
    ServiceOptions,
    make_question,
)


class Asker:
    """Turns questions into SQL with a model, as `slmsql ask` does: samples, runs, votes.

        with Asker(load_model(endpoint="http://localhost:11434"), template="schema") as asker:
            reply = asker.ask("Which artist has most albums?", "chinook.sqlite")
            print(reply.sql, reply.rows)

    Several threads may ask at once; their questions share the model's batches.

    Args:
        sampler: what `load_model` returns, or any object with the methods of
            `slmsql.sampling.sampler.Sampler`; it is closed with the asker.
        template: the prompt: "think" for a model that was trained here, "schema" for others.
        n: number of candidates of a question, at most. Sampling stops when the vote is 90 %
            certain.
        temperature: of the candidates; 0 is greedy, with one candidate.
    """

    def __init__(
        self, sampler: Sampler, *, template: str = "think", n: int = 8, temperature: float = 0.8
    ) -> None:
        options = ServiceOptions(
            prompt=PromptOptions(template=template),
            plan=AdaptivePlanOptions(n=n, temperature=temperature),
            sampler=ModelOptions(),
            revision=RevisionOptions(),
        )
        self._service = Service(options, sampler)

    def __enter__(self) -> "Asker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, question: str, database: Path | str, *, evidence: str = "") -> Reply:
        """Answer a question: SQL, its first 100 rows, and the candidates behind it.

        Args:
            question: in any language that the model knows.
            database: an SQLite or DuckDB file, a folder of tables, or the URL of a database.
            evidence: a hint, such as what a column means.

        Raises:
            RuntimeError: the sampler gave no answer.
            FileNotFoundError, InputError: the database is missing or is none.
        """
        place = Path(database)
        check_usable(place)
        return self._service.ask(make_question(question, place, name_of(place), evidence))

    def close(self) -> None:
        """Free the model and the processes that run SQL."""
        self._service.close()
