"""The list of questions: filters, and for each question gold beside the predictions."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.page.reading import EvaluationRun
from slmsql.page.rendering import render


def questions_section(runs: Sequence[EvaluationRun]) -> Markup:
    """All questions with filters; the page's script draws them.

    Raises:
        InputError: the runs answer different questions.
    """
    questions = _questions(runs)
    return render(
        "questions.html",
        runs=[run.name for run in runs],
        questions=questions,
        error_classes=_choices(answer["error_class"] for q in questions for answer in q["runs"]),
        databases=_choices(question["db_id"] for question in questions),
        difficulties=_choices(question["difficulty"] for question in questions),
    )


def _questions(runs: Sequence[EvaluationRun]) -> list[Record]:
    outcomes_by_id = [{str(outcome["id"]): outcome for outcome in run.outcomes} for run in runs]
    first = outcomes_by_id[0]
    for run, outcomes in zip(runs, outcomes_by_id, strict=True):
        if outcomes.keys() != first.keys():
            raise InputError(
                f"{run.name} and {runs[0].name} answer different questions "
                f"({len(outcomes)} and {len(first)}); compare runs on the same ones"
            )
    modes = [run.report["match"] for run in runs]
    return [_question([outcomes[key] for outcomes in outcomes_by_id], modes) for key in first]


def _question(outcomes: Sequence[Record], modes: Sequence[str]) -> Record:
    """What the script needs of one question: the fields that all runs share, then each answer."""
    shared = ("id", "db_id", "difficulty", "question", "evidence", "gold_sql", "gold")
    return {
        **{name: outcomes[0].get(name) for name in shared},
        "runs": [
            {
                "sql": outcome["sql"],
                "correct": outcome["correct"].get(mode),
                "error_class": outcome.get("error_class"),
                "result": outcome["predicted"],
                "groups": outcome.get("groups") or None,
                "coincidence": outcome.get("coincidence"),
            }
            for outcome, mode in zip(outcomes, modes, strict=True)
        ],
    }


def _choices(values: Iterable[str | None]) -> dict[str, str]:
    """Each value once, in order, as the label of itself."""
    return {value: value for value in sorted({value for value in values if value})}
