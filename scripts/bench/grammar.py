"""Does `--constrain schema` let every query through that runs, and none that does not compile?

    python scripts/bench/grammar.py --questions dev.json --databases database
    python scripts/bench/grammar.py --questions dev.json --databases database \\
        --predictions predictions/*.jsonl --random 20

Without predictions, the gold queries that SQLite compiles are read; with predictions, those of the
predictions that it compiles. Each query that is refused is printed with the text up to its fault,
and the reason. With `--tokenizer`, a query counts as accepted only if each of its tokens is allowed
where it comes.
With `--random N`, N statements are written at random over each database, and SQLite compiles them.

A good result: at least 99.5 % accepted, at least 99 of 100 random statements compile, and none of
them names a table that does not exist.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from sqlite3 import Error
from string import ascii_lowercase
from typing import Any

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import run_program
from slmsql.execution import reading
from slmsql.grammar.binding import Binding
from slmsql.grammar.constraint import Constraints
from slmsql.grammar.lexemes import DOT, END, Lexeme, last, split
from slmsql.grammar.masks import Masks
from slmsql.grammar.names import Names, is_plain
from slmsql.grammar.references import FROM_CLAUSES
from slmsql.grammar.scopes import STAR, Query, State
from slmsql.grammar.vocabulary import Vocabulary, indices
from slmsql.grammar.words import AGGREGATES, BINARY, COMPOUNDS, KEYWORDS
from slmsql.prompt.build import Layout
from slmsql.questions.question import with_databases
from slmsql.schema.reading import read_schema

CLOSERS = frozenset({")", "end", "from", "then", "when"})
OPENERS = frozenset(
    [
        "(",
        ",",
        ".",
        "=",
        "<=",
        "+",
        "-",
        "||",
        "*",
        "case",
        "cast",
        "exists",
        "not",
        "with",
        "natural",
    ]
).union(AGGREGATES, BINARY, COMPOUNDS)
LETTERS = ascii_lowercase + "_0123456789"
MOST_TOKENS = 300  # of a random statement
SOON = 15  # from this many on, a random statement takes every chance to end


@dataclass(kw_only=True)
class Options(SourceOptions):
    predictions: list[Path] = field(
        default_factory=list, metadata={"help": "files of id and sql, instead of the gold queries"}
    )
    tokenizer: str = field(
        default="", metadata={"help": "model in whose tokens the queries are read: folder or name"}
    )
    random: int = field(default=0, metadata={"help": "random statements for each database"})
    random_databases: int = field(default=50, metadata={"help": "databases of random statements"})
    shown: int = field(default=20, metadata={"help": "refused queries to print"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, _missing = with_databases(options.read_all())
    if not options.predictions:
        statements = {(q.database, q.gold_sql) for q in questions if q.gold_sql}
    else:
        by_id = {question.id: question.database for question in questions}
        statements = {
            (by_id[name], sql)
            for file in options.predictions
            for name, sql in read_predictions(file, questions).items()
            if name in by_id and sql
        }
    reader = token_reader(options.tokenizer) if options.tokenizer else lexeme_reader
    print(acceptance(sorted(statements), reader, options.shown))
    if options.random:
        databases = sorted({question.database for question in questions})
        some = databases[: options.random_databases]
        print(random_report(some, options.random, options.shown))


Reader = Callable[[Path], Callable[[str], str]]
"""For a database: what finds a statement's fault and its reason; empty if it is accepted."""


def acceptance(statements: Sequence[tuple[Path, str]], reader: Reader, shown: int) -> str:
    """How many of the statements that SQLite compiles are accepted, and the first of the others."""
    compiled, refused = 0, []
    for database, of_database in groupby(statements, key=itemgetter(0)):
        refused_at = reader(database)
        for _, sql in of_database:
            if compile_error(database, sql) is None:
                compiled += 1
                fault = refused_at(sql)
                if fault:
                    refused.append(f"  {fault}   in: {' '.join(sql.split()):.200}")
    share = 1 - len(refused) / max(compiled, 1)
    lines = [f"{compiled - len(refused)} of {compiled} accepted ({share:.2%})", *refused[:shown]]
    return "\n".join(lines)


def names_of(database: Path) -> Names:
    return Names.of(read_schema(database, sample_values=0)).as_bytes()


def lexeme_reader(database: Path) -> Callable[[str], str]:
    """Reads statements lexeme by lexeme."""
    return partial(refused_at, Binding(names_of(database)))


def token_reader(model: str) -> Reader:
    """Reads statements in the tokens of a model."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    constraints = Constraints(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    return lambda database: partial(refused_token, constraints, tokenizer, database)


def refused_token(constraints: Constraints, tokenizer: Any, database: Path, sql: str) -> str:
    """The end of the statement up to the first token that is blocked; empty if none is."""
    text = constraints.begin(database, Layout.SQL)
    tokens = [*tokenizer.encode(sql, add_special_tokens=False), tokenizer.eos_token_id]
    for index, token in enumerate(tokens):
        if not text.allowed() >> token & 1:
            before = " ".join(tokenizer.decode(tokens[: index + 1]).split())
            refused = refused_at(Binding(names_of(database)), sql)
            return refused or f"...{before[-60:]} (the token is blocked, not the lexeme)"
        text.accept(token)
    return ""


def refused_at(binding: Binding, sql: str) -> str:
    """The end of the statement up to the first lexeme that is refused, and why; or nothing."""
    lexemes, rest = split(sql.encode().decode("latin-1"))
    final = last(rest) if rest else None
    state, read = binding.start, ""
    for lexeme in (*lexemes, *([final] if final else []), END):
        read += f" {lexeme.text}"
        after = binding.read(state, lexeme)
        if after is None:
            return f"...{read[-60:]} ({reason(binding, state, lexeme)})"
        state = after
    return ""


def reason(binding: Binding, state: State, lexeme: Lexeme) -> str:
    """Why a lexeme may not come."""
    if state.word and lexeme == DOT:
        return f"{state.word} stands for no table here and is no usual alias"
    if binding.resolved(state) is None:
        return f"no table or usual subquery has exactly one column {state.word}"
    if state.previous == ".":
        return f"{state.qualifier} can have no column {lexeme.text}"
    query = state.query
    if query.clause in FROM_CLAUSES:
        waiting = sorted(f"{alias}.{column}" for alias, column in query.pending if alias)
        if waiting:
            return f"FROM has not brought {', '.join(waiting)} yet"
    return "it cannot follow here"


def compile_error(database: Path, sql: str) -> str | None:
    """SQLite's message if it does not compile a statement, which is not run."""
    with reading(database) as connection:
        try:
            connection.execute(f"EXPLAIN {sql}")
        except Error as error:
            return str(error)
    return None


def random_report(databases: Sequence[Path], number: int, shown: int) -> str:
    """What SQLite says to random statements over each database."""
    errors: Counter[str] = Counter()
    examples: list[str] = []
    written = 0
    for database in databases:
        generator = random.Random(database.stem)
        names = names_of(database)
        vocabulary = Vocabulary([token.encode("latin-1") for token in random_tokens(names)])
        masks = Masks(names, vocabulary, in_answer=False)
        for _ in range(number):
            sql = (
                random_statement(masks, vocabulary, generator)
                .encode("latin-1")
                .decode("utf-8", "replace")
            )
            written += bool(sql)
            error = compile_error(database, sql) if sql else None
            if error:
                errors[re.split(r"[:\"]", error)[0]] += 1
                examples.append(f"  {error}: {sql:.2000}")
    share = 1 - errors.total() / max(written, 1)
    counts = ", ".join(f"{count} {error}" for error, count in errors.most_common()) or "no error"
    header = f"{written} random statements over {len(databases)} databases: {share:.2%} compile"
    return "\n".join([f"{header} ({counts})", *examples[:shown]])


def random_tokens(names: Names) -> list[str]:
    """Tokens of random statements: the words of SQL, the names of the database, and letters."""
    plain = sorted(name for name in names.columns.union(names.tables) if is_plain(name))
    quoted = sorted(f'"{name}"' for name in names.columns.union(names.tables))
    words = [*sorted(KEYWORDS), *AGGREGATES, "rank", "lag", "abs", "round", "substr", "date"]
    words += [*plain * 5, *quoted]
    marks = [*"(),.=;)))", " *", " <=", " +", " -", "||", " 1", " 2", " 30", " 'x'", ".*"]
    aliases = [f" {alias}" for alias in ("t1", "t2", "a", "num")] * 2
    columns = [f".{column}" for column in plain]
    letters = sorted({*LETTERS, *"".join(plain)})
    return [f" {word}" for word in words] + marks + aliases + columns + letters


def random_statement(masks: Masks, vocabulary: Vocabulary, generator: random.Random) -> str:
    """A statement of random tokens; empty if it has not ended after many of them."""
    state, rest, sql = masks.binding.start, "", ""
    for length in range(MOST_TOKENS):
        if masks.may_end(state, rest) and (length > SOON or generator.random() < 0.1):
            return sql
        allowed: Sequence[int] = indices(masks.mask(state, rest))
        if not allowed:
            return sql if masks.may_end(state, rest) else f"{sql} (a dead end)"
        if length > SOON:
            allowed = _ending(allowed, vocabulary, masks, state, rest)
        words = [token for token in allowed if vocabulary.texts[token] not in LETTERS]
        takes_word = words and generator.random() < 0.95
        text = vocabulary.texts[generator.choice(words if takes_word else allowed)]
        read = masks.read(state, rest + text)
        if read is None:
            return f"{sql}{text} (a token that should have been blocked)"
        (state, rest), sql = read, sql + text
    return ""


def awaited(masks: Masks, state: State) -> frozenset[str]:
    """The tables or aliases in FROM for which columns before FROM wait."""
    query, resolved = state.query, masks.binding.resolved(state)
    if query.clause not in FROM_CLAUSES or resolved is None:
        return frozenset()
    missing = {(alias, column) for alias, column in query.pending if lacks(query, alias, column)}
    aliases = {alias for alias, _ in missing}
    if query.source and resolved.previous in ("table", "as"):
        columns = {STAR, *query.source.columns}
        return frozenset(aliases).difference(
            alias for alias, column in missing if column not in columns
        )
    waiting = {column for _, column in missing}
    waiting -= {column for source in query.sources for column in source.columns}
    tables = masks.binding.references.visible_tables(state)
    return frozenset(table.name for table in tables if waiting & set(table.columns))


def lacks(query: Query, alias: str, column: str) -> bool:
    """Whether FROM has not brought a column yet."""
    columns = query.columns_of(alias)
    return columns is None or column not in (STAR, *columns)


def _ending(
    allowed: Sequence[int], vocabulary: Vocabulary, masks: Masks, state: State, rest: str
) -> Sequence[int]:
    """The tokens that bring a statement nearest to its end."""
    texts = {token: vocabulary.texts[token] for token in allowed}
    wanted = awaited(masks, state)
    argument = [token for token, text in texts.items() if text == ","]
    preferred = (
        [
            t
            for t, text in texts.items()
            if any(n.startswith((rest + text).strip()) for n in wanted)
        ],
        [token for token, text in texts.items() if text.strip() in CLOSERS],
        argument if state.parens else [],
        [token for token, text in texts.items() if text.strip() not in OPENERS],
        argument,
    )
    return next(filter(None, preferred), allowed)


if __name__ == "__main__":
    run_program(main)
