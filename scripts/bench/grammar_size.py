"""How long does `--constrain schema` take to begin with a database, and how large is its grammar?

    python scripts/bench/grammar_size.py --tokenizer models/smollm2 \\
        --databases spider/database/*/*.sqlite

Times are processor seconds of one thread. "Reader" is what vLLM and transformers use in their own
process: the time until the first tokens of a statement are known. "Grammar" is what a vLLM server
gets: its size in EBNF, and how long xgrammar compiles it. Besides the databases, it measures made
schemas of 10, 100 and 1,000 columns.

A good result: the reader begins within 0.1 s for each Spider database, and within 1 s for 1,000
columns.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.execution import create_database
from slmsql.files import write_json
from slmsql.grammar.constraint import Constraints
from slmsql.grammar.ebnf import select_grammar
from slmsql.prompt.build import Layout
from slmsql.schema.reading import read_schema

SIZES = (10, 100, 1_000)
COLUMNS_OF_A_TABLE = 10
BEGINNING = "SELECT T1."  # until the first name


@dataclass(kw_only=True)
class Options:
    tokenizer: str = field(metadata={"help": "model whose tokenizer is used: folder or name"})
    databases: list[Path] = field(default_factory=list, metadata={"help": "SQLite files"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Size:
    """What one database takes; times in processor seconds."""

    database: str
    columns: int
    reader_seconds: float
    """Until the tokens after `SELECT T1.` are known."""
    grammar_bytes: int
    grammar_seconds: float
    """Of xgrammar's compiler."""


def main() -> None:
    from transformers import AutoTokenizer

    options = parse(Options, about=__doc__)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    measured = measure(tokenizer, len(tokenizer), options.databases)
    print(report(measured))
    if options.json:
        write_json(options.json, [asdict(size) for size in measured])


def measure(tokenizer: Any, width: int, databases: Sequence[Path]) -> list[Size]:
    """The sizes of the databases, then of the made ones."""
    constraints = Constraints(tokenizer, width, [tokenizer.eos_token_id])
    compiler = _compiler(tokenizer, width)
    sizes = [_size(constraints, compiler, tokenizer, database) for database in databases]
    with TemporaryDirectory() as folder:
        for number in SIZES:
            made = Path(folder) / f"{number}_columns.sqlite"
            create_database(made, made_script(number))
            sizes.append(_size(constraints, compiler, tokenizer, made))
    return sizes


def made_script(columns: int) -> str:
    """Tables of ten columns each; every name is used once, except `id`."""
    tables = []
    for table in range(columns // COLUMNS_OF_A_TABLE):
        names = [f"field_{table}_{column} TEXT" for column in range(1, COLUMNS_OF_A_TABLE)]
        tables.append(f"CREATE TABLE part_{table} (id INTEGER, {', '.join(names)});")
    return "\n".join(tables)


def report(sizes: Sequence[Size]) -> str:
    """A line for the databases that were given, and one for each made schema."""
    given, made = sizes[: -len(SIZES)], sizes[-len(SIZES) :]
    lines = []
    if given:
        slowest = max(given, key=lambda size: size.reader_seconds)
        mean = sum(size.reader_seconds for size in given) / len(given)
        lines.append(
            f"{len(given)} databases: the reader begins in {1000 * mean:.0f} ms on average, "
            f"{1000 * slowest.reader_seconds:.0f} ms at most ({slowest.database}, "
            f"{slowest.columns} columns); the grammar compiles in "
            f"{max(size.grammar_seconds for size in given):.2f} s at most"
        )
    lines += [
        f"{size.columns:>5,} columns: reader {1000 * size.reader_seconds:.0f} ms; grammar of "
        f"{size.grammar_bytes:,} bytes, compiled in {size.grammar_seconds:.2f} s"
        for size in made
    ]
    return "\n".join(lines)


def _size(
    constraints: Constraints, compiler: Callable[[str], Any], tokenizer: Any, database: Path
) -> Size:
    schema = read_schema(database, sample_values=0)
    gc.collect()  # or it runs within some measurement, for the objects of all before
    began = process_time()
    text = constraints.begin(database, Layout.SQL)
    for token in tokenizer.encode(BEGINNING, add_special_tokens=False):
        text.allowed()
        text.accept(token)
    text.allowed()
    reader_seconds = process_time() - began
    began = process_time()
    grammar = select_grammar(schema, Layout.SQL)
    compiler(grammar)
    grammar_seconds = process_time() - began
    columns = sum(len(table.columns) for table in schema.tables)
    return Size(database.stem, columns, reader_seconds, len(grammar.encode()), grammar_seconds)


def _compiler(tokenizer: Any, width: int) -> Callable[[str], Any]:
    from xgrammar import Grammar, GrammarCompiler, TokenizerInfo

    info = TokenizerInfo.from_huggingface(tokenizer, vocab_size=width)
    compiler = GrammarCompiler(info, max_threads=1, cache_enabled=False)
    return lambda text: compiler.compile_grammar(Grammar.from_ebnf(text))


if __name__ == "__main__":
    run_program(main)
