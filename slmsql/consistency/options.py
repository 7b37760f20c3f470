"""Options of the programs that vote and revise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.consistency.candidates import CandidateSet
from slmsql.consistency.revision import RevisionSettings
from slmsql.consistency.source_weights import source_weights
from slmsql.consistency.voting import VoteWeight, VotingRules
from slmsql.match import Match


@dataclass(kw_only=True)
class RuleOptions:
    """How candidates vote."""

    weight: VoteWeight = field(
        default=VoteWeight.COUNT, metadata={"help": "how much one vote counts"}
    )
    empty_votes: bool = field(
        default=True, metadata={"help": "whether a candidate with an empty result votes"}
    )
    match: Match = field(
        default=Match.BIRD,
        metadata={"help": "when two results agree, in the vote and for figures"},
    )

    @property
    def rules_for_samples(self) -> VotingRules:
        """The rules for candidates of one model, where a weight by source does not apply."""
        weight = VoteWeight.COUNT if self.weight is VoteWeight.SOURCE else self.weight
        return VotingRules(weight, self.empty_votes)


@dataclass(kw_only=True)
class VoteOptions(RuleOptions):
    """How candidates vote, and how the result is measured."""

    json: Path | None = field(
        default=None, metadata={"help": "file for the figures, if gold SQL is known"}
    )
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})

    def rules_for(self, sets: Sequence[CandidateSet]) -> VotingRules:
        """The rules of the vote; weights of sources are estimated from these candidates."""
        sources = source_weights(sets) if self.weight is VoteWeight.SOURCE else {}
        return VotingRules(self.weight, self.empty_votes, sources)


@dataclass(kw_only=True)
class RevisionOptions:
    """What the merge model sees, and how its revisions count."""

    merge_template: str = field(
        default="merge", metadata={"help": "prompt template of the revision: a name or a path"}
    )
    merge_sample_values: int = field(
        default=2, metadata={"help": "example values shown for each column in the revision"}
    )
    merge_retrieve_values: bool = field(
        default=False,
        metadata={"help": "search the database for values in the question, in the revision"},
    )
    drafts: int = field(default=2, metadata={"help": "number of groups shown as drafts"})
    max_rows: int = field(default=20, metadata={"help": "rows shown of each draft's result"})
    result_tokens: int = field(
        default=300, metadata={"help": "token budget for each draft's result"}
    )
    show_votes: bool = field(
        default=False, metadata={"help": "show the number of votes of each draft"}
    )
    consensus: float = field(
        default=1.0,
        metadata={"help": "do not revise when the leader has this share of the votes or more"},
    )
    first_vote_weight: float = field(
        default=1.0,
        metadata={"help": "weight of the first vote in the second; 0: revisions alone decide"},
    )

    def __post_init__(self) -> None:
        if self.drafts < 2:
            raise ValueError(f"--drafts must be at least 2, got {self.drafts}")
        if not 0 < self.consensus <= 1:
            raise ValueError(f"--consensus must be above 0 and at most 1, got {self.consensus}")

    @property
    def revision_settings(self) -> RevisionSettings:
        """The settings that `slmsql.consistency.revision` takes."""
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
