"""Revise questions whose vote is in doubt: the second stage of corrective self-consistency.

    python inference/revise.py --model MERGE_MODEL --candidates runs/NAME/candidates.jsonl \\
        --questions FILE --output runs/NAME/predictions.jsonl

The merge model sees the best groups of a question as drafts with their results. It answers n
times, and a second vote counts these answers. If none of them runs, the first vote stands. Without
a merge model, give the generator as --model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import QuestionOptions
from slmsql.consistency.candidates import (
    CandidateSet,
    read_candidates,
    read_record,
    run_candidates,
)
from slmsql.consistency.judging import judge_predictions
from slmsql.consistency.options import RevisionOptions, VoteOptions
from slmsql.consistency.prediction import Prediction, decisions
from slmsql.consistency.revision import (
    Revision,
    RevisionSettings,
    needs_revision,
    revision_prompts,
    second_vote,
)
from slmsql.consistency.upper_bounds import measure
from slmsql.consistency.voting import VoteWeight, VotingRules, group_by_result, vote
from slmsql.errors import run_program
from slmsql.execution import Executor
from slmsql.files import file_hash, write_json, write_jsonl
from slmsql.prompt.build import template_hash
from slmsql.questions.question import Question
from slmsql.sampling.journal import Journal
from slmsql.sampling.loading import sampler_settings, sampler_when_needed
from slmsql.sampling.options import SamplerOptions, SamplingOptions, sampling_params
from slmsql.sampling.recording import record_missing
from slmsql.sampling.sampler import Sampler
from slmsql.sampling.scheduler import SamplingPlan, Task

BATCH = 64  # questions whose drafts run together for their prompts


@dataclass(kw_only=True)
class Options:
    """Options of the second stage."""

    source: QuestionOptions
    sampling: SamplingOptions
    sampler: SamplerOptions
    voting: VoteOptions
    revision: RevisionOptions
    candidates: list[Path] = field(metadata={"help": "candidates.jsonl or prediction files"})
    output: Path = field(metadata={"help": "predictions.jsonl to write"})
    revisions: Path | None = field(
        default=None,
        metadata={"help": "file for the model's answers; default: revisions.jsonl beside --output"},
    )

    @property
    def journal_path(self) -> Path:
        """The file for the model's answers."""
        return self.revisions or self.output.with_name("revisions.jsonl")

    @property
    def plan(self) -> SamplingPlan:
        """How many revisions each question gets, and how they are sampled."""
        sampling = sampling_params(self.sampling, self.revision.merge_template)
        if self.voting.weight is VoteWeight.LOGPROB:
            sampling = replace(sampling, logprobs=True)
        return SamplingPlan(sampling=sampling, n=self.sampling.n, seed=self.sampling.seed)

    def settings(self) -> dict[str, object]:
        """Everything that determines the revisions; a resumed run must have the same."""
        return {
            "program": "revise",
            **sampler_settings(self.sampler),
            **self.source.settings(),
            "candidates": [file_hash(file) for file in self.candidates],
            **asdict(self.plan),
            **asdict(self.revision.revision_settings),
            "template_text": template_hash(self.revision.merge_template),
            "weight": self.voting.weight,
            "empty_votes": self.voting.empty_votes,
            "match": self.voting.match,
        }


def main(options: Options) -> None:
    """Revise with the model that the options name."""
    with sampler_when_needed(options.sampler) as get_sampler:
        run(options, get_sampler)


def run(options: Options, get_sampler: Callable[[], Sampler]) -> None:
    """Vote, revise the questions in doubt, vote again.

    Args:
        options: the options of the program.
        get_sampler: loads the model; called only if a revision is missing.
    """
    every_question = options.source.read_all()
    questions = options.source.select(every_question)
    sets = read_candidates(options.candidates, every_question, wanted=questions)
    revision_settings = options.revision.revision_settings
    with Executor(workers=options.voting.workers or None) as executor:
        sets = run_candidates(sets, executor, options.voting.match)
        rules = options.voting.rules_for(sets)
        first = [vote(candidate_set, rules) for candidate_set in sets]
        doubtful = doubtful_questions(questions, sets, revision_settings, rules)

        def tasks(missing: Sequence[Revision]) -> Iterator[Task]:
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                prompts = revision_prompts(batch, executor, revision_settings)
                for revision, messages in zip(batch, prompts, strict=True):
                    yield Task(revision.question, messages, options.plan)

        with Journal(options.journal_path, options.settings()) as journal:
            record_missing("revise", doubtful, tasks, get_sampler, executor, journal)
        revised = run_candidates(revised_sets(doubtful, journal), executor, options.voting.match)
        predictions = second_votes(
            first, doubtful, revised, revision_settings, options.voting.rules_for_samples
        )
        write_jsonl(options.output, (prediction.as_record() for prediction in predictions))
        print(f"{options.output}: {decisions(predictions)}")
        if options.voting.json:
            figures = measure_stages(sets, first, predictions, questions, executor, rules, options)
            write_json(options.voting.json, figures)


def doubtful_questions(
    questions: Sequence[Question],
    sets: Sequence[CandidateSet],
    revision_settings: RevisionSettings,
    rules: VotingRules,
) -> dict[str, Revision]:
    """The questions whose vote is in doubt, by id, with the groups of the first vote."""
    doubtful = {}
    for question, candidate_set in zip(questions, sets, strict=True):
        groups = group_by_result(candidate_set.candidates, rules)
        if needs_revision(groups, revision_settings):
            doubtful[question.id] = Revision(question, groups)
    return doubtful


def revised_sets(doubtful: Mapping[str, Revision], journal: Journal) -> list[CandidateSet]:
    """The merge model's answers to the questions in doubt."""
    sets = []
    for identity, revision in doubtful.items():
        recorded = read_record(journal.records[identity], f"{journal.output}, {identity}")
        sets.append(replace(recorded, database=revision.question.database))
    return sets


def second_votes(
    first: Sequence[Prediction],
    doubtful: Mapping[str, Revision],
    revised: Sequence[CandidateSet],
    revision_settings: RevisionSettings,
    rules: VotingRules,
) -> list[Prediction]:
    """The predictions of both votes, in the order of the questions."""
    candidates = {candidate_set.id: candidate_set.candidates for candidate_set in revised}
    return [
        second_vote(
            prediction.id,
            doubtful[prediction.id].groups,
            candidates[prediction.id],
            revision_settings,
            rules,
        )
        if prediction.id in doubtful
        else prediction
        for prediction in first
    ]


def measure_stages(
    sets: Sequence[CandidateSet],
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    questions: Sequence[Question],
    executor: Executor,
    rules: VotingRules,
    options: Options,
) -> dict[str, object]:
    """Measure both votes where gold SQL is known, and print what the revision changed."""
    match = options.voting.match
    gold = {question.id: question.gold_sql for question in questions}
    bounds = measure(sets, gold, executor, rules=rules, match=match)
    print(bounds.line())
    before = judge_predictions(first, questions, executor, match)
    after = judge_predictions(second, questions, executor, match)
    mended = sum(after[name] and not before[name] for name in after)
    broken = sum(before[name] and not after[name] for name in after)
    corrective = 100 * sum(after.values()) / max(bounds.n, 1)
    print(f"corrective {corrective:.1f} ({mended} mended, {broken} broken)")
    return asdict(bounds) | {"corrective": corrective, "mended": mended, "broken": broken}


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
