"""Candidates: several SQLs for a question, from our sampler or from any prediction files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError
from slmsql.execution import Execution, Executor, Statement, Status
from slmsql.files import Record, read_jsonl
from slmsql.questions.question import Question


@dataclass(frozen=True, slots=True)
class Candidate:
    """One SQL and, once it has run, what became of it."""

    sql: str | None
    """None where the completion has no SQL in it."""
    completion: str = ""
    status: Status | None = None
    """None: not run yet."""
    error: str | None = None
    digest: str | None = None
    """Of the set of rows, 1 equal to 1.0; what voting groups by. None unless it ran."""
    row_count: int = 0
    logprob: float | None = None
    """Mean log-probability of the completion's tokens, where the sampler reports it."""
    source: str = ""
    """The prediction file it comes from; empty for our own samples."""
    repaired: str | None = None
    """The SQL that failed before this one was given in its place."""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @property
    def is_empty(self) -> bool:
        return self.ok and self.row_count == 0

    def as_record(self) -> Record:
        """Its fields, without those that say nothing."""
        nothing = (None, "") if self.ok else (None, "", 0)
        return {k: v for k, v in asdict(self).items() if k == "sql" or v not in nothing}


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """All candidates of one question, in the order in which they came."""

    id: str
    db_id: str
    database: Path
    candidates: tuple[Candidate, ...]

    def as_record(self) -> Record:
        """One line of `candidates.jsonl`; `samples` says how many the question took."""
        return {
            "id": self.id,
            "db_id": self.db_id,
            "database": str(self.database),
            "samples": len(self.candidates),
            "candidates": [candidate.as_record() for candidate in self.candidates],
        }


def read_candidates(
    files: Sequence[Path],
    questions: Sequence[Question],
    *,
    wanted: Sequence[Question] | None = None,
) -> list[CandidateSet]:
    """Gather the candidates of each question from any number of files.

    A file is our `candidates.jsonl`, or predictions in any form that `read_predictions` takes: then
    each SQL is one candidate. Shards of a run are simply given together. Candidates of a question
    stand in the order of the files.

    Args:
        files: where the candidates are.
        questions: all that the files may answer.
        wanted: those to return, where that is not all of them.

    Raises:
        InputError: a malformed record, an id that is not among the questions, or a wanted question
            that no file has a candidate for.
    """
    wanted = questions if wanted is None else wanted
    found: dict[str, list[Candidate]] = {question.id: [] for question in questions}
    for file in files:
        for identity, candidates in _read(file, questions).items():
            if identity not in found:
                raise InputError(f"{file}: {identity!r} is not among the questions")
            found[identity] += candidates
    if without := [question.id for question in wanted if not found[question.id]]:
        more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
        raise InputError(f"no candidate for {without[0]!r}{more} in {', '.join(map(str, files))}")
    return [CandidateSet(q.id, q.db_id, q.database, tuple(found[q.id])) for q in wanted]


def run_candidates(sets: Sequence[CandidateSet], executor: Executor) -> list[CandidateSet]:
    """Run the candidates that did not run yet, each distinct statement of a database once."""
    waiting = [
        Statement(found.database, candidate.sql)
        for found in sets
        for candidate in found.candidates
        if candidate.status is None
    ]
    executions = iter(executor.run(waiting))
    return [
        replace(found, candidates=tuple(_ran(one, executions) for one in found.candidates))
        for found in sets
    ]


def with_databases(sets: Iterable[CandidateSet]) -> tuple[list[CandidateSet], list[CandidateSet]]:
    """Split sets into those whose database file is there and those whose is not."""
    present: dict[Path, bool] = {}
    found: list[CandidateSet] = []
    missing: list[CandidateSet] = []
    for one in sets:
        if one.database not in present:
            present[one.database] = one.database.is_file()
        (found if present[one.database] else missing).append(one)
    return found, missing


def read_record(record: Record, where: str) -> CandidateSet:
    """Read one line of `candidates.jsonl`; `where` names it in errors."""
    for name in ("id", "candidates"):
        if name not in record:
            raise InputError(f"{where}: no {name!r}; it has {sorted(record)}")
    if not isinstance(record["candidates"], list):
        raise InputError(f"{where}: 'candidates' must be a list")
    candidates = tuple(_candidate(item, where) for item in record["candidates"])
    database = Path(str(record.get("database", "")))
    return CandidateSet(str(record["id"]), str(record.get("db_id", "")), database, candidates)


def _ran(candidate: Candidate, executions: Iterator[Execution]) -> Candidate:
    return (
        candidate if candidate.status is not None else with_execution(candidate, next(executions))
    )


def with_execution(candidate: Candidate, execution: Execution) -> Candidate:
    """The candidate with what became of it."""
    return replace(
        candidate,
        status=execution.status,
        error=execution.error,
        digest=execution.digest,
        row_count=execution.row_count,
    )


def _read(file: Path, questions: Sequence[Question]) -> Mapping[str, Sequence[Candidate]]:
    if file.suffix == ".jsonl" and "candidates" in next(read_jsonl(file), {}):
        return _from_sets(file)
    predictions = read_predictions(file, questions)
    return {
        identity: [Candidate(sql or None, source=file.stem)]
        for identity, sql in predictions.items()
    }


def _from_sets(file: Path) -> dict[str, Sequence[Candidate]]:
    sets: dict[str, Sequence[Candidate]] = {}
    for number, record in enumerate(read_jsonl(file), start=1):
        one = read_record(record, f"{file}:{number}")
        if one.id in sets:
            raise InputError(f"{file}:{number}: the id {one.id!r} occurs twice")
        sets[one.id] = one.candidates
    return sets


def _candidate(item: object, where: str) -> Candidate:
    if not isinstance(item, dict) or not isinstance(item.get("sql"), str | None):
        raise InputError(f"{where}: a candidate must be an object with 'sql', got {item!r:.80}")
    status = item.get("status")
    if status is not None and status not in list(Status):
        raise InputError(f"{where}: unknown status {status!r}; expected one of {list(Status)}")
    return Candidate(
        sql=item.get("sql"),
        completion=str(item.get("completion", "")),
        status=None if status is None else Status(status),
        error=item.get("error"),
        digest=item.get("digest"),
        row_count=int(item.get("row_count", 0)),
        logprob=item.get("logprob"),
        source=str(item.get("source", "")),
        repaired=item.get("repaired"),
    )
