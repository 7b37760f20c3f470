"""The completion and its end token carry loss and nothing else, in every chat template."""

import pytest
from trl import SFTConfig

from sft.encoding import IGNORED, Encoder, end_token, prompt_text, read_turn
from sft.examples import encoding_processes, prepare
from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.prompt.build import generation_prompt, read_template, target
from slmsql.questions.question import Question
from tests.tiny_model import KINDS, tiny_tokenizer

SQL = "SELECT name -- of all\nFROM singer WHERE name = '  </s> x;  '"
ENDS = {
    "qwen2": "<|im_end|>",
    "qwen3": "<|im_end|>",
    "llama": "<|eot_id|>",
    "deepseek": "\n<|EOT|>",
    "lfm2": "<|im_end|>",
    "mistral": "</s>",
}
LEADS = {"deepseek": "\n"}  # its generation prompt ends before the line end


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def row(style, tmp_path):
    question = Question(id="1", text="Who sings?", db_id="d", database=tmp_path, gold_sql=SQL)
    template = read_template(style)
    return {
        "prompt": generation_prompt(question, "CREATE TABLE singer (name TEXT)", template),
        "completion": target("All names.", SQL, template.layout),
    }


@pytest.mark.parametrize("style", ["think", "strict", "schema", "no_schema"])
def test_loss_is_on_the_completion_and_its_end_and_on_nothing_else(kind, style, tmp_path):
    tokenizer = tiny_tokenizer(kind)
    example = row(style, tmp_path)
    encoded = Encoder(tokenizer, read_turn(tokenizer))(example)
    loss_ids = [label for label in encoded["labels"] if label != IGNORED]
    expected = LEADS.get(kind, "") + example["completion"] + ENDS[kind]
    assert tokenizer.decode(loss_ids) == expected
    first = len(encoded["labels"]) - len(loss_ids)
    assert encoded["labels"][first:] == encoded["input_ids"][first:]
    prompt = tokenizer.decode(encoded["input_ids"][:first])
    assert prompt == prompt_text(tokenizer, example["prompt"])


def test_the_prompt_has_the_ids_that_generation_gives(kind, tmp_path):
    tokenizer = tiny_tokenizer(kind)
    example = row("think", tmp_path)
    encoded = Encoder(tokenizer, read_turn(tokenizer))(example)
    ids = tokenizer.apply_chat_template(example["prompt"], add_generation_prompt=True)["input_ids"]
    assert encoded["input_ids"][: len(ids)] == ids


def test_the_last_label_is_the_token_at_which_generation_stops(kind, tmp_path):
    tokenizer = tiny_tokenizer(kind)
    turn = read_turn(tokenizer)
    encoded = Encoder(tokenizer, turn)(row("think", tmp_path))
    assert encoded["labels"][-1] == tokenizer.eos_token_id
    assert end_token(tokenizer, turn) == tokenizer.eos_token


def test_an_end_of_turn_that_is_not_the_tokenizers_own_is_found(tmp_path):
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.eos_token = "<|endoftext|>"  # as in base models
    assert end_token(tokenizer, read_turn(tokenizer)) == "<|im_end|>"


def test_loss_can_be_on_everything(tmp_path):
    tokenizer = tiny_tokenizer("qwen2")
    encoded = Encoder(tokenizer, read_turn(tokenizer), completion_only=False)(
        row("think", tmp_path)
    )
    assert encoded["labels"] == encoded["input_ids"]


def test_a_tokenizer_without_a_chat_template_is_refused():
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        read_turn(tokenizer)


def test_a_template_whose_turns_end_in_plain_text_is_refused():
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}#{% endfor %}"
    with pytest.raises(InputError, match="not a token"):
        end_token(tokenizer, read_turn(tokenizer))


@pytest.mark.parametrize(
    ("rows", "wanted", "processes"),
    [(916_156, None, 8), (5_000, None, 2), (300, None, None), (300, 4, 4), (916_156, 1, None)],
)
def test_large_files_are_encoded_on_all_cores(monkeypatch, rows, wanted, processes):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert encoding_processes(rows, wanted) == processes


@pytest.mark.slow
def test_rows_stay_in_their_order_on_several_processes(tmp_path):
    messages = [{"role": "user", "content": "Who sings?"}]
    answers = [[{"role": "assistant", "content": f"SELECT {n}"}] for n in range(50)]
    write_jsonl(tmp_path / "rows.jsonl", ({"prompt": messages, "completion": a} for a in answers))
    tokenizer = tiny_tokenizer()
    encoder = Encoder(tokenizer, read_turn(tokenizer))
    training = SFTConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, dataset_num_proc=2, max_length=200
    )
    examples = prepare(tmp_path / "rows.jsonl", encoder, training)
    texts = [tokenizer.decode(ids) for ids in examples["input_ids"]]
    assert [f"SELECT {n}<" in text for n, text in enumerate(texts)] == [True] * 50
