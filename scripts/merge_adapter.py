"""Merge a LoRA adapter into its base model and check that the result computes the same.

    python scripts/merge_adapter.py --adapter outputs/nichelm_3b --output outputs/nichelm_merged

The base is loaded without quantisation, even if the adapter was trained on a 4-bit base. The merged
model is saved, read back and compared, logit by logit, with the base under the adapter.
"""

import json
import shutil
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import write_json

if TYPE_CHECKING:
    import torch

# The largest difference of a logit, in standard deviations of all logits, that rounding explains:
# merged weights are rounded once more than those of base and adapter apart.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.3, "float16": 0.03}
TEXTS = (
    "CREATE TABLE singer (id INTEGER, name TEXT)",
    "SELECT count(*) FROM singer",
    "How many singers are older than thirty, by country?",
)
COMPARED_ROWS = 8


@dataclass
class Options:
    adapter: Path = field(metadata={"help": "folder with adapter_config.json"})
    output: Path = field(metadata={"help": "folder for the merged model; must not exist"})
    base: str = field(default="", metadata={"help": "base model; default: the adapter's own"})
    dtype: Literal["float32", "bfloat16", "float16"] = field(
        default="bfloat16", metadata={"help": "type of the merged weights"}
    )
    rows: Path | None = field(
        default=None, metadata={"help": "SFT rows to compare the models on; default: three texts"}
    )

    def __post_init__(self) -> None:
        if not (self.adapter / "adapter_config.json").is_file():
            raise ValueError(f"{self.adapter} is not an adapter: adapter_config.json is missing")
        if self.output.exists():
            raise ValueError(f"{self.output} exists already; remove it or choose another --output")


def main() -> None:
    options = parse(Options, about=__doc__)
    figures = merge(options)
    print(
        f"{options.output}: logits differ by {figures['largest']:.2g} standard deviations at most, "
        f"same first choice for {figures['same_choice']:.1%} of {figures['tokens']} tokens"
    )


def merge(options: Options) -> dict[str, float]:
    """Merge, save and compare.

    The output folder appears only after the comparison has passed.

    Returns:
        The largest difference of a logit in standard deviations (`largest`), the share of tokens
        with the same most likely next token (`same_choice`), and the number of tokens (`tokens`).

    Raises:
        InputError: the base model cannot be loaded, or the merged model computes something else.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    dtype = dtypes[options.dtype]
    base = options.base or base_of(options.adapter)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(options.adapter, base))
    ids = [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts(options.rows)]
    try:
        base_model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    except OSError as error:
        raise InputError(
            f"the base model {base} cannot be loaded: {error}; give its folder with --base"
        ) from error
    adapted: Any = PeftModel.from_pretrained(base_model, str(options.adapter))
    expected = logits(adapted, ids)
    unfinished = options.output.with_name(f".{options.output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # left by an earlier attempt
    adapted.merge_and_unload().save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    merged = AutoModelForCausalLM.from_pretrained(unfinished, dtype=dtype)
    figures = comparison(expected, logits(merged, ids))
    write_json(
        unfinished / "merge.json", {"adapter": str(options.adapter), "base": base, **figures}
    )
    if figures["largest"] > TOLERANCE[options.dtype]:
        raise InputError(
            f"the merged model differs from the adapter on its base by {figures['largest']:.2g} "
            f"standard deviations; it is left in {unfinished} (try --dtype float32)"
        )
    unfinished.rename(options.output)
    return figures


def base_of(adapter: Path) -> str:
    """Return the base model that the adapter names."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return str(config["base_model_name_or_path"])


def tokenizer_folder(adapter: Path, base: str) -> str:
    """Prefer the tokenizer saved with the adapter: it may have tokens that the base lacks."""
    return str(adapter) if (adapter / "tokenizer_config.json").is_file() else base


def texts(rows: Path | None) -> list[str]:
    """Return the texts to compare the models on: the first rows of a file, or `TEXTS`."""
    if rows is None:
        return list(TEXTS)
    with open(rows, encoding="utf-8") as file:
        records = [json.loads(line) for line in islice(file, COMPARED_ROWS)]
    return [
        f"{record['prompt'][-1]['content']}\n{record['completion'][0]['content']}"
        for record in records
    ]


def logits(model: Any, ids: "list[torch.Tensor]") -> "torch.Tensor":
    """Return the logits for all tokens of all texts, of shape (tokens, vocabulary).

    Args:
        model: a causal language model of transformers or peft.
        ids: the token ids of each text, of shape (1, tokens).
    """
    import torch

    model.eval()
    with torch.no_grad():
        return torch.cat([model(input_ids=text_ids).logits[0].float() for text_ids in ids])


def comparison(expected: "torch.Tensor", actual: "torch.Tensor") -> dict[str, float]:
    """Compare two tensors of logits; the figures are those of `merge`."""
    same = (expected.argmax(-1) == actual.argmax(-1)).float().mean()
    return {
        "largest": float((expected - actual).abs().max() / expected.std()),
        "same_choice": float(same),
        "tokens": len(expected),
    }


if __name__ == "__main__":
    run_program(main)
