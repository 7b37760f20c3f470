"""Candidates: several SQL queries for a question, from our sampler or from prediction files."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeGuard

from slmsql.consistency.prediction import read_samples
from slmsql.errors import InputError
from slmsql.execution import Execution, Executor, Statement, Status, database_fault
from slmsql.execution.engines.address import is_url, name_of
from slmsql.execution.types import INFRASTRUCTURE
from slmsql.files import Record, read_jsonl
from slmsql.match import Match
from slmsql.questions.question import Question

COSTS = ("prompt_tokens", "tokens", "seconds")  # of a question, in `candidates.jsonl`


@dataclass(frozen=True, slots=True)
class Candidate:
    """One SQL query and, once it has run, its outcome."""

    sql: str | None
    """None if the completion contains no SQL."""
    completion: str = ""
    status: Status | None = None
    """None until the SQL has run."""
    error: str | None = None
    digest: str | None = None
    """Hash of the result in the match mode in which it ran; votes are grouped by it. Files have
    that of mode `bird`, the set of rows, where 1 equals 1.0. None unless it ran."""
    row_count: int = 0
    logprob: float | None = None
    """Mean log-probability of the completion's tokens, if the sampler reports it."""
    source: str = ""
    """The prediction file it was read from; empty for our own samples."""
    repaired: str | None = None
    """The failed SQL that this one replaces."""
    finish: str = ""
    """Why the completion ended, if the sampler says so: "stop", "length" ..."""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @property
    def is_empty(self) -> bool:
        return self.ok and self.row_count == 0

    def as_record(self) -> Record:
        """Its fields; those without content are left out."""
        blank = (None, "") if self.ok else (None, "", 0)
        return {k: v for k, v in asdict(self).items() if k == "sql" or v not in blank}


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """All candidates of one question, in the order in which they were sampled."""

    id: str
    db_id: str
    database: Path
    candidates: tuple[Candidate, ...]
    first_round: int | None = None
    """Number of candidates of the first round, if the vote may have stopped the sampling after it;
    None if the number of candidates was fixed beforehand."""

    @property
    def has_no_answer(self) -> bool:
        """Whether the model could not be asked at all, such as with a prompt that is too long."""
        return len(self.candidates) == 1 and self.candidates[0].sql is None

    def as_record(self) -> Record:
        """One line of `candidates.jsonl`; `samples` is the number of candidates."""
        first_round = {} if self.first_round is None else {"first_round": self.first_round}
        return {
            "id": self.id,
            "db_id": self.db_id,
            "database": str(self.database),
            "samples": len(self.candidates),
            **first_round,
            "candidates": [candidate.as_record() for candidate in self.candidates],
        }


def read_candidates(
    files: Sequence[Path],
    questions: Sequence[Question],
    *,
    wanted: Sequence[Question] | None = None,
) -> list[CandidateSet]:
    """Collect the candidates of each question from any number of files.

    A file is our `candidates.jsonl`, or samples in any form that `read_samples` takes; each
    sample is then one candidate. List all shards of a run. A question's candidates keep the
    order of the files.

    Args:
        files: where the candidates are.
        questions: every question that the files may answer.
        wanted: the questions to return, if not all.

    Raises:
        InputError: a record is malformed, an id is not among the questions, or no file has a
            candidate for a wanted question.
    """
    wanted = questions if wanted is None else wanted
    by_id = {q.id: CandidateSet(q.id, q.db_id, q.database, ()) for q in questions}
    for file in files:
        for identity, candidate_set in _read(file, questions).items():
            if identity not in by_id:
                raise InputError(f"{file}: {identity!r} is not among the questions")
            by_id[identity] = _joined(by_id[identity], candidate_set)
    if empty := [question.id for question in wanted if not by_id[question.id].candidates]:
        more = f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise InputError(f"no candidate for {empty[0]!r}{more} in {', '.join(map(str, files))}")
    return [by_id[question.id] for question in wanted]


def fixed_count(sets: Sequence[CandidateSet]) -> int | None:
    """The number of leading candidates that each question has whatever the candidates say.

    Only these give an unbiased pass@k. A vote that is decided stops the sampling, so the number of
    all candidates of a question depends on which of them are right. Questions that the model could
    not be asked do not count.

    Returns:
        The number of candidates if all questions have equally many, or the size of the first round
        if the sampler recorded it. None if questions have different numbers and no first round is
        recorded.
    """
    asked = [candidate_set for candidate_set in sets if not candidate_set.has_no_answer] or sets
    counts = {len(s.candidates) if s.first_round is None else s.first_round for s in asked}
    if len(counts) == 1 or any(s.first_round is not None for s in asked):
        return min(counts)
    return None


def run_candidates(
    sets: Sequence[CandidateSet], executor: Executor, match: Match = Match.BIRD
) -> list[CandidateSet]:
    """Run the candidates that have not run yet; equal statements on a database run once.

    Args:
        sets: the candidates. Those that have run have the digests of mode `bird`, unless this
            function returned them.
        executor: where the SQL runs.
        match: the mode of the digests. In another mode than `bird`, all candidates that ran run
            again in it.

    Raises:
        InputError: a server failed, which says nothing about the candidates.
    """
    statements = [
        Statement(candidate_set.database, candidate.sql)
        for candidate_set in sets
        for candidate in candidate_set.candidates
        if _must_run(candidate, match)
    ]
    executions = iter(_reached(statements, executor.run(statements, match=match)))
    return [
        replace(
            candidate_set, candidates=tuple(_executed(candidate_set.candidates, executions, match))
        )
        for candidate_set in sets
    ]


def _reached(
    statements: Sequence[Statement], executions: Sequence[Execution]
) -> Sequence[Execution]:
    """The executions, if the servers ran all of them."""
    for statement, execution in zip(statements, executions, strict=True):
        if execution.kind == INFRASTRUCTURE and is_url(statement.database):
            raise InputError(f"{name_of(statement.database)}: {execution.error}")
    return executions


def _must_run(candidate: Candidate, match: Match) -> bool:
    return candidate.status is None or (candidate.ok and match is not Match.BIRD)


def _executed(
    candidates: Sequence[Candidate], executions: Iterator[Execution], match: Match
) -> Iterator[Candidate]:
    for candidate in candidates:
        if _must_run(candidate, match):
            yield with_execution(candidate, next(executions))
        else:
            yield candidate


def with_databases(sets: Iterable[CandidateSet]) -> tuple[list[CandidateSet], list[CandidateSet]]:
    """Split sets into those with a usable database and the others."""
    faults: dict[Path, str | None] = {}
    present: list[CandidateSet] = []
    missing: list[CandidateSet] = []
    for candidate_set in sets:
        database = candidate_set.database
        if database not in faults:
            faults[database] = database_fault(database)
        (present if faults[database] is None else missing).append(candidate_set)
    return present, missing


def read_record(record: Record, where: str) -> CandidateSet:
    """Read one line of `candidates.jsonl`; errors call it `where`."""
    for name in ("id", "candidates"):
        if name not in record:
            raise InputError(f"{where}: no {name!r}; it has {sorted(record)}")
    if not isinstance(record["candidates"], list):
        raise InputError(f"{where}: 'candidates' must be a list")
    candidates = tuple(_candidate(item, where) for item in record["candidates"])
    for name in (*COSTS, "first_round"):
        if name in record:
            _check_number(record[name], f"{where}: {name!r}")
    first_round = record.get("first_round")
    return CandidateSet(
        id=str(record["id"]),
        db_id=str(record.get("db_id", "")),
        database=Path(str(record.get("database", ""))),
        candidates=candidates,
        first_round=None if first_round is None else int(first_round),
    )


def with_execution(candidate: Candidate, execution: Execution) -> Candidate:
    """The candidate with the outcome of its execution."""
    return replace(
        candidate,
        status=execution.status,
        error=execution.error,
        digest=execution.digest,
        row_count=execution.row_count,
    )


def _joined(first: CandidateSet, second: CandidateSet) -> CandidateSet:
    """The candidates of both, in this order. The first ones are fixed up to the first adaptive."""
    first_round = first.first_round
    if first_round is None and second.first_round is not None:
        first_round = len(first.candidates) + second.first_round
    candidates = (*first.candidates, *second.candidates)
    return replace(first, candidates=candidates, first_round=first_round)


def is_mean_logprob(value: object) -> bool:
    """Whether a value can be the mean log-probability of tokens."""
    return _is_finite(value) and value <= 0


def _read(file: Path, questions: Sequence[Question]) -> Mapping[str, CandidateSet]:
    if file.suffix == ".jsonl" and "candidates" in next(read_jsonl(file), {}):
        return _from_sets(file)
    samples = read_samples(file, questions)
    return {
        identity: CandidateSet(
            identity,
            "",
            Path(),
            tuple(Candidate(sql or None, source=str(file)) for sql in texts),
        )
        for identity, texts in samples.items()
    }


def _from_sets(file: Path) -> dict[str, CandidateSet]:
    sets: dict[str, CandidateSet] = {}
    for number, record in enumerate(read_jsonl(file), start=1):
        candidate_set = read_record(record, f"{file}:{number}")
        if candidate_set.id in sets:
            raise InputError(f"{file}:{number}: the id {candidate_set.id!r} occurs twice")
        sets[candidate_set.id] = candidate_set
    return sets


def _candidate(item: object, where: str) -> Candidate:
    if not isinstance(item, dict) or not isinstance(item.get("sql"), str | None):
        raise InputError(f"{where}: a candidate must be an object with 'sql', got {item!r:.80}")
    status = item.get("status")
    if status is not None and status not in list(Status):
        raise InputError(
            f"{where}: unknown status {status!r:.80}; expected one of {', '.join(Status)}"
        )
    for name in ("error", "digest", "repaired"):
        if not isinstance(item.get(name), str | None):
            raise InputError(f"{where}: {name!r} must be text, got {item[name]!r:.80}")
    row_count = item.get("row_count", 0)
    _check_number(row_count, f"{where}: 'row_count'")
    logprob = item.get("logprob")
    if logprob is not None and not is_mean_logprob(logprob):
        raise InputError(
            f"{where}: 'logprob' must be a finite number and at most 0, got {logprob!r:.80}"
        )
    return Candidate(
        sql=item.get("sql"),
        completion=str(item.get("completion", "")),
        status=None if status is None else Status(status),
        error=item.get("error"),
        digest=item.get("digest"),
        row_count=int(row_count),
        logprob=logprob,
        source=str(item.get("source", "")),
        repaired=item.get("repaired"),
        finish=str(item.get("finish", "")),
    )


def _check_number(value: object, where: str) -> None:
    """Raise unless a value is a number that can count something."""
    if not (_is_finite(value) and value >= 0):
        raise InputError(f"{where} must be a number and at least 0, got {value!r:.80}")


def _is_finite(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max
