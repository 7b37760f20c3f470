"""Text to SQL with small models: ask databases, judge and score SQL, vote over candidates.

    from slmsql import judge
    (verdict,) = judge("my.sqlite", [("SELECT name FROM t", "SELECT t.name FROM t")])
    print(verdict.correct)

The names below (`HOMES`) are imported when they are first used. The rest of the library stands in
rooms, ordered along a question's journey. A room imports only rooms above it.

errors, files          errors of users; JSON and JSON Lines
sql                    SQL text: tokens, quoting, syntax trees
match                  when two results agree: bird, spider, strict
execution              runs SQL in sandboxed workers; the only room that opens databases
questions              questions and where they come from; the words of a text
schema                 a database's tables, columns and keys, and their text
values                 values of a database that a question mentions
prompt                 what a model reads, and what its completion says
grammar                which tokens can continue a SELECT statement over a database
cli                    options of programs: config file, then command line
consistency            candidates, voting, revision: inference after sampling, without a model
rows                   training rows in files
suites                 databases that a program makes: for evaluation, and neighbours against luck
evaluation             scores, intervals, comparisons; Spider's exact-set match and difficulty
training               what SFT and GRPO share
sampling               samplers (vLLM, endpoints, transformers, llama.cpp), scheduler, journal
page                   the HTML report
server                 one question at a time: in a terminal, over HTTP, as a tool of an assistant
commands               the programs of the installed package: `slmsql ask`, `slmsql evaluate` ...

`tests/test_layers.py` checks the order. Nothing here imports torch when it is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slmsql.consistency.deciding import vote as vote
    from slmsql.consistency.prediction import read_predictions as read_predictions
    from slmsql.errors import InputError as InputError
    from slmsql.evaluation.scorers import every_scorer as every_scorer
    from slmsql.evaluation.scoring import score as score
    from slmsql.execution import Executor as Executor
    from slmsql.execution import Pair as Pair
    from slmsql.execution.judging import judge as judge
    from slmsql.match import Match as Match
    from slmsql.questions.question import Question as Question
    from slmsql.questions.reading import read_benchmark as read_benchmark
    from slmsql.questions.reading import read_questions as read_questions
    from slmsql.sampling.model import load_model as load_model
    from slmsql.sampling.sampler import Completed as Completed
    from slmsql.sampling.sampler import Sample as Sample
    from slmsql.sampling.sampler import Sampler as Sampler
    from slmsql.server.asker import Asker as Asker
    from slmsql.suites.chinook import make_chinook as make_chinook

HOMES = {
    "Asker": "slmsql.server.asker",
    "Completed": "slmsql.sampling.sampler",
    "Executor": "slmsql.execution",
    "InputError": "slmsql.errors",
    "Match": "slmsql.match",
    "Pair": "slmsql.execution",
    "Question": "slmsql.questions.question",
    "Sample": "slmsql.sampling.sampler",
    "Sampler": "slmsql.sampling.sampler",
    "every_scorer": "slmsql.evaluation.scorers",
    "judge": "slmsql.execution.judging",
    "load_model": "slmsql.sampling.model",
    "make_chinook": "slmsql.suites.chinook",
    "read_benchmark": "slmsql.questions.reading",
    "read_predictions": "slmsql.consistency.prediction",
    "read_questions": "slmsql.questions.reading",
    "score": "slmsql.evaluation.scoring",
    "vote": "slmsql.consistency.deciding",
}


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module 'slmsql' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
