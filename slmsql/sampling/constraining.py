"""Which requests are constrained, and a warning about those that cannot be."""

import sys
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.execution.engines.address import dialect_of
from slmsql.grammar.constraint import ConstrainedText
from slmsql.grammar.ebnf import select_grammar
from slmsql.prompt.build import Layout
from slmsql.sampling.sampler import Request
from slmsql.schema.model import Schema
from slmsql.schema.reading import read_schema
from slmsql.sql.dialect import Dialect

if TYPE_CHECKING:
    import torch


class Unconstrained:
    """Counts the requests that are sampled freely although they should not be."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()

    def schema_of(self, request: Request) -> Schema | None:
        """The schema whose names alone the request may write; None if it is sampled freely."""
        if request.sampling.constrain is None:
            return None
        reason = "no database is given"
        if request.database is not None:
            try:
                if dialect_of(request.database) is Dialect.SQLITE:
                    return read_schema(request.database, sample_values=0)
                reason = "their database is not SQLite"
            except (InputError, OSError) as error:
                reason = str(error)
        self._reasons[reason] += 1
        return None

    def grammar_of(self, request: Request) -> str | None:
        """The grammar of the request's completions, for servers; None if it is sampled freely."""
        schema, layout = self.schema_of(request), request.sampling.constrain
        return None if schema is None or layout is None else _grammar(schema, layout)

    def report(self) -> None:
        """Print one warning with the number of requests, if there were any."""
        if self._reasons:
            reason, _ = self._reasons.most_common(1)[0]
            print(
                f"{self._reasons.total()} requests were sampled without --constrain, most of them "
                f"because {reason}",
                file=sys.stderr,
            )
            self._reasons.clear()


@lru_cache(maxsize=64)
def _grammar(schema: Schema, layout: Layout) -> str:
    return select_grammar(schema, layout)


class ConstrainedRows:
    """A processor of logits in transformers; its first call finds the prompts alone.

    Args:
        texts: the completion of each row.
    """

    def __init__(self, texts: Sequence[ConstrainedText]) -> None:
        self._texts = texts
        self._length: int | None = None

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        new = input_ids[:, self._length :].tolist() if self._length else [()] * len(self._texts)
        self._length = input_ids.shape[1]
        for text, tokens in zip(self._texts, new, strict=True):
            for token in tokens:
                text.accept(token)
        blocked = blocked_tokens(self._texts, scores.shape[1])
        return scores.masked_fill(blocked.to(scores.device), float("-inf"))


def blocked_tokens(texts: Sequence[ConstrainedText | None], width: int) -> "torch.Tensor":
    """The tokens that may not come next, as truth values: a row for each text.

    NumPy unpacks them: what PyTorch divides among threads took 80 times as long as the masks.

    Args:
        texts: None where every token may come.
    """
    import numpy
    import torch

    size = (width + 7) // 8
    free = b"\xff" * size
    allowed = [free if text is None else text.allowed().to_bytes(size, "little") for text in texts]
    packed = ~numpy.frombuffer(b"".join(allowed), dtype=numpy.uint8).reshape(-1, size)
    bits = numpy.unpackbits(packed, axis=1, count=width, bitorder="little")
    return torch.from_numpy(bits.view(numpy.bool_))
