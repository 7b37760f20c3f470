"""Choose one SQL per question: the candidates vote by their results.

    slmsql vote --candidates FILE... --questions FILE --output predictions.jsonl

Candidates are our candidates.jsonl (list all shards of a run) or prediction files of any system,
one candidate per file. With --json FILE and gold SQL, the program also measures the vote, pass@k
(is any candidate right?) and top-2@k (is one of the two largest groups right?).
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from slmsql.cli.options import QuestionOptions
from slmsql.consistency.candidates import read_candidates, run_candidates
from slmsql.consistency.options import VoteOptions
from slmsql.consistency.prediction import decisions
from slmsql.consistency.upper_bounds import measure
from slmsql.consistency.voting import vote
from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.files import write_json, write_jsonl


@dataclass(kw_only=True)
class Options:
    """Options of the vote."""

    source: QuestionOptions
    voting: VoteOptions
    candidates: list[Path] = field(metadata={"help": "candidates.jsonl or prediction files"})
    output: Path = field(metadata={"help": "predictions.jsonl to write"})


def main(options: Options) -> None:
    """Run the candidates that have not run yet, vote, and measure with --json."""
    every_question = options.source.read_all()
    questions = options.source.select(every_question)
    gold = {question.id: question.gold_sql for question in questions}
    sets = read_candidates(options.candidates, every_question, wanted=questions)
    with Executor(workers=options.voting.workers or None) as executor:
        sets = run_candidates(sets, executor, options.voting.match)
        rules = options.voting.rules_for(sets)
        predictions = [vote(candidate_set, rules) for candidate_set in sets]
        write_jsonl(options.output, (prediction.as_record() for prediction in predictions))
        print(f"{options.output}: {decisions(predictions)}")
        if options.voting.json:
            if not any(gold.values()):
                raise InputError("--json compares with gold SQL, and no question has any")
            bounds = measure(sets, gold, executor, rules=rules, match=options.voting.match)
            write_json(options.voting.json, asdict(bounds) | {"rules": asdict(rules)})
            print(bounds.line())
