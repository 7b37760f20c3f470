"""What does `--constrain schema` change? Same model, prompts and seeds, with and without.

    python scripts/bench/constrain.py --model models/smollm2-sft --template schema \\
        --sample_values 0 --benchmark spider --root SPIDER --split dev --limit 300 --n 8 \\
        --max_tokens 96 --output runs/constrain

Takes the options of inference/generate.py. Prints the share of samples that run, by kind of error;
pass@1, vote and pass@k with paired 95 % intervals; completion tokens per second in batches; and how
long the constraint of a database takes to begin. The candidates of both ways, the speed and the
figures stay in the output folder, and the same command resumes there.

A good result: at least five times fewer samples fail for a name, pass@1 is higher outside its
interval, and tokens per second are at most 10 % lower.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Literal

from inference import generate
from scripts.bench.grammar_size import measure, report
from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions, QuestionOptions
from slmsql.consistency.candidates import read_candidates
from slmsql.consistency.judging import JudgedSet, judge_candidates
from slmsql.consistency.options import RuleOptions
from slmsql.consistency.voting import group_by_result
from slmsql.errors import InputError, run_program
from slmsql.evaluation.statistics import POINTS, Interval, mean_interval
from slmsql.execution import Executor
from slmsql.files import Record, read_json, write_json
from slmsql.match import Match
from slmsql.prompt.build import build_prompt
from slmsql.questions.question import Question
from slmsql.sampling.loading import sampler_when_needed
from slmsql.sampling.options import PlanOptions, SamplerOptions, sampling_params
from slmsql.sampling.sampler import Completed, Request, Sampler, seed_of

Way = Literal["off", "schema"]
WAYS: tuple[Way, ...] = ("off", "schema")
BATCHES = 12  # of completions that a turn draws
NAME_ERRORS = frozenset({"no such table", "no such column", "ambiguous"})


@dataclass(kw_only=True)
class Options:
    source: QuestionOptions
    prompt: PromptOptions
    plan: PlanOptions
    sampler: SamplerOptions
    output: Path = field(metadata={"help": "folder for candidates and figures"})
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})
    batch: int = field(default=32, metadata={"help": "completions at once, to measure speed"})
    turns: int = field(
        default=4, metadata={"help": "of each way, after a warm-up; each draws 12 batches"}
    )

    def __post_init__(self) -> None:
        if self.plan.round_size or self.plan.repair:
            raise ValueError("leave out --round_size, --confidence and --repair: they need results")
        if self.plan.constrain != "off":
            raise ValueError("leave out --constrain: both ways are sampled")


@dataclass(frozen=True, slots=True)
class Score:
    """A question's share of right samples, and whether the vote and any sample are right."""

    right: float
    vote: bool
    any_right: bool

    @classmethod
    def of(cls, judged: JudgedSet) -> "Score":
        groups = group_by_result(judged.candidate_set.candidates)
        vote = bool(groups) and judged.correct_by_sql[groups[0].sql]
        return cls(sum(judged.correct) / len(judged.correct), vote, any(judged.correct))


def main() -> None:
    options = parse(Options, about=__doc__)
    questions = options.source.select(options.source.read_all())
    with sampler_when_needed(options.sampler) as get_sampler:
        for way in WAYS:
            generate.run(generate_options(options, way), get_sampler)
        speed = measured_speed(options, questions, get_sampler)
    with Executor(workers=options.workers or None) as executor:
        ways = {way: judged(options, way, questions, executor) for way in WAYS}
    figures = {
        "n": len(questions),
        "samples": options.plan.n,
        "runs": {way: errors(sets) for way, sets in ways.items()},
        "scores": paired(ways["off"], ways["schema"]),
        "tokens_per_second": speed,
    }
    print("\n".join([*lines(figures), begin_report(options, questions)]))
    write_json(options.output / "figures.json", figures)


def generate_options(options: Options, way: Way) -> generate.Options:
    """The options of inference/generate.py for one way."""
    return generate.Options(
        source=options.source,
        prompt=options.prompt,
        plan=replace(options.plan, constrain=way),
        sampler=options.sampler,
        output=candidates_of(options, way),
        workers=options.workers,
        rules=RuleOptions(),
    )


def candidates_of(options: Options, way: Way) -> Path:
    return options.output / f"candidates_{way}.jsonl"


# Speed


def measured_speed(
    options: Options, questions: Sequence[Question], get_sampler: Callable[[], Sampler]
) -> Record:
    """Completion tokens per second of both ways, which take turns on the same prompts."""
    file = options.output / "speed.json"
    about = {"batch": options.batch, "turns": options.turns}
    if file.is_file() and (kept := read_json(file)).items() >= about.items():
        return dict(kept)
    sampler = get_sampler()
    speeds: dict[Way, list[float]] = {way: [] for way in WAYS}
    for turn in range(options.turns + 1):
        number = BATCHES * options.batch
        some = [questions[(turn * number + place) % len(questions)] for place in range(number)]
        for way in WAYS if turn % 2 else WAYS[::-1]:
            speeds[way].append(batch_speed(options, way, some, turn, sampler))
    ratios = [b / a for a, b in zip(speeds["off"][1:], speeds["schema"][1:], strict=True)]
    speed = about | {way: round(median(values[1:]), 1) for way, values in speeds.items()}
    speed |= {"ratio": round(median(ratios), 3), "lowest_ratio": round(min(ratios), 3)}
    write_json(file, speed)
    return speed


def batch_speed(
    options: Options, way: Way, questions: Sequence[Question], turn: int, sampler: Sampler
) -> float:
    """Completion tokens per second of one completion to each question, `batch` of them at once.

    The next one begins where one ends. Otherwise the longest completions would run alone, and the
    speed would tell how long completions are.
    """
    sampling = sampling_params(replace(options.plan, constrain=way), options.prompt.template)
    requests = [
        Request(
            f"{way}/{turn}/{place}/{question.id}",
            build_prompt(question, options.prompt.prompt_settings).messages,
            1,
            seed_of(options.plan.seed, f"{turn}/{question.id}"),
            sampling,
            question.database,
        )
        for place, question in enumerate(questions)
    ]
    began, tokens, waiting = time.perf_counter(), 0, iter(requests)
    for request in islice(waiting, options.batch):
        sampler.submit(request)
    for completed in sampled(sampler, len(requests)):
        tokens += sum(sample.tokens for sample in completed.samples)
        for request in islice(waiting, 1):
            sampler.submit(request)
    return tokens / (time.perf_counter() - began)


def sampled(sampler: Sampler, number: int) -> Iterator[Completed]:
    """The next completed requests."""
    while number:
        for completed in sampler.completed():
            number -= 1
            yield completed


# Figures


def judged(
    options: Options, way: Way, questions: Sequence[Question], executor: Executor
) -> dict[str, JudgedSet]:
    """The judged candidates of each question."""
    sets = read_candidates([candidates_of(options, way)], questions)
    gold = {question.id: question.gold_sql for question in questions}
    judged_sets = judge_candidates(sets, gold, executor, Match.BIRD)
    return {judged_set.id: judged_set for judged_set in judged_sets if judged_set.is_judged}


def errors(sets: dict[str, JudgedSet]) -> Record:
    """How many samples run, and how many fail with each kind of error."""
    executions = [verdict.predicted for judged in sets.values() for verdict in judged.verdicts]
    run = sum(execution.ok for execution in executions)
    failed = Counter(e.kind or e.status.value for e in executions if not e.ok)
    names = sum(failed[kind] for kind in NAME_ERRORS)
    return {
        "samples": len(executions),
        "run": run,
        "share": round(100 * run / max(len(executions), 1), 1),
        "fail_for_a_name": names,
        "errors": dict(failed.most_common()),
    }


def paired(before: dict[str, JudgedSet], after: dict[str, JudgedSet]) -> Record:
    """Accuracies in percent of the questions, and the differences with 95 % intervals."""
    ids = [identity for identity in before if identity in after]
    if not ids:
        raise InputError("no question has a gold query that runs; there is nothing to score")
    first = [Score.of(before[identity]) for identity in ids]
    second = [Score.of(after[identity]) for identity in ids]
    return {
        "n": len(ids),
        "pass@1": difference([s.right for s in first], [s.right for s in second]),
        "vote": difference([s.vote for s in first], [s.vote for s in second]),
        "pass@k": difference([s.any_right for s in first], [s.any_right for s in second]),
    }


def difference(first: Sequence[float], second: Sequence[float]) -> Record:
    """Two means in percent, and their difference in points with its paired interval."""
    gains = [100 * (b - a) for a, b in zip(first, second, strict=True)]
    interval: Interval = mean_interval(gains, bounds=POINTS)
    return {
        "off": round(100 * sum(first) / len(first), 1),
        "schema": round(100 * sum(second) / len(second), 1),
        "difference": round(sum(gains) / len(gains), 1),
        "interval": interval.rounded(1),
    }


def lines(figures: Record) -> list[str]:
    """The figures as text."""
    text = [f"{figures['n']} questions, {figures['samples']} samples each, match mode bird"]
    for way in WAYS:
        runs = figures["runs"][way]
        kinds = ", ".join(f"{count} {kind}" for kind, count in runs["errors"].items())
        text.append(
            f"{way:>6}: {runs['share']} % of {runs['samples']} samples run; "
            f"{runs['fail_for_a_name']} fail for a name ({kinds or 'no error'})"
        )
    scores = figures["scores"]
    for name in ("pass@1", "vote", "pass@k"):
        low, high = scores[name]["interval"]
        text.append(
            f"{name:>6}: {scores[name]['off']} without, {scores[name]['schema']} with: "
            f"{scores[name]['difference']:+} [{low}, {high}], n={scores['n']}"
        )
    speed = figures["tokens_per_second"]
    text.append(
        f"tokens/s at batch {speed['batch']}: {speed['off']} without, {speed['schema']} with; "
        f"ratio {speed['ratio']} (median of {speed['turns']} turns, lowest {speed['lowest_ratio']})"
    )
    return text


def begin_report(options: Options, questions: Sequence[Question]) -> str:
    """How long the constraint takes to begin with each database, and with made ones."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.sampler.model)
    databases = sorted({question.database for question in questions})
    return report(measure(tokenizer, len(tokenizer), databases))


if __name__ == "__main__":
    run_program(main)
