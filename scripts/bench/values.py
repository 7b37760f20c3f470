"""Does the prompt show the values that the gold query needs? Ours beside the published method.

    python scripts/bench/values.py --benchmark spider --root SPIDER --split dev

Takes the text literals of the gold queries that occur, in upper or lower case, in their own column
of the database. Recall is the share of them that the prompt shows beside that column. The program
also prints the time of a search, and the mean length of the schema's text in tokens (an estimate).

The published method is built here for comparison: BM25 hits for all 1- to 8-grams of the question,
kept if they share a substring of more than 85 % of their length with it.

A good result: a higher recall than the published method's, with fewer tokens (docs/data.md).
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
from slmsql.questions.words import estimate_tokens
from slmsql.schema.literals import TextLiteral, text_literals
from slmsql.schema.model import RetrievedValues, Schema, shown_values
from slmsql.schema.reading import read_schema
from slmsql.sql.quoting import quote_identifier
from slmsql.values.finding import find_values
from slmsql.values.index import cache_folder, open_index
from slmsql.values.search import common_substring_length

# The published method
LONGEST_GRAM = 8  # words
HITS_OF_A_GRAM = 10
SCORED_VALUES = 20
LEAST_OVERLAP = 0.85  # of a value's length
LONGEST_VALUE = 40  # characters; longer ones are not indexed


@dataclass(kw_only=True)
class Options(SourceOptions):
    compare: bool = field(default=True, metadata={"help": "measure the published method too"})
    misses: int = field(
        default=0, metadata={"help": "number of literals to print that are not shown"}
    )
    json: str = field(default="", metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Recall:
    """What a method achieves; `mean_tokens` is that of the schema's text, an estimate."""

    literals: int
    shown: int
    mean_ms: float
    p99_ms: float
    mean_tokens: float
    misses: tuple[tuple[str, TextLiteral], ...]
    """The question's text and the literal that the prompt does not show."""

    def figures(self) -> dict[str, float]:
        return {
            "literals": self.literals,
            "recall_percent": round(100 * self.shown / max(self.literals, 1), 2),
            "mean_ms": round(self.mean_ms, 2),
            "p99_ms": round(self.p99_ms, 2),
            "mean_schema_tokens": round(self.mean_tokens, 1),
        }


Search = Callable[[Question], RetrievedValues]


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, missing = with_databases(options.read_all())
    databases = sorted({question.database for question in questions})
    start = time.perf_counter()
    for database in databases:
        open_ours(database)
    seconds = time.perf_counter() - start
    print(f"{len(questions)} questions ({len(missing)} without database)")
    print(f"{len(databases)} indexes opened or built in {seconds:.1f} s")
    results = {"ours": measure(questions, search_ours, brief=True)}
    if options.compare:
        for database in databases:
            open_published(database)
        results["published"] = measure(questions, search_published, brief=False)
    for name, result in results.items():
        print(f"{name}: {result.figures()}")
        for text, literal in result.misses[: options.misses]:
            print(f"  {literal.table}.{literal.column} = {literal.text!r}: {text}")
    if options.json:
        write_json(Path(options.json), {name: r.figures() for name, r in results.items()})


def measure(questions: Sequence[Question], search: Search, *, brief: bool) -> Recall:
    """Search values for all questions; `brief` as for `read_schema`."""
    literals = shown_count = 0
    milliseconds: list[float] = []
    tokens: list[int] = []
    misses = []
    for question in questions:
        schema = read_schema(question.database, brief=brief)
        start = time.perf_counter()
        values = search(question)
        milliseconds.append(1000 * (time.perf_counter() - start))
        tokens.append(estimate_tokens(schema.text(values)))
        shown = shown_values(schema, values)
        for literal in needed_literals(question, schema):
            literals += 1
            if literal.text.lower() in shown[literal.table, literal.column]:
                shown_count += 1
            else:
                misses.append((question.text, literal))
    return Recall(
        literals,
        shown_count,
        mean_ms=statistics.mean(milliseconds),
        p99_ms=sorted(milliseconds)[int(0.99 * len(milliseconds))],
        mean_tokens=statistics.mean(tokens),
        misses=tuple(misses),
    )


def needed_literals(question: Question, schema: Schema) -> Iterator[TextLiteral]:
    """The gold query's literals that occur in their own column."""
    for literal in text_literals(question.gold_sql or "", schema):
        if literal.text.lower() in stored_values(question.database, literal.table, literal.column):
            yield literal


@lru_cache(maxsize=1000)
def stored_values(database: Path, table: str, column: str) -> frozenset[str]:
    """The values of a column, in lower case."""
    source, name = quote_identifier(table), quote_identifier(column)
    with closing(connect(database)) as connection:
        rows = connection.execute(f"SELECT DISTINCT {name} FROM {source} WHERE {name} IS NOT NULL")
        return frozenset(str(value).lower() for (value,) in rows)


def search_ours(question: Question) -> RetrievedValues:
    return find_values(question.text_with_evidence, question.database)


def open_ours(database: Path) -> Connection:
    return open_index(database, cache_folder())


def search_published(question: Question) -> RetrievedValues:
    """BM25 candidates, then the longest common substring."""
    index = open_published(question.database)
    text = f"{question.evidence}\n{question.text}" if question.evidence.strip() else question.text
    hits = {hit for gram in grams(text) for hit in bm25_hits(index, gram)}
    scored = [
        (
            common_substring_length(value.lower(), text.lower()) / len(value),
            len(value),
            (table, column),
            value,
        )
        for table, column, value in hits
    ]
    values: dict[tuple[str, str], list[str]] = {}
    for overlap, _, place, value in sorted(scored, reverse=True)[:SCORED_VALUES]:
        if overlap > LEAST_OVERLAP:
            values.setdefault(place, []).append(value)
    return values


def grams(text: str) -> set[str]:
    """All runs of one to eight words, and the whole text."""
    words = "".join(c if c.isalnum() else " " for c in text).split()
    runs = {
        " ".join(words[start : start + size])
        for size in range(1, LONGEST_GRAM + 1)
        for start in range(len(words) - size + 1)
    }
    return {*runs, " ".join(words)} - {""}


def bm25_hits(index: Connection, gram: str) -> list[tuple[str, str, str]]:
    """Table, column and value of the best hits of a gram."""
    query = " OR ".join(f'"{word}"' for word in gram.split())
    return index.execute(
        'SELECT "table", "column", c.value FROM search JOIN content c ON c.id = search.rowid'
        " WHERE search MATCH ? ORDER BY bm25(search), c.id LIMIT ?",
        (query, HITS_OF_A_GRAM),
    ).fetchall()


@lru_cache(maxsize=256)
def open_published(database: Path) -> Connection:
    """The published method's index, filled with the values of ours when it is first opened."""
    path = cache_folder() / "published" / f"{fingerprint(database)[:32]}.sqlite"
    if not path.is_file():
        source = open_ours(database)
        create_index(path, lambda index: _fill(index, source))
    return connect(path)


def _fill(index: Connection, source: Connection) -> None:
    rows = source.execute(
        'SELECT p."table", p."column", v.value FROM value v JOIN place p ON p.id = v.place'
    )
    index.execute(
        'CREATE TABLE content (id INTEGER PRIMARY KEY, "table" TEXT, "column" TEXT, value TEXT)'
    )
    index.execute(
        "CREATE VIRTUAL TABLE search USING fts5"
        " (value, content = '', tokenize = 'porter unicode61')"
    )
    short = [row for row in rows if len(row[2]) <= LONGEST_VALUE and not _is_number(row[2])]
    for number, row in enumerate(short, start=1):
        index.execute("INSERT INTO content VALUES (?, ?, ?, ?)", (number, *row))
        index.execute("INSERT INTO search (rowid, value) VALUES (?, ?)", (number, row[2]))


def _is_number(value: str) -> bool:
    return value.replace(".", "", 1).replace("-", "", 1).isdigit()


if __name__ == "__main__":
    run_program(main)
