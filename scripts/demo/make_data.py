"""Make the quickstart's data: two databases, demonstrations, audited and held-out questions.

    python scripts/demo/make_data.py --output quickstart/demo --seed 1

Everything follows from the seed. A part of the demonstrations is wrong in a systematic way (see
scripts/demo/forms.py); how many really are is measured by running them, and written to demo.json.
The held-out questions are of two kinds, which is their `difficulty`: `new values` in a combination
of form, columns and operators that training has seen, and `new combination`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from scripts.demo.domains import DOMAINS, Domain, create_domain
from scripts.demo.forms import FORMS, Filled, fill
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

TRIES = 4  # fillings drawn for each distinct question we hope for; small forms run dry
NEW_COMBINATIONS = 0.15  # share of the combinations of each form kept out of training


@dataclass(frozen=True, slots=True)
class Options:
    """What is made, and how much of it."""

    output: Path = field(metadata={"help": "folder for the databases and rows"})
    seed: int = field(default=1, metadata={"help": "everything follows from it"})
    demonstrations: int = field(default=3000, metadata={"help": "rows for SFT, at most"})
    audited: int = field(default=1200, metadata={"help": "questions with true gold, at most"})
    held_out: int = field(default=400, metadata={"help": "questions to score on, at most"})
    habit: float = field(
        default=0.6, metadata={"help": "share of wrong demonstrations in forms with a habit"}
    )
    template: str = field(default="think", metadata={"help": "prompt template of the SFT rows"})
    merge_template: str = field(default="merge", metadata={"help": "of the rows in words.jsonl"})
    sample_values: int = field(default=0, metadata={"help": "values shown of each column"})

    def __post_init__(self) -> None:
        if not 0 <= self.habit <= 1:
            raise InputError(f"habit must be between 0 and 1, got {self.habit}")
        for name, count in (("demonstrations", self.demonstrations), ("held_out", self.held_out)):
            if count < 2 * len(FORMS):
                raise InputError(f"{name} must be at least {2 * len(FORMS)}, got {count}")


@dataclass(frozen=True, slots=True)
class Item:
    """A filled question of a form over a database."""

    form: str
    db_id: str
    database: Path
    filled: Filled


@dataclass(frozen=True, slots=True)
class Split:
    demonstrations: list[Item]
    audited: list[Item]
    new_values: list[Item]
    new_combinations: list[Item]


def main() -> None:
    options = parse(Options, about=__doc__)
    random = Random(f"demo {options.seed}")
    databases = _create_databases(options.output / "databases", random)
    with Executor() as executor:
        splits = [_split(form, databases, options, random, executor) for form in FORMS]
        split = _joined(splits, random)
        rows = list(_sft_rows(split.demonstrations, options, random))
        wrong = _count_wrong(split.demonstrations, rows, executor)
        write_jsonl(options.output / "words.jsonl", _merge_rows(split.audited, options, executor))
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
    """The questions of one form: what training sees, and the two kinds it never sees."""
    each = [n // len(FORMS) for n in (options.demonstrations, options.audited, options.held_out)]
    pool = _answered(_pool(form, databases, 2 * sum(each), random), executor)
    combinations = sorted({(item.db_id, *item.filled.combination) for item in pool})
    kept_out = set(random.sample(combinations, max(1, int(NEW_COMBINATIONS * len(combinations)))))
    new = [item for item in pool if (item.db_id, *item.filled.combination) in kept_out]
    seen = iter([i for i in pool if (i.db_id, *i.filled.combination) not in kept_out])
    new_values = list(islice(seen, each[2] // 2))
    # A small form must not spend all its questions on one of the two kinds of training.
    rest = list(seen)
    audited = rest[: min(each[1], len(rest) // 3)]
    demonstrations = rest[len(audited) : len(audited) + each[0]]
    return Split(demonstrations, audited, new_values, new[: each[2] // 2])


def _pool(form: str, databases: dict[Path, Domain], size: int, random: Random) -> list[Item]:
    """Up to `size` different questions of a form, in random order."""
    items: dict[str, Item] = {}
    for _ in range(TRIES * size):
        path, domain = random.choice(list(databases.items()))
        filled = fill(form, domain, random)
        items.setdefault(filled.text, Item(form, domain.name, path, filled))
        if len(items) == size:
            break
    return list(items.values())


def _answered(items: list[Item], executor: Executor) -> list[Item]:
    """Those with something in their result: nothing is too easily got right by accident."""
    statements = [Statement(item.database, item.filled.sql) for item in items]
    executions = executor.run(statements, preview=1)
    return [
        item
        for item, execution in zip(items, executions, strict=True)
        if any(value is not None for row in execution.rows for value in row)
    ]


def _joined(splits: Iterable[Split], random: Random) -> Split:
    lists: list[list[Item]] = [[], [], [], []]
    for split in splits:
        parts = (split.demonstrations, split.audited, split.new_values, split.new_combinations)
        for whole, part in zip(lists, parts, strict=True):
            whole += part
    for whole in lists:
        random.shuffle(whole)
    return Split(*lists)


def _sft_rows(items: list[Item], options: Options, random: Random) -> Iterator[Record]:
    """Demonstrations; those of a form with a habit are wrong with probability `habit`."""
    prompt_settings = PromptSettings(template=options.template, sample_values=options.sample_values)
    layout = read_template(options.template).layout
    for number, item in enumerate(items):
        question = _question(item, f"demo_sft_{number}", item.form)
        thought, sql = item.filled.thought, item.filled.sql
        if item.filled.habit is not None and random.random() < options.habit:
            thought, sql = item.filled.habit
        prompt = build_prompt(question, prompt_settings)
        yield sft_row(question, prompt, target(thought, sql, layout)) | {"gold_sql": sql}


def _merge_rows(items: list[Item], options: Options, executor: Executor) -> Iterator[Record]:
    """Rows in the words of the merge model's prompts, from which the tokenizer learns them."""
    revision_settings = RevisionSettings(
        template=options.merge_template, sample_values=options.sample_values, max_rows=3
    )
    drafted = [item for item in items if item.filled.habit is not None][:200]
    sets = run_candidates([_drafts(item) for item in drafted], executor)
    revisions = [
        Revision(_question(item, item.filled.text, item.form), group_by_result(found.candidates))
        for item, found in zip(drafted, sets, strict=True)
    ]
    prompts = revision_prompts(revisions, executor, revision_settings)
    for revision, prompt in zip(revisions, prompts, strict=True):
        yield sft_row(revision.question, prompt, revision.question.gold_sql or "")


def _drafts(item: Item) -> CandidateSet:
    assert item.filled.habit is not None
    queries = (item.filled.sql, item.filled.habit[1])
    return CandidateSet(item.form, item.db_id, item.database, tuple(map(Candidate, queries)))


def _count_wrong(items: list[Item], rows: list[Record], executor: Executor) -> int:
    """How many demonstrations do not give the result of the true query."""
    pairs = [
        Pair(item.database, row["gold_sql"], item.filled.sql)
        for item, row in zip(items, rows, strict=True)
    ]
    verdicts = executor.judge(pairs, match=Match.BIRD)
    return sum(verdict.correct is not True for verdict in verdicts)


def _write(options: Options, split: Split, rows: list[Record], wrong: int) -> dict[str, int]:
    held_out = [
        _question(item, f"demo_test_{kind.replace(' ', '_')}_{number}", kind).as_record()
        for kind, items in (
            ("new values", split.new_values),
            ("new combination", split.new_combinations),
        )
        for number, item in enumerate(items)
    ]
    audited = [
        _question(item, f"demo_rl_{number}", item.form).as_record()
        | {"thought": item.filled.thought}
        for number, item in enumerate(split.audited)
    ]
    counts = {
        "demonstrations": write_jsonl(options.output / "sft.jsonl", rows),
        "wrong_demonstrations": wrong,
        "audited": write_jsonl(options.output / "rl.jsonl", audited),
        "held_out": write_jsonl(options.output / "test.jsonl", held_out),
        "held_out_new_combinations": len(split.new_combinations),
    }
    made_by = {name: str(value) for name, value in asdict(options).items()}
    write_json(options.output / "demo.json", {**counts, "options": made_by})
    return counts


def _question(item: Item, identity: str, difficulty: str) -> Question:
    return Question(
        id=identity,
        text=item.filled.text,
        db_id=item.db_id,
        database=item.database,
        gold_sql=item.filled.sql,
        difficulty=difficulty,
        source=item.form,
    )


if __name__ == "__main__":
    run_program(main)
