"""Make a tiny untrained Qwen2 with a tokenizer of its own, for the quickstart and for tests.

    python scripts/demo/make_tiny_model.py --corpus quickstart/demo/sft.jsonl \\
        --output quickstart/base

The tokenizer is a byte-level BPE trained on SFT rows, so a frequent word is one token and any text
can be written. The folder is an ordinary one of transformers', so TRL and vLLM load it as any.
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
    """Sizes; the defaults give a model that two processor cores train in minutes."""

    corpus: list[Path] = field(metadata={"help": "SFT rows (JSON Lines) whose words become tokens"})
    output: Path = field(metadata={"help": "folder for the model and its tokenizer"})
    seed: int = field(default=1, metadata={"help": "of the random weights"})
    layers: int = 4
    width: int = field(default=128, metadata={"help": "hidden size"})
    heads: int = field(default=4, metadata={"help": "attention heads"})
    key_value_heads: int = field(default=2, metadata={"help": "fewer make generation cheaper"})
    vocabulary: int = field(default=1000, metadata={"help": "tokens at most"})
    positions: int = field(default=1024, metadata={"help": "longest prompt and completion, tokens"})

    def __post_init__(self) -> None:
        if self.width % self.heads or self.heads % self.key_value_heads:
            raise InputError(
                f"width {self.width} must be a multiple of heads {self.heads}, and those of"
                f" key_value_heads {self.key_value_heads}"
            )


def main() -> None:
    options = parse(Options, about=__doc__)
    tokenizer = train_tokenizer(list(_texts(options.corpus)), vocabulary=options.vocabulary)
    parameters = _save_model(options, tokenizer)
    tokenizer.save_pretrained(options.output)
    print(f"{options.output}: {parameters / 1e6:.2f}M parameters, {len(tokenizer)} tokens")


def train_tokenizer(texts: list[str], *, vocabulary: int) -> "PreTrainedTokenizerFast":
    """A byte-level BPE with a chat template and the tags of the think layout.

    It cuts text as Qwen2's does: transformers loads any tokenizer beside a Qwen2 as that class,
    whatever the folder says, and another way of cutting would be lost without a word.
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
    # Ordinary tokens: TRL decodes completions without the special ones, and a reward that looks
    # for <answer> would never find it.
    tokenizer.add_tokens(list(TAGS), special_tokens=False)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts(corpus: list[Path]) -> Iterator[str]:
    yield from ["system\nuser\nassistant\n"] * 100  # the chat template's own words
    for path in corpus:
        for record in read_jsonl(path):
            if "prompt" not in record or "completion" not in record:
                raise InputError(f"{path}: expected SFT rows with 'prompt' and 'completion'")
            for message in record["prompt"] + record["completion"]:
                text = message["content"]
                for tag in TAGS:  # they are tokens already; no merge may span one
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
            # The usual 0.02 is meant for wide models; here attention would stay blind for long.
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
