"""Corrective self-consistency in one command: generate, vote, revise.

    python inference/csc.py --model MODEL --merge_model MERGE_MODEL --questions FILE --output DIR

DIR gets candidates.jsonl, votes.jsonl (the first vote alone), revisions.jsonl and
predictions.jsonl. Each model is loaded once. With two models, each stage runs as a program of its
own, whose command line is printed, so that the first model's memory is free before the second is
loaded. Without --merge_model the generator revises. Finished stages are not run again.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference import generate, revise
from slmsql.cli import programs
from slmsql.cli.config import parse, words_of
from slmsql.cli.options import PromptOptions, QuestionOptions
from slmsql.commands import vote
from slmsql.consistency.options import RevisionOptions, RuleOptions, VoteOptions
from slmsql.errors import run_program
from slmsql.sampling.loading import check_sampler, sampler_when_needed
from slmsql.sampling.options import PlanOptions, SamplerOptions, SamplingOptions


@dataclass(kw_only=True)
class MergeModelOptions:
    """The model that revises, and how many revisions to sample."""

    merge_model: str = field(default="", metadata={"help": "model that revises; default: --model"})
    merge_adapter: str = field(default="", metadata={"help": "LoRA adapter of the merge model"})
    merge_endpoints: list[str] = field(
        default_factory=list, metadata={"help": "its endpoints; default: --endpoints"}
    )
    merge_tensor_parallel: int = field(
        default=0, metadata={"help": "GPUs of the merge model (vllm); 0: --tensor_parallel"}
    )
    merge_max_model_len: int = field(
        default=0, metadata={"help": "its context length in tokens; 0: --max_model_len"}
    )
    merge_n: int = field(default=8, metadata={"help": "number of revisions of a question"})
    merge_temperature: float = field(
        default=0.8, metadata={"help": "0: greedy, with a single revision"}
    )
    merge_max_tokens: int = field(default=1024, metadata={"help": "longest revision, in tokens"})


@dataclass(kw_only=True)
class Options:
    """Options of all stages; those of the revision alone begin with `merge_`."""

    output: Path = field(metadata={"help": "folder for the files of all stages"})
    source: QuestionOptions
    prompt: PromptOptions
    plan: PlanOptions
    sampler: SamplerOptions
    voting: VoteOptions
    revision: RevisionOptions
    merge: MergeModelOptions

    @property
    def merge_sampler(self) -> SamplerOptions:
        """How the merge model is loaded; without one, how the generator is."""
        merge = self.merge
        return replace(
            self.sampler,
            model=merge.merge_model or self.sampler.model,
            adapter=merge.merge_adapter if merge.merge_model else self.sampler.adapter,
            endpoints=merge.merge_endpoints or self.sampler.endpoints,
            tensor_parallel=merge.merge_tensor_parallel or self.sampler.tensor_parallel,
            max_model_len=merge.merge_max_model_len or self.sampler.max_model_len,
        )

    def generation(self) -> generate.Options:
        """The options of generate.py."""
        return generate.Options(
            source=self.source,
            prompt=self.prompt,
            plan=self.plan,
            sampler=self.sampler,
            output=self.output / "candidates.jsonl",
            workers=self.voting.workers,
            rules=RuleOptions(
                weight=self.voting.weight,
                empty_votes=self.voting.empty_votes,
                match=self.voting.match,
            ),
        )

    def first_vote(self) -> vote.Options:
        """The options of vote.py; the revision writes the figures."""
        return vote.Options(
            source=self.source,
            voting=replace(self.voting, json=None),
            candidates=[self.output / "candidates.jsonl"],
            output=self.output / "votes.jsonl",
        )

    def second_stage(self) -> revise.Options:
        """The options of revise.py."""
        sampling = SamplingOptions(
            n=self.merge.merge_n,
            temperature=self.merge.merge_temperature,
            max_tokens=self.merge.merge_max_tokens,
            top_p=self.plan.top_p,
            seed=self.plan.seed,
            logprobs=self.plan.logprobs,
            constrain=self.plan.constrain,
        )
        return revise.Options(
            source=self.source,
            sampling=sampling,
            sampler=self.merge_sampler,
            voting=self.voting,
            revision=self.revision,
            candidates=[self.output / "candidates.jsonl"],
            output=self.output / "predictions.jsonl",
            revisions=self.output / "revisions.jsonl",
        )


def run(options: Options) -> None:
    """Generate, vote and revise; finished stages are skipped.

    If both stages use one model, served in one way, they run in this process; otherwise each is a
    program of its own.

    Raises:
        InputError, FileNotFoundError: a model or a question file is missing or malformed.
        SystemExit: a stage that ran as a program failed; it has printed why.
    """
    generation, second_stage = options.generation(), options.second_stage()
    first_sampler, second_sampler = generation.sampler, second_stage.sampler
    if first_sampler == second_sampler:
        with sampler_when_needed(first_sampler) as get_sampler:
            generate.run(generation, get_sampler)
            vote.main(options.first_vote())
            revise.run(second_stage, get_sampler)
        return
    check_sampler(second_sampler)  # before hours of sampling
    run_stage("inference/generate.py", generation)
    vote.main(options.first_vote())
    run_stage("inference/revise.py", second_stage)


def run_stage(program: str, options: generate.Options | revise.Options) -> None:
    """Run a stage as a program of its own, after printing its command line.

    Raises:
        SystemExit: it failed; it has printed why.
    """
    if status := programs.run(["python", program, *words_of(options)]):
        sys.exit(status)


if __name__ == "__main__":
    run_program(lambda: run(parse(Options, about=__doc__)))
