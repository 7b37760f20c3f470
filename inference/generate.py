"""Sample candidates for each question and run them: the first stage.

    python inference/generate.py --model MODEL --questions FILE --output runs/NAME/candidates.jsonl

A question's candidates are on disk as soon as they are done. After a kill, the same command
resumes. With --round_size and --confidence, sampling of a question stops when its vote is decided.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions, QuestionOptions
from slmsql.consistency.options import RuleOptions
from slmsql.consistency.voting import VoteWeight
from slmsql.errors import run_program
from slmsql.execution import Executor
from slmsql.prompt.build import build_prompt, template_hash
from slmsql.questions.question import Question
from slmsql.sampling.journal import Journal
from slmsql.sampling.loading import sampler_settings, sampler_when_needed
from slmsql.sampling.options import PlanOptions, SamplerOptions
from slmsql.sampling.recording import record_missing
from slmsql.sampling.sampler import Sampler
from slmsql.sampling.scheduler import SamplingPlan, Task


@dataclass(kw_only=True)
class Options:
    """Options of the first stage."""

    source: QuestionOptions
    prompt: PromptOptions
    plan: PlanOptions
    sampler: SamplerOptions
    output: Path = field(metadata={"help": "candidates.jsonl to write"})
    greedy: Path | None = field(
        default=None,
        metadata={"help": "another file, for a greedy answer to each question by the same model"},
    )
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})
    rules: RuleOptions

    @property
    def sampling_plan(self) -> SamplingPlan:
        """How many candidates each question gets, how they are sampled, and when sampling stops."""
        plan = self.plan.plan_for(self.prompt.template)
        logprobs = self.plan.logprobs or self.rules.weight is VoteWeight.LOGPROB
        plan = replace(plan, sampling=replace(plan.sampling, logprobs=logprobs))
        if not plan.round_size:  # the vote does not change what is sampled
            return plan
        return replace(plan, rules=self.rules.rules_for_samples, match=self.rules.match)

    def settings(self) -> dict[str, object]:
        """Everything that determines the candidates; a resumed run must have the same."""
        return {
            "program": "generate",
            **sampler_settings(self.sampler),
            **self.source.settings(),
            **asdict(self.prompt.prompt_settings),
            "template_text": template_hash(self.prompt.template),
            **asdict(self.sampling_plan),
        }


def main(options: Options) -> None:
    """Sample with the model that the options name."""
    with sampler_when_needed(options.sampler) as get_sampler:
        run(options, get_sampler)
        if options.greedy:
            plan = replace(options.plan, n=1, temperature=0.0, round_size=0, confidence=1.0)
            run(replace(options, output=options.greedy, plan=plan), get_sampler)


def run(options: Options, get_sampler: Callable[[], Sampler]) -> None:
    """Sample the questions that have no candidates yet.

    Args:
        options: the options of the program.
        get_sampler: loads the model; called only if a question is missing.
    """
    questions = options.source.select(options.source.read_all())
    with Journal(options.output, options.settings()) as journal:
        if journal.is_complete and all(question.id in journal.records for question in questions):
            print(f"{options.output}: {len(questions)} questions, nothing left to do")
            return

        def tasks(missing: Sequence[Question]) -> Iterator[Task]:
            """Build prompts as they are needed, so that reading schemas overlaps sampling."""
            plan = options.sampling_plan
            for question in by_database(missing):
                messages = build_prompt(question, options.prompt.prompt_settings).messages
                yield Task(question, messages, plan)

        by_id = {question.id: question for question in questions}
        with Executor(workers=options.workers or None) as executor:
            record_missing("generate", by_id, tasks, get_sampler, executor, journal)
        print(f"{options.output}: {summary(journal, options.sampler)}")


def by_database(questions: Sequence[Question]) -> list[Question]:
    """The questions of one database after those of another.

    Their prompts begin with the same schema, which vLLM reads once and keeps for the next ones.
    """
    places: dict[Path, int] = {}
    for question in questions:
        places.setdefault(question.database, len(places))
    return sorted(questions, key=lambda question: places[question.database])


def summary(journal: Journal, options: SamplerOptions) -> str:
    """The number of candidates and tokens, and their cost if the options give prices."""
    records = journal.records.values()
    samples, prompt_tokens, tokens = (
        sum(int(record.get(name, 0)) for record in records)
        for name in ("samples", "prompt_tokens", "tokens")
    )
    cost = options.cost(prompt_tokens, tokens)
    dollars = f", ${cost:.2f}" if cost else ""
    cut = sum(c.get("finish") == "length" for record in records for c in record["candidates"])
    shortened = f"; {cut} completions were cut at the token limit" if cut else ""
    return (
        f"{samples} candidates of {len(records)} questions, {samples / len(records):.1f} each; "
        f"{prompt_tokens:,} prompt and {tokens:,} completion tokens{dollars}{shortened}"
    )


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
