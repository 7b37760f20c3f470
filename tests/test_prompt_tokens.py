"""Token counts: the same as those of transformers with the chat template."""

import json

import pytest

from slmsql.prompt.tokens import count_tokens

MESSAGES = [
    {"role": "system", "content": "You write SQL."},
    {"role": "user", "content": 'SELECT "ü 😀" -- <think>\n\n  x'},
    {"role": "assistant", "content": "<think>\na\n</think>\n<answer>\nSELECT 1\n</answer>"},
]
CHATML = (
    "{% for message in messages %}\n"
    "    {{- bos_token }}<|im_start|>{{ message['role'] + '\\n' }}\n"
    "    {%- generation -%}\n{{ message['content'] }}\n    {%- endgeneration %}\n"
    "<|im_end|>\n{% endfor %}"
)


@pytest.fixture
def tokenizer(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        [message["content"] for message in MESSAGES],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|im_start|>", "<|im_end|>", "<s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    made.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("in_settings", [True, False])
def test_counts_are_those_of_the_chat_template_in_transformers(tokenizer, in_settings):
    from transformers import AutoTokenizer

    if in_settings:
        file = tokenizer / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": CHATML}))
    else:
        (tokenizer / "chat_template.jinja").write_text(CHATML)
    theirs = AutoTokenizer.from_pretrained(tokenizer)
    text = theirs.apply_chat_template(MESSAGES, tokenize=False)
    assert count_tokens(MESSAGES, str(tokenizer)) == len(
        theirs(text, add_special_tokens=False)["input_ids"]
    )


def test_a_tokenizer_without_a_template_counts_the_texts(tokenizer):
    assert 0 < count_tokens(MESSAGES[:1], str(tokenizer)) < count_tokens(MESSAGES, str(tokenizer))


def test_a_folder_that_is_no_tokenizer_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json is missing"):
        count_tokens(MESSAGES, str(tmp_path))
