"""Make the quickstart's data: two databases, demonstrations, audited and held-out questions.

    python scripts/demo/make_data.py --output quickstart/demo --seed 1

writes sft.jsonl (demonstrations), rl.jsonl (audited questions), test.jsonl (held-out questions) and
words.jsonl (text from which the tokenizer learns the words of the merge prompt). The same seed
gives the same bytes.

Part of the demonstrations are wrong in a systematic way (see scripts/demo/forms.py). How many are
wrong is measured by running them, and written to demo.json. Half of the held-out questions ask for
new values in a combination of form, columns and operators that training has seen, half for a new
combination; their `difficulty` says which.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from scripts.demo.domains import DOMAINS, Domain, create_domain
from scripts.demo.forms import FORMS, Exercise, fill
from slmsql.cli.config import parse
from slmsql.consistency.candidates import Candidate, CandidateSet, run_candidates
from slmsql.consistency.revision import Revision, RevisionSettings, revision_prompts
from slmsql.consistency.voting import group_by_result
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Pair, Statement
from slmsql.files import Record, write_json, write_jsonl
from slmsql.match import Match
from slmsql.prompt.build import PromptSettings, build_prompt, read_template, target
from slmsql.questions.question import Question
from slmsql.rows.formats import sft_row

TRIES = 4  # exercises made for each distinct one that is wanted; small forms have fewer
NEW_COMBINATIONS = 0.15  # share of each form's combinations that training never sees
WORD_ROWS = 200  # rows of words.jsonl


@dataclass(frozen=True, slots=True)
class Options:
    output: Path = field(metadata={"help": "folder for the databases and rows"})
    seed: int = field(default=1, metadata={"help": "of the rows of the databases and questions"})
    demonstrations: int = field(default=3000, metadata={"help": "most rows for SFT"})
    audited: int = field(default=1200, metadata={"help": "most questions with right gold SQL"})
    held_out: int = field(default=400, metadata={"help": "most questions to score on"})
    habit: float = field(
        default=0.6, metadata={"help": "share of wrong demonstrations in forms with a habit"}
    )
    template: str = field(default="think", metadata={"help": "prompt template of the SFT rows"})
    merge_template: str = field(
        default="merge", metadata={"help": "prompt template of the rows in words.jsonl"}
    )
    sample_values: int = field(default=0, metadata={"help": "values shown of each column"})

    def __post_init__(self) -> None:
        if not 0 <= self.habit <= 1:
            raise InputError(f"habit must be between 0 and 1, got {self.habit}")
        for name, count in (("demonstrations", self.demonstrations), ("held_out", self.held_out)):
            if count < 2 * len(FORMS):
                raise InputError(f"{name} must be at least {2 * len(FORMS)}, got {count}")


@dataclass(frozen=True, slots=True)
class Item:
    """An exercise of a form over a database."""

    form: str
    db_id: str
    database: Path
    exercise: Exercise

    @property
    def combination(self) -> tuple[str, ...]:
        return self.db_id, *self.exercise.combination

    def as_question(self, identity: str, difficulty: str) -> Question:
        return Question(
            id=identity,
            text=self.exercise.text,
            db_id=self.db_id,
            database=self.database,
            gold_sql=self.exercise.solution.sql,
            difficulty=difficulty,
            source=self.form,
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Exercises for SFT, for GRPO, and the two kinds of held-out questions."""

    demonstrations: list[Item] = field(default_factory=list)
    audited: list[Item] = field(default_factory=list)
    new_values: list[Item] = field(default_factory=list)
    new_combinations: list[Item] = field(default_factory=list)

    def parts(self) -> tuple[list[Item], ...]:
        return self.demonstrations, self.audited, self.new_values, self.new_combinations


def main() -> None:
    options = parse(Options, about=__doc__)
    random = Random(f"demo {options.seed}")
    databases = _create_databases(options.output / "databases", random)
    with Executor() as executor:
        splits = [_split(form, databases, options, random, executor) for form in FORMS]
        split = _shuffled_union(splits, random)
        rows = list(_sft_rows(split.demonstrations, options, random))
        wrong = _count_wrong(split.demonstrations, rows, executor)
        write_jsonl(options.output / "words.jsonl", _word_rows(split.audited, options, executor))
    counts = _write(options, split, rows, wrong)
    print(f"{options.output}: " + ", ".join(f"{name} {value}" for name, value in counts.items()))


def _create_databases(folder: Path, random: Random) -> dict[Path, Domain]:
    databases = {folder / d.name / f"{d.name}.sqlite": d for d in DOMAINS}
    for path, domain in databases.items():
        create_domain(domain, path, random)
    return databases


def _split(
    form: str, databases: dict[Path, Domain], options: Options, random: Random, executor: Executor
) -> Split:
    """Split the questions of one form into those for training and those never trained on."""
    demonstrations, audited, held_out = (
        count // len(FORMS) for count in (options.demonstrations, options.audited, options.held_out)
    )
    size = 2 * (demonstrations + audited + held_out)
    pool = _with_results(_distinct_items(form, databases, size, random), executor)
    combinations = sorted({item.combination for item in pool})
    new = set(random.sample(combinations, max(1, int(NEW_COMBINATIONS * len(combinations)))))
    new_combinations = [item for item in pool if item.combination in new]
    trained = [item for item in pool if item.combination not in new]
    half = held_out // 2
    new_values, rest = trained[:half], trained[half:]
    # A small form has too few questions for both kinds of training: at most a third is audited.
    audited = min(audited, len(rest) // 3)
    return Split(
        rest[audited : audited + demonstrations],
        rest[:audited],
        new_values,
        new_combinations[:half],
    )


def _distinct_items(
    form: str, databases: dict[Path, Domain], size: int, random: Random
) -> list[Item]:
    """Up to `size` different questions of a form, in random order."""
    items: dict[str, Item] = {}
    for _ in range(TRIES * size):
        path, domain = random.choice(list(databases.items()))
        exercise = fill(form, domain, random)
        items.setdefault(exercise.text, Item(form, domain.name, path, exercise))
        if len(items) == size:
            break
    return list(items.values())


def _with_results(items: list[Item], executor: Executor) -> list[Item]:
    """The items whose result holds a value: an empty result is too easily right by accident."""
    statements = [Statement(item.database, item.exercise.solution.sql) for item in items]
    executions = executor.run(statements, preview=1)
    return [
        item
        for item, execution in zip(items, executions, strict=True)
        if any(value is not None for row in execution.rows for value in row)
    ]


def _shuffled_union(splits: Iterable[Split], random: Random) -> Split:
    union = Split()
    for split in splits:
        for whole, part in zip(union.parts(), split.parts(), strict=True):
            whole += part
    for whole in union.parts():
        random.shuffle(whole)
    return union


def _sft_rows(items: list[Item], options: Options, random: Random) -> Iterator[Record]:
    """The demonstrations; those of a form with a habit are wrong with probability `habit`."""
    prompt_settings = PromptSettings(template=options.template, sample_values=options.sample_values)
    layout = read_template(options.template).layout
    for number, item in enumerate(items):
        question = item.as_question(f"demo_sft_{number}", item.form)
        solution = item.exercise.solution
        if item.exercise.habit is not None and random.random() < options.habit:
            solution = item.exercise.habit
        prompt = build_prompt(question, prompt_settings).messages
        completion = target(solution.thought, solution.sql, layout)
        yield sft_row(question, prompt, completion) | {"gold_sql": solution.sql}


def _word_rows(items: list[Item], options: Options, executor: Executor) -> Iterator[Record]:
    """Merge prompts with the right and the wrong solution as drafts; nothing is trained on them."""
    settings = RevisionSettings(
        template=options.merge_template, sample_values=options.sample_values, max_rows=3
    )
    items = [item for item in items if item.exercise.habit is not None][:WORD_ROWS]
    sets = run_candidates([_drafts(item) for item in items], executor)
    revisions = [
        Revision(
            item.as_question(item.exercise.text, item.form),
            group_by_result(candidate_set.candidates),
        )
        for item, candidate_set in zip(items, sets, strict=True)
    ]
    prompts = revision_prompts(revisions, executor, settings)
    for revision, prompt in zip(revisions, prompts, strict=True):
        yield sft_row(revision.question, prompt, revision.question.gold_sql or "")


def _drafts(item: Item) -> CandidateSet:
    assert item.exercise.habit is not None
    queries = (item.exercise.solution.sql, item.exercise.habit.sql)
    return CandidateSet(item.form, item.db_id, item.database, tuple(map(Candidate, queries)))


def _count_wrong(items: list[Item], rows: list[Record], executor: Executor) -> int:
    """The number of demonstrations whose result is not that of the right SQL."""
    pairs = [
        Pair(item.database, row["gold_sql"], item.exercise.solution.sql)
        for item, row in zip(items, rows, strict=True)
    ]
    verdicts = executor.judge(pairs, match=Match.BIRD)
    return sum(verdict.correct is not True for verdict in verdicts)


def _write(options: Options, split: Split, rows: list[Record], wrong: int) -> dict[str, int]:
    audited = [
        item.as_question(f"demo_rl_{number}", item.form).as_record()
        | {"thought": item.exercise.solution.thought}
        for number, item in enumerate(split.audited)
    ]
    held_out = [
        item.as_question(f"demo_test_{kind.replace(' ', '_')}_{number}", kind).as_record()
        for kind, items in (
            ("new values", split.new_values),
            ("new combination", split.new_combinations),
        )
        for number, item in enumerate(items)
    ]
    counts = {
        "demonstrations": write_jsonl(options.output / "sft.jsonl", rows),
        "wrong_demonstrations": wrong,
        "audited": write_jsonl(options.output / "rl.jsonl", audited),
        "held_out": write_jsonl(options.output / "test.jsonl", held_out),
        "held_out_new_combinations": len(split.new_combinations),
    }
    option_values = {name: str(value) for name, value in asdict(options).items()}
    write_json(options.output / "demo.json", {**counts, "options": option_values})
    return counts


if __name__ == "__main__":
    run_program(main)
