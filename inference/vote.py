"""Choose one SQL per question by the vote of its candidates' results.

    python inference/vote.py --candidates FILE... --questions FILE --output predictions.jsonl

Candidates are our candidates.jsonl (shards are given together) or anybody's prediction files, one
candidate each. With --json FILE, where gold is known, it also measures the vote, pass@k (is any
candidate right?) and top-2@k (is one of the two largest groups right?).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference.inputs import QuestionOptions, VoteOptions
from slmsql.cli.config import parse
from slmsql.consistency.candidates import CandidateSet, read_candidates, run_candidates
from slmsql.consistency.prediction import DecidedBy, Prediction
from slmsql.consistency.upper_bounds import UpperBounds, measure
from slmsql.consistency.voting import Rules, vote
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor
from slmsql.files import write_json, write_jsonl
from slmsql.questions.question import Question


@dataclass(kw_only=True)
class Options(QuestionOptions, VoteOptions):
    """Options of the vote."""

    candidates: list[Path] = field(metadata={"help": "candidates.jsonl or prediction files"})
    output: Path = field(metadata={"help": "predictions.jsonl to write"})


def main(options: Options) -> None:
    """Run what did not run yet, vote, and measure if asked to."""
    known = options.read_all()
    questions = options.part_of(known)
    sets = read_candidates(options.candidates, known, wanted=questions)
    with Executor(workers=options.workers or None) as executor:
        sets = run_candidates(sets, executor)
        rules = options.rules_for(sets)
        predictions = [vote(found, rules) for found in sets]
        write_jsonl(options.output, (prediction.as_record() for prediction in predictions))
        print(f"{options.output}: {_decisions(predictions)}")
        if options.json:
            upper_bounds = _measured(sets, questions, executor, rules, options)
            write_json(options.json, asdict(upper_bounds) | {"rules": asdict(rules)})
            print(upper_bounds.line())


def _measured(
    sets: Sequence[CandidateSet],
    questions: Sequence[Question],
    executor: Executor,
    rules: Rules,
    options: Options,
) -> UpperBounds:
    if not any(question.gold_sql for question in questions):
        raise InputError("--json measures against gold SQL, and no question has any")
    gold = {question.id: question.gold_sql for question in questions}
    return measure(sets, gold, executor, rules=rules, match=options.match)


def _decisions(predictions: Sequence[Prediction]) -> str:
    counts = {way: sum(one.decided_by is way for one in predictions) for way in DecidedBy}
    shown = ", ".join(f"{count} {way}" for way, count in counts.items() if count)
    return f"{len(predictions)} questions decided: {shown}"


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
