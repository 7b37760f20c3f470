"""The GRPO program: what it checks first, and what it does with rows, rollouts and groups."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate import Accelerator
from transformers import GenerationConfig
from trl import GRPOConfig

from rewards import Judge
from rewards.watch import (
    ALARMS,
    Alarm,
    JudgedCompletion,
    is_constant,
    make_alarms,
    raised_alarms,
    watch_metrics,
)
from rl.grpo import _without_long_prompts, check_run
from rl.options import Options, check, validation_rows
from rl.rollouts import RolloutLog, groups_by_step, rewind
from rl.rows import check_layout
from rl.tokenizer import check_tokenizer, prompt_limit
from rl.validate import answer_rows
from rl.zero_variance import ZeroVarianceFilter, groups_per_update, has_variance
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError
from slmsql.execution import Executor, create_database, fingerprint
from slmsql.files import read_jsonl, write_json, write_jsonl
from slmsql.match import Match
from slmsql.prompt.answer import parse
from slmsql.prompt.build import PromptSettings, build_prompt, read_template
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row
from slmsql.suites.neighbours.judging import SuiteVerdict
from slmsql.training.checkpoints import latest_complete, mark_complete, step_of
from slmsql.training.rows import read_grpo_rows, runnable_rows
from slmsql.training.run_record import check_same_run, describe, write_record
from slmsql.training.validation import AnsweredRow, Counts, Validation, judge_answers, share_of
from tests.tiny_model import tiny_tokenizer

GOLD = "SELECT name FROM singer WHERE age = 30"


def think(sql):
    return f"<think>\nwhy\n</think>\n<answer>\n{sql}\n</answer>"


def row(database, identity="q0", gold=GOLD, template="think"):
    question = Question(identity, "Who is 30?", "singers", database, gold_sql=gold)
    prompt = build_prompt(question, PromptSettings(template=template)).messages
    return grpo_row(question, prompt, read_template(template).layout)


# Rows


def test_rows_whose_gold_fails_are_left_out_and_counted(singers):
    rows = [row(singers, "a"), row(singers, "b", "SELECT x FROM y"), row(singers, "c", "SELECT (")]
    with Executor(workers=1) as executor:
        checked = runnable_rows(rows, executor, Match.BIRD)
        assert [kept["id"] for kept in checked.rows] == ["a"]
        assert checked.summary().startswith("1 rows; left out: 1 gold error (")
        assert sum(checked.left_out.values()) == 2
        with pytest.raises(InputError, match="no gold query of 2 rows runs"):
            runnable_rows(rows[1:], executor, Match.BIRD)


def test_a_missing_or_changed_database_is_found_first(singers, tmp_path):
    with Executor(workers=1) as executor:
        with pytest.raises(FileNotFoundError, match=r"gone\.sqlite"):
            runnable_rows([{**row(singers), "database": "gone.sqlite"}], executor, Match.BIRD)
        with pytest.raises(InputError, match="has changed since the rows were prepared"):
            runnable_rows([{**row(singers), "fingerprint": "0" * 64}], executor, Match.BIRD)
        assert runnable_rows(
            [{**row(singers), "fingerprint": fingerprint(singers)}], executor, Match.BIRD
        )


def test_a_run_does_not_go_on_with_another_database(singers, tmp_path):
    def record():
        return {"arguments": {}, "databases": {str(singers): fingerprint(singers)}}

    check_same_run(record(), tmp_path)  # there is no earlier run yet
    write_json(tmp_path / "run.json", record())
    check_same_run(record(), tmp_path)
    singers.unlink()
    create_database(singers, "CREATE TABLE other (id INTEGER)")
    with pytest.raises(InputError, match="has changed since this run began"):
        check_same_run(record(), tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--learning_rate", "3e-6"), "learning_rate was 1e-06, is 3e-06"),
        (("--gradient_accumulation_steps", "8"), "global_batch was 8, is 64"),
        (("--rewards", "execution"), r"rewards was \['execution', 'format'\], is \['execution'\]"),
        (("--reward_weights", "1", "1"), "reward_weights was "),
        (("--match", "strict"), "match was bird, is strict"),
        (("--num_generations", "4"), "num_generations was 8, is 4"),
    ],
)
def test_grpo_does_not_resume_under_other_settings(tmp_path, monkeypatch, words, message):
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"id": "q0"}]) and tmp_path / "rows.jsonl"
    needed = ("--train_file", str(rows), "--output_dir", str(tmp_path), "--use_cpu", "true")

    def record(*more):
        monkeypatch.setattr("sys.argv", ["grpo.py", *needed, "--bf16", "false", *more])
        classes = ["trl:GRPOConfig", "trl:ModelConfig"]
        options, (training, model) = parse_with_trainer(Options, classes, about="")
        return describe(options, training, model, data=rows)

    write_record(record(), tmp_path)
    check_same_run(record("--logging_steps", "7"), tmp_path)
    with pytest.raises(InputError, match=message):
        check_same_run(record(*words), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold_sql": None}, r"row 2: gold_sql must be text, got None"),
        ({"database": ""}, r"row 2: database must be text"),
        ({"prompt": "Who?"}, r"row 2: prompt must be a list of messages, got 'Who\?'"),
        ({"prompt": [{"role": "user"}]}, r"row 2: prompt: expected a role and a content"),
        ({"id": "q0"}, r"row 2: the id 'q0' occurs twice"),
        ({"pass_rate": 4}, r"row 2: pass_rate must be a number from 0 to 1, got 4"),
        ({"pass_rate": None}, r"row 2: pass_rate must be a number from 0 to 1, got None"),
    ],
)
def test_malformed_rows_are_refused_with_their_position(singers, tmp_path, change, message):
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [row(singers), {**row(singers, "q1"), **change}])
    with pytest.raises(InputError, match=message):
        read_grpo_rows(file)


def test_an_empty_file_of_rows_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").touch()
    with pytest.raises(InputError, match="is empty"):
        read_grpo_rows(tmp_path / "rows.jsonl")


def test_a_template_without_the_layout_cannot_be_paid_for_it(singers, tmp_path):
    check_layout([row(singers)], tmp_path)
    with pytest.raises(InputError, match=r"asks for the layout 'sql', .* never be earned"):
        check_layout([row(singers, template="schema")], tmp_path)
    foreign = {**row(singers, template="schema"), "layout": ""}  # a row that does not say
    with pytest.raises(InputError, match=r"asks for the layout 'sql'"):
        check_layout([foreign], tmp_path)
    check_layout([{**row(singers), "layout": ""}], tmp_path)


def test_held_out_rows_must_be_held_out(singers, tmp_path):
    file = tmp_path / "held.jsonl"
    write_jsonl(file, [row(singers, "q0"), row(singers, "q1")])
    options = Options(train_file=file)
    assert len(validation_rows(file, options, [row(singers, "q2")])) == 2
    with pytest.raises(InputError, match="1 of its rows are trained on as well, such as 'q1'"):
        validation_rows(file, options, [row(singers, "q1")])


# Options and model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rewards": ["exekution"]}, "unknown rewards"),
        ({"fault_share": 1.5}, "fault_share must be in"),
        ({"alarms": ["watch/luck=1"]}, "unknown alarms"),
        ({"alarms": ["watch/empty"]}, "NAME=NUMBER"),
        ({"validation_samples": -1}, "must not be negative"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Options(train_file=Path("rows.jsonl"), **options)


def test_a_model_that_is_none_is_refused_before_rows_are_read(tmp_path):
    model = SimpleNamespace(model_name_or_path=str(tmp_path), model_revision="main")
    with pytest.raises(InputError, match="is not a model folder"):
        check(Options(train_file=Path("nowhere.jsonl")), None, model)


def test_tags_that_decoding_drops_are_refused():
    from tests.tiny_model import TAGS, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    check_tokenizer(tokenizer, think=True)
    tokenizer.add_special_tokens({"additional_special_tokens": TAGS})
    check_tokenizer(tokenizer, think=False)
    with pytest.raises(InputError, match="ordinary tokens"):
        check_tokenizer(tokenizer, think=True)
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        check_tokenizer(tokenizer, think=False)


# Checkpoints and rollouts


def test_a_checkpoint_that_was_cut_off_does_not_count(tmp_path):
    assert latest_complete(tmp_path) is None
    for step in (9, 10):
        write_json(tmp_path / f"checkpoint-{step}" / "trainer_state.json", {"global_step": step})
        mark_complete(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-11").mkdir()
    (tmp_path / "checkpoint-12").mkdir()
    (tmp_path / "checkpoint-12" / "trainer_state.json").write_text('{"global_')
    (tmp_path / "checkpoint-best").mkdir()
    assert latest_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert step_of(tmp_path / "checkpoint-10") == 10


def test_rollouts_after_the_checkpoint_are_set_aside_and_none_is_lost(tmp_path):
    for rank in (0, 1):
        log = RolloutLog(tmp_path, rank)
        for step in (1, 2, 3):
            log.append([{"step": step, "id": f"{rank}{step}", "has_variance": step == 2}])
    with open(tmp_path / "rank-00001.jsonl", "a") as file:
        file.write('{"step": 4, "id')  # the process was killed while it wrote
    assert rewind(tmp_path, 2) == 3
    assert rewind(tmp_path, 2) == 0
    kept = [one["step"] for file in sorted(tmp_path.glob("*.jsonl")) for one in read_jsonl(file)]
    assert kept == [1, 2, 1, 2]
    aside = sorted((tmp_path / "abandoned").glob("*.jsonl"))
    assert [file.read_text().count("\n") for file in aside] == [1, 2]
    assert groups_by_step(tmp_path) == [
        (1, {"01": False, "11": False}),
        (2, {"02": True, "12": True}),
    ]


# Groups


def test_a_row_of_a_zero_variance_group_is_skipped_and_comes_back():
    row_filter = ZeroVarianceFilter(ids=list("abcdefgh"), groups=2)  # an epoch has four steps
    row_filter.record(1, ["a", "b"], [False, True])
    assert row_filter.skips("a", 5)
    assert not row_filter.skips("a", 7)
    assert not row_filter.skips("b", 2)
    row_filter.record(7, ["a", "b"], [False, True])
    assert row_filter.skips("a", 7 + 9)
    row_filter.record(17, ["a"], [True])
    assert not row_filter.skips("a", 18)


def test_skipped_rows_are_replaced_by_others_the_same_on_every_process():
    ids = list("abcdefgh")
    runs = []
    for _ in range(2):
        row_filter = ZeroVarianceFilter(ids=ids, groups=2, seed=3)
        row_filter.record(1, ["a", "b", "c"], [False, False, True])
        runs.append([row_filter.replace(step, ["a", "c"]) for step in (2, 3, 4)])
    assert runs[0] == runs[1]
    for chosen in runs[0]:
        assert chosen[1] == "c"
        assert chosen[0] in set("defgh")


@pytest.mark.parametrize(
    ("more", "groups"),
    [
        ({}, 8),  # one generation for each update: 4 micro-batches of 16
        ({"num_iterations": 2}, 4),
        ({"steps_per_generation": 8}, 8),  # twice as many groups, for two updates
        ({"generation_batch_size": 32}, 8),  # two generations for each update
    ],
)
def test_the_groups_of_an_update_are_those_generated_for_it(more, groups):
    config = GRPOConfig(
        per_device_train_batch_size=16, gradient_accumulation_steps=4, num_generations=8,
        use_cpu=True, bf16=False, **more,
    )  # fmt: skip
    assert groups_per_update(config) == groups


def test_rows_with_a_pass_rate_of_0_or_1_are_skipped_from_the_start():
    row_filter = ZeroVarianceFilter(ids=list("abcdefgh"), groups=2)  # an epoch has four steps
    row_filter.record_pass_rates({"a": 0.0, "b": 1, "c": 0.25})
    assert [row for row in "abcd" if row_filter.skips(row, 1)] == ["a", "b"]
    assert set(row_filter.replace(1, ["a", "b"])) < set("cdefgh")
    assert not row_filter.skips("a", 6)
    row_filter.record(7, ["a", "b"], [False, True])
    assert row_filter.skips(
        "a", 7 + 9
    )  # the second such group in a row, the samples being the first
    assert not row_filter.skips("b", 8)


def test_where_all_rows_are_skipped_the_drawn_ones_stay():
    row_filter = ZeroVarianceFilter(ids=["a", "b"], groups=2)
    row_filter.record(1, ["a", "b"], [False, False])
    assert row_filter.replace(2, ["a", "b"]) == ["a", "b"]


def test_a_group_has_variance_if_what_was_judged_differs():
    nan = float("nan")
    assert has_variance([0.1, 1.1])
    assert not has_variance([0.1, 0.1, nan])
    assert not has_variance([nan, nan])


# Watching


def watched(database, *sql, gold=GOLD):
    from slmsql.execution import Pair

    pairs = [Pair(database, text, gold) for text in sql]
    with Executor(workers=1) as executor:
        by_mode = [executor.judge(pairs, match=match) for match in (Match.BIRD, Match.STRICT)]
    return [
        JudgedCompletion(think(text), parse(think(text)), *verdicts)
        for text, *verdicts in zip(sql, *by_mode, strict=True)
    ]


def test_each_way_to_game_the_reward_has_its_figure(singers):
    shares = watch_metrics(
        watched(
            singers,
            GOLD,
            "SELECT 'Ann' UNION SELECT 'Cid' -- FROM memory",
            "SELECT name FROM singer WHERE age = 99",
            "DROP TABLE singer",
            f"{GOLD} UNION ALL {GOLD}",
        )
    )
    assert shares["watch/executable"] == 0.8
    assert shares["watch/constant"] == 0.2
    assert shares["watch/empty"] == 0.2
    assert shares["watch/refused"] == 0.2
    assert shares["watch/lenient"] == 0.2
    assert shares["watch/format_only"] == 0.2  # DROP TABLE does not earn the format reward
    assert shares["watch/no_sql"] == shares["watch/timeout"] == 0


def test_coincidence_is_the_share_of_right_answers_that_a_suite_refuses(singers):
    right, lucky, wrong, without = watched(singers, GOLD, GOLD, "SELECT 1", GOLD)
    completions = [
        replace(right, suite_verdict=SuiteVerdict(4, 4)),
        replace(lucky, suite_verdict=SuiteVerdict(2, 4, singers)),
        replace(wrong, suite_verdict=SuiteVerdict(0, 4)),
        without,
    ]
    assert watch_metrics(completions)["watch/coincidence"] == 0.5
    assert "watch/coincidence" not in watch_metrics([wrong, without])


@pytest.mark.parametrize(
    ("sql", "constant"),
    [
        ("SELECT 42", True),
        ("SELECT 'from', \"from\" -- from", True),
        ("SELECT 1 /* FROM t */", True),
        ("SELECT a\nFROM t", False),
        (None, False),
    ],
)
def test_a_query_without_from_is_a_constant(sql, constant):
    assert is_constant(sql) is constant


def test_alarms_sound_above_their_threshold_and_can_be_moved():
    loud = raised_alarms({"watch/constant": 0.2, "watch/empty": 0.2}, ALARMS)
    assert [alarm.metric for alarm in loud] == ["watch/constant"]
    moved = make_alarms(["watch/constant=0.5"])
    assert not raised_alarms({"watch/constant": 0.2}, moved)
    assert Alarm("watch/constant", 0.5, ALARMS[0].meaning) in moved


# Validation


def test_validation_counts_greedy_vote_and_pass(singers):
    wrong, other = think("SELECT 'x'"), think("SELECT id FROM song")
    right, same = think(GOLD), think("SELECT name FROM singer WHERE age > 29")
    answers = [
        AnsweredRow(row(singers), right, (wrong, right, same)),  # the vote finds the majority
        AnsweredRow(row(singers), wrong, (wrong, wrong, right)),  # and is misled by it
        AnsweredRow(row(singers), other, (other, wrong, think("SELECT"))),
        AnsweredRow(row(singers), think("SELECT"), (think("SELECT"),) * 3),
    ]
    judge = Judge(workers=1)
    counts, samples = judge_answers(answers, judge.verdicts, Match.BIRD)
    judge.close()
    assert counts == Counts(questions=4, greedy=1, valid=3, voted=1, sampled=1.0, passed=2)
    assert [sample["correct"] for sample in samples] == [True, False, False, False]
    assert counts.metrics(3) == {
        "ex_greedy": 0.25,
        "ex_greedy_low": 0.0,
        "ex_greedy_high": 0.75,
        "valid_sql": 0.75,
        "ex_vote3": 0.25,
        "pass@1": 0.25,
        "pass@3": 0.5,
    }


def test_processes_share_validation_rows_evenly():
    rows = [{"id": n} for n in range(5)]
    assert [share_of(rows, rank, 2) for rank in (0, 1)] == [
        [{"id": 0}, {"id": 2}, {"id": 4}],
        [{"id": 1}, {"id": 3}, {"id": 0}],
    ]
    assert share_of(rows[:1], 1, 2) == [{"id": 0}]


@pytest.mark.parametrize(("at_once", "calls"), [(True, [7]), (False, [2, 2, 2, 1])])
def test_vllm_answers_all_validation_rows_in_one_call(singers, tmp_path, at_once, calls):
    rows = [row(singers, f"q{n}") for n in range(7)]
    judge = Judge(workers=1)
    validation = Validation(rows, Match.BIRD, judge.verdicts, tmp_path / "samples.jsonl")
    trainer = SimpleNamespace(
        args=SimpleNamespace(per_device_eval_batch_size=2),
        accelerator=Accelerator(cpu=True),
        is_world_process_zero=lambda: True,
        state=SimpleNamespace(global_step=0),
        callback_handler=SimpleNamespace(callbacks=[]),
    )
    sizes = []

    def answer(batch):
        sizes.append(len(batch))
        return [AnsweredRow(asked, think(GOLD)) for asked in batch]

    metrics = validation.run(trainer, answer, at_once=at_once)
    judge.close()
    assert sizes == calls
    assert metrics["eval_questions"] == 7
    assert metrics["eval_ex_greedy"] == 1.0


class StandInForVllm:
    """In the place of TRL's connection to vLLM: notes each call and its sampling parameters."""

    temperature, repetition_penalty = 0.8, 1.1

    def __init__(self):
        self.calls = []

    def answer(self, ids, _images, _fields, copies):
        self.calls.append((len(ids), copies, self.temperature, self.repetition_penalty))
        return [[n] for n in range(len(ids))], None


def test_validation_through_vllm_makes_one_greedy_call_and_one_that_samples(singers):
    engine = StandInForVllm()
    trainer = SimpleNamespace(
        use_vllm=True,
        vllm_generation=engine,
        model=SimpleNamespace(generation_config=GenerationConfig()),
        processing_class=SimpleNamespace(batch_decode=lambda ids, **_: [str(*i) for i in ids]),
        _tokenize_prompts=lambda prompts: (prompts, None, {}),
        _generate_single_turn=engine.answer,
    )
    answered = answer_rows(trainer, [row(singers, f"q{n}") for n in range(20)], samples=3)
    assert engine.calls == [(20, 1, 0.0, 1.0), (60, 3, 0.8, 1.1)]
    assert (answered[1].greedy, answered[1].samples) == ("1", ("3", "4", "5"))


# Resuming


@pytest.fixture
def checked_run(singers, tmp_path):
    """Checks a run as the program does before it loads a model; some arguments may be changed."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    write_jsonl(tmp_path / "rows.jsonl", [row(singers, f"q{n}") for n in range(4)])

    def check_again(**changes):
        arguments = {
            "model_name_or_path": tmp_path / "model",
            "train_file": tmp_path / "rows.jsonl",
            "output_dir": tmp_path / "out",
            "use_cpu": "true",
            "bf16": "false",
            "workers": 1,
            **changes,
        }
        options, (training, model) = parse_with_trainer(
            Options,
            ["trl:GRPOConfig", "trl:ModelConfig"],
            about=None,
            argv=[str(word) for name, value in arguments.items() for word in (f"--{name}", value)],
        )
        return check_run(options, training, model)

    write_record(check_again().record, tmp_path / "out")
    for step in (2, 4):
        write_json(tmp_path / "out" / f"checkpoint-{step}" / "trainer_state.json", {})
    mark_complete(tmp_path / "out" / "checkpoint-2")
    return check_again


def test_a_run_resumes_from_the_last_complete_checkpoint(checked_run, tmp_path):
    """The run was killed while it wrote step 4, whose `complete.json` is missing."""
    assert checked_run().checkpoint == tmp_path / "out" / "checkpoint-2"
    assert checked_run(resume="false").checkpoint is None


def test_validation_rows_are_left_out_by_length_as_training_rows_are(
    checked_run, singers, tmp_path, capsys
):
    """A prompt over the limit of vLLM would end the run at its first validation."""
    long = row(singers, "long")
    long["prompt"] = [{"role": "user", "content": "<think> </think> <answer> </answer>" * 500}]
    write_jsonl(tmp_path / "held.jsonl", [row(singers, "short"), long])
    changes = {"validation_file": tmp_path / "held.jsonl", "eval_strategy": "steps"}
    run = checked_run(**changes, eval_steps=1, max_prompt_length=1000, resume="false")
    short = _without_long_prompts(run, tiny_tokenizer())
    assert [held["id"] for held in short.validation_rows] == ["short"]
    assert len(short.rows) == 4
    assert "held.jsonl: left out 1 prompts over 1000 tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("max_prompt_length", "vllm", "limit"),
    [(0, None, 0), (0, 900, 700), (500, 900, 500), (800, 900, 700), (500, None, 500)],
)
def test_a_prompt_leaves_room_for_its_completion(tmp_path, max_prompt_length, vllm, limit):
    training = SimpleNamespace(
        use_vllm=bool(vllm), vllm_max_model_length=vllm, max_completion_length=200
    )
    assert prompt_limit(max_prompt_length, training) == limit


def test_processes_wait_for_hours_while_the_first_one_prepares(checked_run):
    """For 916,156 rows the main process needs longer than the 30 minutes of TRL."""
    assert checked_run().training.ddp_timeout_delta == timedelta(hours=6)
    assert checked_run(ddp_timeout=60).training.ddp_timeout_delta == timedelta(minutes=1)


def test_a_run_does_not_resume_under_other_settings(checked_run, singers, tmp_path):
    with pytest.raises(
        InputError, match=r"\(learning_rate was 1e-06, is 0\.001; beta was 0\.0, is"
    ):
        checked_run(learning_rate=1e-3, beta=0.1)
    with pytest.raises(InputError, match="seed was 42, is 7"):
        checked_run(seed=7)
    with pytest.raises(InputError, match=r"rewards was \['execution', 'format'\], is \['format'\]"):
        checked_run(rewards="format")
    with pytest.raises(InputError, match=r"global_batch was \d+, is 16; "):
        checked_run(per_device_train_batch_size=16)
    write_jsonl(tmp_path / "rows.jsonl", [row(singers, f"q{n}") for n in range(5)])
    with pytest.raises(InputError, match=r"data_hash was \w+, is \w+\)"):
        checked_run()
    assert checked_run(resume="false").rows[-1]["id"] == "q4"
