"""Does the prompt hold the values that the gold query needs? Measured, beside the published method.

    python scripts/bench/values.py --benchmark spider --root SPIDER --split dev

Recall is the share of the gold queries' text literals that occur in their own column of the
database, whatever the case, and that the prompt shows beside that column. The published method is
built here as the comparison: BM25 hits for all 1- to 8-grams of the question, of which those stay
that share a substring of more than 85 % of their length with it.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import run_program
from slmsql.execution import connect, fingerprint
from slmsql.execution.index import create_index
from slmsql.files import write_json
from slmsql.questions.question import Question, with_databases
from slmsql.schema.literals import TextLiteral, text_literals
from slmsql.schema.model import FoundValues, Schema, shown_values
from slmsql.schema.reading import read_schema
from slmsql.sql.quoting import quote_identifier
from slmsql.values.finding import find_values
from slmsql.values.index import cache_folder, open_index
from slmsql.values.search import common_run
from slmsql.words import estimate_tokens

GRAMS = 8
HITS = 10
RATIO = 0.85
MOST = 20
LENGTH = 40


@dataclass(kw_only=True)
class Options(SourceOptions):
    compare: bool = field(default=True, metadata={"help": "measure the published method too"})
    misses: int = field(default=0, metadata={"help": "show so many literals that are not found"})
    json: str = field(default="", metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Measured:
    """What one method achieves; times in milliseconds, tokens are estimates."""

    literals: int
    found: int
    milliseconds: float
    slowest: float
    schema_tokens: float
    missed: tuple[tuple[str, TextLiteral], ...]

    def figures(self) -> dict[str, float]:
        return {
            "literals": self.literals,
            "recall_percent": round(100 * self.found / max(self.literals, 1), 2),
            "mean_ms": round(self.milliseconds, 2),
            "p99_ms": round(self.slowest, 2),
            "mean_schema_tokens": round(self.schema_tokens, 1),
        }


def main() -> None:
    options = parse(Options, about=__doc__)
    asked = options.read_all()
    questions, missing = with_databases(asked)
    databases = {question.database for question in questions}
    seconds = _build(sorted(databases), open_ours)
    print(f"{len(questions)} questions ({len(missing)} without database)")
    print(f"{len(databases)} indexes opened or built in {seconds:.1f} s")
    methods = {"ours": ours}
    if options.compare:
        _build(sorted(databases), published_index)
        methods["published"] = published
    results = {name: measure(questions, find, brief=find is ours) for name, find in methods.items()}
    for name, result in results.items():
        print(f"{name}: {result.figures()}")
        for text, literal in result.missed[: options.misses]:
            print(f"  {literal.table}.{literal.column} = {literal.text!r}: {text}")
    if options.json:
        write_json(Path(options.json), {name: r.figures() for name, r in results.items()})


Find = Callable[[Question], FoundValues]


def ours(question: Question) -> FoundValues:
    return find_values(f"{question.evidence}\n{question.text}", question.database)


def open_ours(database: Path) -> Connection:
    return open_index(database, cache_folder())


def measure(questions: Sequence[Question], find: Find, *, brief: bool) -> Measured:
    """Run a method on all questions."""
    literals = found = 0
    times: list[float] = []
    tokens: list[int] = []
    missed = []
    for question in questions:
        schema = read_schema(question.database, brief=brief)
        start = time.perf_counter()
        values = find(question)
        times.append(1000 * (time.perf_counter() - start))
        tokens.append(estimate_tokens(schema.text(values)))
        shown = shown_values(schema, values)
        for literal in needed(question, schema):
            literals += 1
            if literal.text.lower() in shown[literal.table, literal.column]:
                found += 1
            else:
                missed.append((question.text, literal))
    slowest = sorted(times)[int(0.99 * len(times))]
    mean = statistics.mean(times)
    return Measured(literals, found, mean, slowest, statistics.mean(tokens), tuple(missed))


def needed(question: Question, schema: Schema) -> Iterator[TextLiteral]:
    """The gold query's literals that occur in their own column."""
    for literal in text_literals(question.gold_sql or "", schema):
        if literal.text.lower() in stored(question.database, literal.table, literal.column):
            yield literal


@lru_cache(maxsize=1000)
def stored(database: Path, table: str, column: str) -> frozenset[str]:
    source, name = quote_identifier(table), quote_identifier(column)
    with closing(connect(database)) as connection:
        rows = connection.execute(f"SELECT DISTINCT {name} FROM {source} WHERE {name} IS NOT NULL")
        return frozenset(str(value).lower() for (value,) in rows)


def _build(databases: Sequence[Path], build: Callable[[Path], object]) -> float:
    start = time.perf_counter()
    for database in databases:
        build(database)
    return time.perf_counter() - start


def published(question: Question) -> FoundValues:
    """The published method: BM25 candidates, then the longest common substring."""
    index = published_index(question.database)
    text = f"{question.evidence}\n{question.text}" if question.evidence.strip() else question.text
    hits = {hit for gram in grams(text) for hit in bm25(index, gram)}
    scored = [
        (common_run(value.lower(), text.lower()) / len(value), len(value), (table, column), value)
        for table, column, value in hits
    ]
    found: dict[tuple[str, str], list[str]] = {}
    for score, _, place, value in sorted(scored, reverse=True)[:MOST]:
        if score > RATIO:
            found.setdefault(place, []).append(value)
    return found


def grams(text: str) -> set[str]:
    """All runs of one to eight words, and the whole text."""
    words = "".join(c if c.isalnum() else " " for c in text).split()
    runs = {
        " ".join(words[start : start + size])
        for size in range(1, GRAMS + 1)
        for start in range(len(words) - size + 1)
    }
    return {*runs, " ".join(words)} - {""}


def bm25(index: Connection, gram: str) -> list[tuple[str, str, str]]:
    query = " OR ".join(f'"{word}"' for word in gram.split())
    return index.execute(
        'SELECT "table", "column", c.value FROM search JOIN content c ON c.id = search.rowid'
        " WHERE search MATCH ? ORDER BY bm25(search), c.id LIMIT ?",
        (query, HITS),
    ).fetchall()


@lru_cache(maxsize=256)
def published_index(database: Path) -> Connection:
    path = cache_folder() / "published" / f"{fingerprint(database)[:32]}.sqlite"
    if not path.is_file():
        ours_first = open_ours(database)
        create_index(path, lambda connection: _fill(connection, ours_first))
    return connect(path)


def _fill(connection: Connection, ours_first: Connection) -> None:
    rows = ours_first.execute(
        'SELECT p."table", p."column", v.value FROM value v JOIN place p ON p.id = v.place'
    )
    kept = [row for row in rows if len(row[2]) <= LENGTH and not _is_number(row[2])]
    connection.execute(
        'CREATE TABLE content (id INTEGER PRIMARY KEY, "table" TEXT, "column" TEXT, value TEXT)'
    )
    connection.execute(
        "CREATE VIRTUAL TABLE search USING fts5"
        " (value, content = '', tokenize = 'porter unicode61')"
    )
    for number, row in enumerate(kept, start=1):
        connection.execute("INSERT INTO content VALUES (?, ?, ?, ?)", (number, *row))
        connection.execute("INSERT INTO search (rowid, value) VALUES (?, ?)", (number, row[2]))


def _is_number(value: str) -> bool:
    return value.replace(".", "", 1).replace("-", "", 1).isdigit()


if __name__ == "__main__":
    run_program(main)
