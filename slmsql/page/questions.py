"""The questions of one or several runs: filters and, opened, gold beside each prediction."""

from collections.abc import Iterable, Sequence

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.page.markup import Html, element, embedded, joined, text
from slmsql.page.reading import Run


def question_list(runs: Sequence[Run]) -> Html:
    """All questions, with filters; the page's script draws them."""
    questions = _questions(runs)
    verdicts = {"wrong": "wrong", "right": "right", "left_out": "not judged"}
    if len(runs) > 1:
        first, last = runs[0].name, runs[-1].name
        verdicts = {
            "gained": f"gained: only {last} is right",
            "lost": f"lost: only {first} is right",
            "wrong": "wrong in at least one",
            "right": "right in all",
        }
    errors = sorted({run["error_class"] for q in questions for run in q["runs"]} - {None})
    chosen = element(
        "div",
        _select("verdict", "all verdicts", verdicts),
        _select("error", "all errors", {name: name for name in errors}),
        _select("db", "all databases", _names(q["db_id"] for q in questions)),
        _select("difficulty", "all difficulties", _names(q["difficulty"] for q in questions)),
        element("input", data_filter="text", type="search", placeholder="text or SQL"),
        class_="filters",
    )
    return joined(
        chosen,
        element("p", id="count", class_="about"),
        element("div", id="list"),
        element("button", text("more"), id="more", type="button", hidden="hidden"),
        embedded("questions", {"runs": [run.name for run in runs], "questions": questions}),
    )


def _questions(runs: Sequence[Run]) -> list[Record]:
    by_id = [{str(outcome["id"]): outcome for outcome in run.outcomes} for run in runs]
    for run, outcomes in zip(runs, by_id, strict=True):
        if outcomes.keys() != by_id[0].keys():
            raise InputError(
                f"{run.name} and {runs[0].name} answer different questions "
                f"({len(outcomes)} and {len(by_id[0])}); compare runs on the same ones"
            )
    return [
        _question([outcomes[identity] for outcomes in by_id], [run.report["match"] for run in runs])
        for identity in by_id[0]
    ]


def _question(outcomes: Sequence[Record], modes: Sequence[str]) -> Record:
    first = outcomes[0]
    shared = ("id", "db_id", "difficulty", "question", "evidence", "gold_sql", "gold")
    return {
        **{name: first.get(name) for name in shared},
        "runs": [_answer(one, mode) for one, mode in zip(outcomes, modes, strict=True)],
    }


def _answer(outcome: Record, mode: str) -> Record:
    return {
        "sql": outcome["sql"],
        "correct": outcome["correct"].get(mode),
        "error_class": outcome.get("error_class"),
        "result": outcome["predicted"],
        "groups": outcome.get("groups") or None,
    }


def _names(values: Iterable[str]) -> dict[str, str]:
    return {name: name for name in sorted(set(values)) if name}


def _select(name: str, everything: str, choices: dict[str, str]) -> Html:
    if len(choices) < 2:
        return Html("")
    options = [element("option", text(label), value=value) for value, label in choices.items()]
    return element(
        "select", element("option", text(everything), value=""), *options, data_filter=name
    )
