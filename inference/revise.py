"""Settle doubtful votes with a merge model: corrective self-consistency, the second stage.

    python inference/revise.py --model MERGE_MODEL --candidates runs/NAME/candidates.jsonl \\
        --questions FILE --output runs/NAME/predictions.jsonl

The model sees the best groups of a question as drafts with their results, and answers n times;
these answers vote again. Where none of them runs, the first vote stands. Without a merge model, the
generator itself can be given as --model.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference.inputs import QuestionOptions, RevisionOptions, VoteOptions
from inference.sampling.journal import Journal
from inference.sampling.loading import model_identity, sampler_when_needed
from inference.sampling.options import SamplerOptions, SamplingOptions, sampling_for
from inference.sampling.sampler import Sampler
from inference.sampling.scheduler import SamplingPlan
from inference.second_stage import FirstVote, first_vote, revise, second_votes
from slmsql.cli.config import parse
from slmsql.consistency.candidates import read_candidates, run_candidates
from slmsql.consistency.prediction import DecidedBy, Prediction
from slmsql.consistency.upper_bounds import UpperBounds, judge_predictions, measure
from slmsql.consistency.voting import Rules
from slmsql.errors import run_program
from slmsql.execution import Executor
from slmsql.files import file_hash, write_json, write_jsonl
from slmsql.questions.question import Question


@dataclass(kw_only=True)
class Options(QuestionOptions, SamplerOptions, SamplingOptions, VoteOptions, RevisionOptions):
    """Options of the second stage."""

    candidates: list[Path] = field(metadata={"help": "candidates.jsonl or prediction files"})
    output: Path = field(metadata={"help": "predictions.jsonl to write"})
    revisions: Path | None = field(
        default=None, metadata={"help": "what the model answered; default: beside --output"}
    )

    def __post_init__(self) -> None:
        SamplingOptions.__post_init__(self)
        RevisionOptions.__post_init__(self)

    @property
    def journal(self) -> Path:
        """Where the model's answers are kept."""
        return self.revisions or self.output.with_name("revisions.jsonl")

    @property
    def plan(self) -> SamplingPlan:
        sampling = sampling_for(self, self.merge_template)
        return SamplingPlan(sampling=sampling, n=self.n, seed=self.seed)

    def settings(self) -> dict[str, object]:
        """What decides the revisions: a resumed run must agree with it."""
        return {
            "program": "revise",
            "model": model_identity(self.model),
            "adapter": model_identity(self.adapter),
            "questions": self.file_hash(),
            "candidates": [file_hash(file) for file in self.candidates],
            "limit": self.limit,
            "shard": self.shard,
            **asdict(self.plan),
            **asdict(self.revision_settings),
            "weight": self.weight,
            "empty_votes": self.empty_votes,
        }


def main(options: Options) -> None:
    """Revise with the model that the options name."""
    with sampler_when_needed(options) as sampler:
        run(options, sampler)


def run(options: Options, sampler: Callable[[], Sampler]) -> None:
    """Vote, revise what is doubtful and not revised yet, vote again."""
    known = options.read_all()
    questions = options.part_of(known)
    sets = read_candidates(options.candidates, known, wanted=questions)
    with Executor(workers=options.workers or None) as executor:
        sets = run_candidates(sets, executor)
        rules = options.rules_for(sets)
        first = first_vote(questions, sets, options.revision_settings, rules)
        with Journal(options.journal, options.settings()) as journal:
            missing = [one for name, one in first.doubtful.items() if name not in journal.records]
            if missing:
                revise(
                    missing, sampler(), executor, journal, options.revision_settings, options.plan
                )
            journal.finish(list(first.doubtful))
        predictions = second_votes(first, journal, options.revision_settings)
        write_jsonl(options.output, (one.as_record() for one in predictions))
        print(f"{options.output}: {decisions(predictions)}")
        if options.json:
            figures = measured(first, predictions, questions, executor, rules, options)
            write_json(options.json, figures)


def decisions(predictions: Sequence[Prediction]) -> str:
    """How many questions were decided in which way."""
    counts = {way: sum(one.decided_by is way for one in predictions) for way in DecidedBy}
    shown = ", ".join(f"{count} {way}" for way, count in counts.items() if count)
    return f"{len(predictions)} questions decided: {shown}"


def measured(
    first: FirstVote,
    predictions: Sequence[Prediction],
    questions: Sequence[Question],
    executor: Executor,
    rules: Rules,
    options: VoteOptions,
) -> dict[str, object]:
    """The figures of both stages where gold is known; prints them too."""
    gold = {question.id: question.gold_sql for question in questions}
    upper_bounds = measure(first.sets, gold, executor, rules=rules, match=options.match)
    print(upper_bounds.line())
    before = judge_predictions(first.predictions, questions, executor, options.match)
    after = judge_predictions(predictions, questions, executor, options.match)
    return asdict(upper_bounds) | _change(upper_bounds, before, after)


def _change(
    upper_bounds: UpperBounds, before: dict[str, bool], after: dict[str, bool]
) -> dict[str, object]:
    mended = sum(after[name] and not before[name] for name in after)
    broken = sum(before[name] and not after[name] for name in after)
    corrective = 100 * sum(after.values()) / max(upper_bounds.n, 1)
    print(f"corrective {corrective:.1f} ({mended} mended, {broken} broken)")
    return {"corrective": corrective, "mended": mended, "broken": broken}


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
