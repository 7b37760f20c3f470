"""Which release of a benchmark a file is, told by its content.

Scores on different releases cannot be compared, and a file's name says nothing: BIRD's dev has had
several under one name.
"""

from collections.abc import Sequence
from importlib.resources import files

import yaml

from slmsql.evaluation.provenance import questions_hash
from slmsql.questions.question import Question


def release(questions: Sequence[Question]) -> str:
    """The name of the release, or that it is an unknown one with its hash."""
    known = yaml.safe_load(
        files("slmsql.evaluation").joinpath("releases.yaml").read_text(encoding="utf-8")
    )
    digest = questions_hash(questions)
    return f"{known.get(digest, 'unknown release')} ({digest})"
