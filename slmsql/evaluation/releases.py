"""The release of a benchmark, recognised by the content of its questions.

Scores on different releases cannot be compared, and file names do not tell them apart: several
releases of BIRD dev have the same name.
"""

from collections.abc import Sequence
from importlib.resources import files

import yaml

from slmsql.evaluation.provenance import questions_hash
from slmsql.questions.question import Question


def release(questions: Sequence[Question]) -> str:
    """The name of the release ("unknown release" if we do not list it) and its hash."""
    names = yaml.safe_load(
        files("slmsql.evaluation").joinpath("releases.yaml").read_text(encoding="utf-8")
    )
    digest = questions_hash(questions)
    return f"{names.get(digest, 'unknown release')} ({digest})"
