"""Options that several programs share: which questions, how to vote, what a revision sees."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.options import SourceOptions
from slmsql.consistency.candidates import CandidateSet
from slmsql.consistency.revision import RevisionSettings
from slmsql.consistency.source_weights import source_weights
from slmsql.consistency.voting import Rules, Weight
from slmsql.errors import InputError
from slmsql.files import file_hash
from slmsql.match import Match
from slmsql.questions.question import Question, with_databases


@dataclass(kw_only=True)
class QuestionOptions(SourceOptions):
    """A file with its databases, or a split of a benchmark; and which part of it."""

    limit: int = field(default=0, metadata={"help": "only the first questions; 0: all"})
    shard: str = field(
        default="", metadata={"help": "i/n: each n-th question from the i-th on, i from 0"}
    )

    def part_of(self, questions: list[Question]) -> list[Question]:
        """Those of `--limit` and `--shard` whose database is there; the others are reported.

        Raises:
            InputError: the shard is none, or empty.
            FileNotFoundError: every database is missing.
        """
        return _present(self._part(questions))

    def file_hash(self) -> str:
        """The content of the question file, by which a resumed run knows it."""
        return file_hash(self.files()[0])

    def _part(self, questions: list[Question]) -> list[Question]:
        if self.limit:
            questions = questions[: self.limit]
        if not self.shard:
            return questions
        first, total = _shard(self.shard)
        if not (part := questions[first::total]):
            raise InputError(f"--shard {self.shard}: no question of {len(questions)} is in it")
        return part


@dataclass(kw_only=True)
class VoteOptions:
    """How candidates vote, and how the result is measured."""

    weight: Weight = field(default=Weight.COUNT, metadata={"help": "what a vote counts"})
    empty_votes: bool = field(
        default=True, metadata={"help": "whether a candidate with an empty result votes"}
    )
    match: Match = field(default=Match.BIRD, metadata={"help": "rule of the measurement"})
    json: Path | None = field(
        default=None, metadata={"help": "file for figures against gold, where it is known"}
    )
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})

    def rules_for(self, sets: Sequence[CandidateSet]) -> Rules:
        """The rules of a vote on these candidates; they may say how far to trust each source."""
        sources = source_weights(sets) if self.weight is Weight.SOURCE else {}
        return Rules(self.weight, self.empty_votes, sources)


@dataclass(kw_only=True)
class RevisionOptions:
    """What the merge model sees, and what its answers count."""

    merge_template: str = field(
        default="merge", metadata={"help": "revision's prompt template: name or path"}
    )
    merge_sample_values: int = field(default=2, metadata={"help": "values shown of each column"})
    merge_retrieve_values: bool = field(
        default=False, metadata={"help": "search values for the revision's prompt too"}
    )
    drafts: int = field(default=2, metadata={"help": "groups that the model sees"})
    max_rows: int = field(default=20, metadata={"help": "rows shown of a draft's result"})
    result_tokens: int = field(default=300, metadata={"help": "bound of a result's text"})
    show_votes: bool = field(default=False, metadata={"help": "tell the drafts' votes"})
    consensus: float = field(
        default=1.0, metadata={"help": "leave a leader with this share of the votes as it is"}
    )
    first_vote_weight: float = field(
        default=1.0,
        metadata={"help": "what the first vote's shares count in the second; 0: nothing"},
    )

    def __post_init__(self) -> None:
        if self.drafts < 2:
            raise ValueError(f"--drafts must be at least 2, got {self.drafts}")
        if not 0 < self.consensus <= 1:
            raise ValueError(f"--consensus must be above 0 and at most 1, got {self.consensus}")

    @property
    def revision_settings(self) -> RevisionSettings:
        return RevisionSettings(
            template=self.merge_template,
            drafts=self.drafts,
            sample_values=self.merge_sample_values,
            retrieve_values=self.merge_retrieve_values,
            max_rows=self.max_rows,
            result_tokens=self.result_tokens,
            show_votes=self.show_votes,
            consensus=self.consensus,
            first_vote_weight=self.first_vote_weight,
        )


def _shard(text: str) -> tuple[int, int]:
    first, _, total = text.partition("/")
    if not (first.isdigit() and total.isdigit() and int(first) < int(total)):
        raise InputError(f"--shard takes i/n with i from 0 to n-1, such as 0/4; got {text!r}")
    return int(first), int(total)


def _present(questions: list[Question]) -> list[Question]:
    found, missing = with_databases(questions)
    if not found:
        raise FileNotFoundError(f"no database of any question is there: {missing[0].database}")
    if missing:
        print(
            f"left out: {len(missing)} of {len(questions)} questions, whose database is missing "
            f"({missing[0].database})",
            file=sys.stderr,
        )
    return found
