"""SFT, GRPO and merge rows as the programs write them, from small files and from real ones."""

import json
from pathlib import Path

import pytest

from slmsql.execution import create_database
from slmsql.files import read_jsonl, write_jsonl
from slmsql.prompt.answer import parse
from tests.in_process import run_here

ROOT = Path(__file__).parent.parent


def run(program, *arguments):
    return run_here(f"scripts/{program}.py", *arguments)


def made(program, output, *arguments):
    done = run(program, *arguments, "--output", output)
    assert done.returncode == 0, done.stderr
    return list(read_jsonl(output)), json.loads(Path(f"{output}.card.json").read_text())


def question(singers, number, sql, **more):
    return {
        "id": f"q{number}",
        "question": f"question {number}",
        "database": str(singers),
        "gold_sql": sql,
        **more,
    }


@pytest.fixture
def questions(singers, tmp_path):
    """Gold that runs, fails, changes with the clock, is empty; and a database that is missing."""
    file = tmp_path / "questions.jsonl"
    records = [
        question(singers, 0, "SELECT name FROM singer"),
        question(singers, 1, "SELECT nothing FROM singer"),
        question(singers, 2, "SELECT date('now')"),
        question(singers, 3, "SELECT name FROM singer WHERE age > 99"),
        question(tmp_path / "missing.sqlite", 4, "SELECT 1"),
    ]
    write_jsonl(file, records)
    return file


def candidates(tmp_path, by_id):
    file = tmp_path / "candidates.jsonl"
    write_jsonl(
        file,
        (
            {"id": key, "candidates": [{"sql": parse(c).sql, "completion": c} for c in texts]}
            for key, texts in by_id.items()
        ),
    )
    return file


def think(sql, thought="I thought."):
    return f"<think>\n{thought}\n</think>\n<answer>\n{sql}\n</answer>"


def test_gold_that_cannot_reward_is_left_out_of_grpo_and_counted(questions, tmp_path):
    rows, card = made(
        "prepare_rl", tmp_path / "rl.jsonl", "--questions", questions, "--drop_empty", "true"
    )
    assert [row["id"] for row in rows] == ["q0"]
    assert card["left_out"] == {
        "no database": 1,
        "gold: error": 1,
        "gold: another result each time": 1,
        "gold: empty result": 1,
    }


def test_questions_always_or_never_solved_can_be_left_out(singers, tmp_path):
    file = tmp_path / "questions.jsonl"
    write_jsonl(file, [question(singers, n, "SELECT count(*) FROM singer") for n in range(3)])
    right, wrong = think("SELECT 3"), think("SELECT 4")
    sampled = candidates(
        tmp_path, {"q0": [right, right], "q1": [right, wrong], "q2": [wrong, "no"]}
    )
    rows, card = made(
        "prepare_rl", tmp_path / "rl.jsonl", "--questions", file, "--candidates", sampled
    )
    assert [row["id"] for row in rows] == ["q1"]
    assert card["left_out"] == {"solved too often": 1, "solved too rarely": 1}
    rows, _ = made(
        *("prepare_rl", tmp_path / "all.jsonl", "--questions", file, "--candidates", sampled),
        *("--pass_above", "-1", "--pass_below", "2"),
    )
    assert {row["id"]: row["pass_rate"] for row in rows} == {"q0": 1, "q1": 0.5, "q2": 0}


def test_sft_rows_take_the_thoughts_that_come_with_questions(singers, tmp_path):
    file = tmp_path / "questions.jsonl"
    write_jsonl(file, [question(singers, 0, "SELECT 1", thought="Because.")])
    rows, _ = made("prepare_sft", tmp_path / "s.jsonl", "--questions", file, "--template", "think")
    assert rows[0]["completion"] == [
        {"role": "assistant", "content": think("SELECT 1", "Because.")}
    ]


def test_sft_targets_can_spell_names_as_the_database_does(singers, tmp_path):
    file = tmp_path / "questions.jsonl"
    write_jsonl(file, [question(singers, 0, "SELECT Name FROM SINGER WHERE Name = 'Ann'")])
    words = ("prepare_sft", tmp_path / "s.jsonl", "--questions", file, "--template", "short")

    def answer(*more):
        return made(*words, *more)[0][0]["completion"][0]["content"]

    assert answer() == "SELECT Name FROM SINGER WHERE Name = 'Ann'"
    spelled = answer("--schema_spelling", "true")
    assert spelled == "SELECT name FROM singer WHERE name = 'Ann'"


def test_without_thoughts_a_think_template_is_refused(questions, tmp_path):
    done = run(
        "prepare_sft", "--questions", questions, "--output", tmp_path / "s", "--template", "think"
    )
    assert done.returncode == 2
    assert "'q0' has no 'thought'" in done.stderr
    assert not (tmp_path / "s").exists()


GRETEL = {
    "id": 5,
    "sql_complexity": "basic SQL",
    "sql_prompt": "How many sales?",
    "sql_context": "CREATE TABLE sales (id INT, city TEXT); INSERT INTO sales VALUES (1, 'Rome');",
    "sql": "SELECT COUNT(*) FROM sales;",
    "sql_explanation": "counts",
}
CONTEXT = {
    "question": "How many heads?",
    "context": "CREATE TABLE head (age INTEGER)",
    "answer": "SELECT COUNT(*) FROM head WHERE age > 56",
}


@pytest.mark.parametrize("form", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("record", "source"), [(GRETEL, "gretel"), (CONTEXT, "sql-create-context")]
)
def test_questions_with_a_schema_of_their_own_get_databases(tmp_path, form, record, source):
    file = tmp_path / f"data.{form}"
    records = [
        record,
        {**record, "id": 6, "sql_context": "CREATE TABLE x (", "context": "ATTACH 'x'"},
    ]
    if form == "parquet":
        from pyarrow import Table
        from pyarrow.parquet import write_table

        write_table(Table.from_pylist(records), file)
    elif form == "json":
        file.write_text(json.dumps(records))
    else:
        write_jsonl(file, records)
    rows, card = made(
        "prepare_sft", tmp_path / "s", "--questions", file, "--databases", tmp_path / "made"
    )
    assert [row["source"] for row in rows] == [source]
    assert "CREATE TABLE" in rows[0]["prompt"][1]["content"]
    assert Path(rows[0]["database"]).is_file()
    assert card["left_out"] == {"no database": 1}


def test_databases_on_the_denylist_are_left_out(singers, tmp_path):
    other = tmp_path / "other.sqlite"
    create_database(other, "CREATE TABLE t (a)")
    file = tmp_path / "questions.jsonl"
    write_jsonl(file, [question(singers, 0, "SELECT 1"), question(other, 1, "SELECT 1")])
    (tmp_path / "deny.txt").write_text("Singers\n")
    rows, card = made(
        "prepare_rl", tmp_path / "r", "--questions", file, "--denylist", tmp_path / "deny.txt"
    )
    assert [row["db_id"] for row in rows] == ["other"]
    assert card["left_out"] == {"on the denylist": 1}


def test_what_is_near_an_evaluation_question_is_reported_and_can_be_left_out(singers, tmp_path):
    file, evaluation = tmp_path / "train.jsonl", tmp_path / "dev.jsonl"
    near = question(singers, 0, "SELECT 1") | {"question": "How many songs did Ann sing?"}
    write_jsonl(file, [near, question(singers, 1, "SELECT 2") | {"question": "Oldest singer?"}])
    write_jsonl(evaluation, [near | {"id": "dev0"}])
    rows, card = made("prepare_rl", tmp_path / "a", "--questions", file, "--evaluation", evaluation)
    assert len(rows) == 2
    assert card["overlap"][str(evaluation)]["near_duplicates"] == 1
    rows, card = made(
        "prepare_rl", tmp_path / "b", "--questions", file, "--evaluation", evaluation,
        "--drop_overlap", "true",
    )  # fmt: skip
    assert [row["id"] for row in rows] == ["q1"]


@pytest.mark.slow
def test_validation_rows_are_over_other_databases_than_training_rows(benchmarks, tmp_path):
    bird = ["--questions", benchmarks / "bird/train/train.json"]
    bird += ["--databases", benchmarks / "bird/train/train_databases"]
    held = tmp_path / "held.jsonl"
    rows, card = made(
        "prepare_rl", tmp_path / "rl.jsonl", *bird, "--held_out_output", held, "--held_out", "0.2"
    )
    validation = list(read_jsonl(held))
    trained = {row["database"] for row in rows}
    assert validation
    assert not trained & {row["database"] for row in validation}
    assert len(rows) + len(validation) == 732 - sum(card["left_out"].values())


@pytest.mark.slow
def test_validation_rows_are_not_filtered_by_pass_rate(benchmarks, tmp_path):
    bird = ["--questions", benchmarks / "bird/train/train.json"]
    bird += ["--databases", benchmarks / "bird/train/train_databases"]
    golds = {row["id"]: row["gold_sql"] for row in made("prepare_rl", tmp_path / "a", *bird)[0]}
    sampled = candidates(
        tmp_path,
        {key: [think(sql), think("SELECT 1")] if n % 2 else [think(sql)] * 2
         for n, (key, sql) in enumerate(golds.items())},
    )  # fmt: skip
    held = tmp_path / "held.jsonl"
    rows, card = made(
        "prepare_rl", tmp_path / "rl.jsonl", *bird, "--held_out_output", held, "--held_out", "0.2",
        "--candidates", sampled,
    )  # fmt: skip
    validation = list(read_jsonl(held))
    assert {row["pass_rate"] for row in rows} == {0.5}
    assert not any("pass_rate" in row for row in validation)
    assert len(rows) + card["left_out"]["solved too often"] + len(validation) == len(golds)
    assert not {row["database"] for row in rows} & {row["database"] for row in validation}


def test_one_database_alone_cannot_be_split(questions, tmp_path):
    done = run(
        "prepare_rl", "--questions", questions, "--output", tmp_path / "rl.jsonl",
        "--held_out_output", tmp_path / "held.jsonl",
    )  # fmt: skip
    assert done.returncode == 2
    assert "1 databases cannot be split" in done.stderr
    assert not (tmp_path / "rl.jsonl").exists()


@pytest.mark.parametrize("program", ["prepare_rl", "prepare_sft", "prepare_merge"])
def test_evaluation_splits_are_refused(program, singers, tmp_path):
    file = tmp_path / "dev.jsonl"
    write_jsonl(file, [question(singers, 0, "SELECT 1")])
    more = ["--candidates", file] if program == "prepare_merge" else []
    done = run(program, "--questions", file, "--output", tmp_path / "out", *more)
    assert done.returncode == 2
    assert "--allow_evaluation_split true" in done.stderr


def test_merge_rows_take_the_reasoning_of_a_right_completion(singers, tmp_path):
    file = tmp_path / "train.jsonl"
    gold = "SELECT name FROM singer WHERE age > 26"
    write_jsonl(file, [question(singers, 0, gold)])
    right = "SELECT name FROM singer WHERE age = 30"
    sampled = candidates(
        tmp_path, {"q0": [think("SELECT name FROM singer"), think(right, "Ages."), "SELECT"]}
    )
    rl = tmp_path / "rl.jsonl"
    rows, card = made(
        "prepare_merge", tmp_path / "m", "--questions", file, "--candidates", sampled,
        "--rl_output", rl,
    )  # fmt: skip
    assert rows[0]["completion"][0]["content"] == think(right, "Ages.")
    assert rows[0]["gold_sql"] == gold
    prompt = rows[0]["prompt"][1]["content"]
    assert "Draft 1:\nSELECT name FROM singer\n" in prompt
    assert f"Draft 2:\n{right}\nResult of draft 2:\n2 rows of name\n('Ann')\n('Cid')" in prompt
    assert [row["prompt"] for row in read_jsonl(rl)] == [rows[0]["prompt"]]
    assert card["notes"] == {"one draft is right": 1}


@pytest.mark.parametrize(
    ("neither", "drafts"), [("gold", {"SELECT 9", "SELECT 3"}), ("keep", {"SELECT 9", "SELECT 8"})]
)
def test_if_no_draft_is_right_the_gold_query_may_replace_one(singers, tmp_path, neither, drafts):
    file = tmp_path / "train.jsonl"
    write_jsonl(file, [question(singers, n, "SELECT 3") for n in range(8)])
    sampled = candidates(
        tmp_path,
        {f"q{n}": [think("SELECT 9"), think("SELECT 9"), think("SELECT 8")] for n in range(8)},
    )
    rl = tmp_path / "rl.jsonl"
    made(
        "prepare_merge", tmp_path / "m", "--questions", file, "--candidates", sampled,
        "--rl_output", rl, "--neither", neither,
    )  # fmt: skip
    prompts = [row["prompt"][1]["content"] for row in read_jsonl(rl)]
    shown = [[sql for sql in ("SELECT 9", "SELECT 8", "SELECT 3") if sql in p] for p in prompts]
    assert {frozenset(drafts_shown) for drafts_shown in shown} == {frozenset(drafts)}
    first = {"SELECT 9" in prompt.partition("Draft 2")[0] for prompt in prompts}
    assert first == ({True, False} if neither == "gold" else {True})


def test_unanimous_questions_make_no_merge_rows(singers, tmp_path):
    file = tmp_path / "train.jsonl"
    write_jsonl(file, [question(singers, 0, "SELECT 3")])
    sampled = candidates(tmp_path, {"q0": [think("SELECT 3"), think("SELECT 3")]})
    done = run("prepare_merge", "--questions", file, "--candidates", sampled, "--output", tmp_path)
    assert done.returncode == 2
    assert "no question has two drafts that differ" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "least"), [("spider", 90), ("bird", 93)])
def test_real_candidates_make_merge_rows(benchmarks, tmp_path, benchmark, least):
    files = sorted((benchmarks / "predictions").glob(f"{benchmark}_dev__*.jsonl"))
    figures = tmp_path / "figures.json"
    rows, _ = made(
        "prepare_merge", tmp_path / "m", "--benchmark", benchmark, "--root", benchmarks / benchmark,
        "--split", "dev", "--allow_evaluation_split", "true", "--template", "merge_sql",
        "--json", figures, "--candidates", *files,
    )  # fmt: skip
    counts = json.loads(figures.read_text())
    assert len(rows) == counts["in_doubt"] > 100
    assert counts["right_among_drafts_percent"] >= least
    assert counts["rl_rows"] == 0  # no file was asked for
    for row in rows:
        _, first, second = (
            row["prompt"][1]["content"].replace("Draft 2:", "Draft 1:").split("Draft 1:")
        )
        assert first.partition("Result of")[2] != second.partition("Result of")[2]


def test_mixes_take_at_most_n_rows_of_each_file_and_shuffle(tmp_path, singers):
    def row(name, n):
        return {"id": f"{name}{n}", "source": name, "prompt": [], "completion": []}

    for name, count in (("a", 30), ("b", 5)):
        write_jsonl(tmp_path / f"{name}.jsonl", [row(name, n) for n in range(count)])
    inputs = ("--inputs", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--most", "10")
    rows, card = made("prepare_mix", tmp_path / "m", *inputs)
    assert card["by_source"] == {"a": 10, "b": 5}
    assert made("prepare_mix", tmp_path / "n", *inputs)[0] == rows
    done = run("prepare_mix", "--inputs", *[tmp_path / "a.jsonl"] * 2, "--output", tmp_path / "o")
    assert done.returncode == 2
    assert "2 rows with the id 'a" in done.stderr
