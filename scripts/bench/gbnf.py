"""Does llama.cpp accept every query that runs, under the grammar of `--constrain schema`?

    python scripts/bench/gbnf.py --model MODEL.gguf --questions dev.json --databases database

Reads the gold queries that SQLite compiles, token by token, and prints those that the grammar
refuses. It also prints the processor time of a check of the whole vocabulary, which llama.cpp makes
each time the grammar refuses the token that it drew.

A good result: what is refused names columns that a subquery in FROM defines, which this grammar
cannot know.
"""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import isinf
from operator import itemgetter
from pathlib import Path
from typing import Any

from scripts.bench.grammar import compile_error
from scripts.export.llama_cpp import LlamaVocabulary, library
from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import InputError, run_program
from slmsql.grammar.ebnf import select_grammar
from slmsql.prompt.build import Layout
from slmsql.questions.question import with_databases
from slmsql.schema.reading import read_schema


@dataclass(kw_only=True)
class Options(SourceOptions):
    model: Path = field(metadata={"help": "GGUF file; only its vocabulary is used"})
    shown: int = field(default=20, metadata={"help": "refused queries to print"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, _missing = with_databases(options.read_all())
    statements = sorted({(q.database, q.gold_sql) for q in questions if q.gold_sql})
    with LlamaVocabulary(options.model) as vocabulary:
        print(acceptance(vocabulary, statements, options.shown))


def acceptance(
    vocabulary: LlamaVocabulary, statements: Sequence[tuple[Path, str]], shown: int
) -> str:
    """How many of the statements that SQLite compiles are accepted, and the first of the others."""
    compiled, refused, seconds = 0, [], []
    for database, of_database in groupby(statements, key=itemgetter(0)):
        schema = read_schema(database, sample_values=0)
        reader = GrammarReader(vocabulary, select_grammar(schema, Layout.SQL))
        for _, sql in of_database:
            if compile_error(database, sql) is None:
                compiled += 1
                if not reader.accepts(sql):
                    refused.append(f"  {' '.join(sql.split()):.200}")
                seconds.append(reader.seconds_for_all())
        reader.close()
    share = 1 - len(refused) / max(compiled, 1)
    lines = [
        f"{compiled - len(refused)} of {compiled} accepted ({share:.2%}); to check every token at "
        f"the end of a query takes {1000 * sum(seconds) / max(compiled, 1):.1f} ms (mean)",
        *refused[:shown],
    ]
    return "\n".join(lines)


class _Candidate(ctypes.Structure):
    """A token that may come next: llama_token_data."""

    _fields_ = (("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float))


class _Candidates(ctypes.Structure):
    """Tokens that may come next: llama_token_data_array."""

    _fields_ = (
        ("data", ctypes.POINTER(_Candidate)),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    )


class GrammarReader:
    """Reads texts by one grammar, as llama.cpp does while it samples.

    Raises:
        InputError: llama.cpp cannot read the grammar.
    """

    def __init__(self, vocabulary: LlamaVocabulary, grammar: str) -> None:
        self._vocabulary = vocabulary
        self._library = _library()
        self._sampler = self._library.llama_sampler_init_grammar(
            vocabulary.pointer, grammar.encode(), b"root"
        )
        if not self._sampler:
            raise InputError(f"llama.cpp cannot read the grammar {grammar:.100}")
        self._end = self._library.llama_vocab_eos(vocabulary.pointer)
        self._size = self._library.llama_vocab_n_tokens(vocabulary.pointer)

    def close(self) -> None:
        self._library.llama_sampler_free(self._sampler)

    def accepts(self, text: str) -> bool:
        """Whether a completion may be this text."""
        self._library.llama_sampler_reset(self._sampler)
        for token in self._vocabulary.ids(text):
            if not self._allows([token]):
                return False
            self._library.llama_sampler_accept(self._sampler, token)
        return self._allows([self._end])

    def seconds_for_all(self) -> float:
        """Processor time to check every token of the vocabulary where the last text ended."""
        start = time.thread_time()
        self._allows(range(self._size))
        return time.thread_time() - start

    def _allows(self, tokens: Sequence[int]) -> bool:
        """Whether any of the tokens may come next."""
        data = (_Candidate * len(tokens))(*(_Candidate(token, 0.0, 0.0) for token in tokens))
        candidates = _Candidates(data, len(tokens), -1, False)
        self._library.llama_sampler_apply(self._sampler, ctypes.byref(candidates))
        return not all(isinf(candidate.logit) for candidate in data)


def _library() -> Any:
    """llama.cpp's library with the functions for grammars."""
    loaded, pointer, token = library(), ctypes.c_void_p, ctypes.c_int32
    signatures: dict[str, tuple[Any, Sequence[Any]]] = {
        "llama_sampler_init_grammar": (pointer, [pointer, ctypes.c_char_p, ctypes.c_char_p]),
        "llama_sampler_apply": (None, [pointer, ctypes.POINTER(_Candidates)]),
        "llama_sampler_accept": (None, [pointer, token]),
        "llama_sampler_reset": (None, [pointer]),
        "llama_sampler_free": (None, [pointer]),
        "llama_vocab_eos": (token, [pointer]),
        "llama_vocab_n_tokens": (token, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


if __name__ == "__main__":
    run_program(main)
