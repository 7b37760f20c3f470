"""Make a tiny untrained Qwen2 with a tokenizer of its own, for the quickstart and for tests.

    python scripts/demo/make_tiny_model.py --corpus quickstart/demo/sft.jsonl \\
        --output quickstart/base

The tokenizer is a byte-level BPE trained on SFT rows: a frequent word is one token, and any text
can be encoded. The output is an ordinary folder of transformers; TRL and vLLM load it like any
other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import read_jsonl
from slmsql.prompt.answer import TAGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

START, END = "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    f"{{{{ '{START}' + message['role'] + '\\n' + message['content'] + '{END}' }}}}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{{{{ '{START}assistant\\n' }}}}{{% endif %}}"
)


@dataclass(frozen=True, slots=True)
class Options:
    """The default sizes give a model that two processor cores train in minutes."""

    corpus: list[Path] = field(
        metadata={"help": "SFT rows (JSON Lines) that the tokenizer is trained on"}
    )
    output: Path = field(metadata={"help": "folder for the model and its tokenizer"})
    seed: int = field(default=1, metadata={"help": "of the random weights"})
    layers: int = field(default=4, metadata={"help": "transformer layers"})
    width: int = field(default=128, metadata={"help": "hidden size"})
    heads: int = field(default=4, metadata={"help": "attention heads"})
    key_value_heads: int = field(
        default=2, metadata={"help": "attention heads for keys and values"}
    )
    vocabulary: int = field(default=1000, metadata={"help": "most tokens of the tokenizer"})
    positions: int = field(default=1024, metadata={"help": "most tokens of prompt and completion"})

    def __post_init__(self) -> None:
        if self.width % self.heads or self.heads % self.key_value_heads:
            raise InputError(
                f"width {self.width} must be a multiple of heads {self.heads}, and heads a multiple"
                f" of key_value_heads {self.key_value_heads}"
            )


def main() -> None:
    options = parse(Options, about=__doc__)
    tokenizer = train_tokenizer(list(_texts(options.corpus)), vocabulary=options.vocabulary)
    parameters = _save_model(options, tokenizer)
    tokenizer.save_pretrained(options.output)
    print(f"{options.output}: {parameters / 1e6:.2f}M parameters, {len(tokenizer)} tokens")


def train_tokenizer(texts: list[str], *, vocabulary: int) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE, and add a chat template and the tags of the think layout.

    Text is split into words as by Qwen2's tokenizer. transformers loads any tokenizer beside a
    Qwen2 as Qwen2's class, whatever the folder says: another way of splitting would silently get
    lost.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<|endoftext|>", eos_token=END, padding_side="left"
    )
    # Not special tokens: TRL drops those when it decodes completions, and a reward would never
    # find <answer>.
    tokenizer.add_tokens(list(TAGS), special_tokens=False)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts(corpus: list[Path]) -> Iterator[str]:
    yield from ["system\nuser\nassistant\n"] * 100  # the words of the chat template
    for path in corpus:
        for record in read_jsonl(path):
            if "prompt" not in record or "completion" not in record:
                raise InputError(f"{path}: expected SFT rows with 'prompt' and 'completion'")
            for message in record["prompt"] + record["completion"]:
                text = message["content"]
                for tag in TAGS:  # these are tokens of their own; no merge may span one
                    text = text.replace(tag, "\n")
                yield text


def _save_model(options: Options, tokenizer: "PreTrainedTokenizerFast") -> int:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(options.seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=options.width,
            intermediate_size=8 * options.width // 3 // 16 * 16,
            num_hidden_layers=options.layers,
            num_attention_heads=options.heads,
            num_key_value_heads=options.key_value_heads,
            max_position_embeddings=options.positions,
            # The usual 0.02 suits wide models; in a narrow one attention would hardly learn.
            initializer_range=options.width**-0.5,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
    model.save_pretrained(options.output)
    return model.num_parameters()


if __name__ == "__main__":
    run_program(main)
