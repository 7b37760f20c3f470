"""Merge a LoRA adapter into its base model, and check that the result computes the same.

    python scripts/merge_adapter.py --adapter outputs/nichelm_3b --output outputs/nichelm_merged

The base is loaded unquantised, also where the adapter was trained on a 4-bit one. The merged model
is saved, read back and compared with the base under the adapter, logit by logit.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import write_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# The largest difference of a logit, in parts of the logits' standard deviation, that rounding
# explains: the merged weights are rounded to the type once more than the adapter's path.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.3, "float16": 0.03}


@dataclass
class Options:
    adapter: Path = field(metadata={"help": "folder with adapter_config.json"})
    output: Path = field(metadata={"help": "folder of the merged model; must not exist"})
    base: str = field(default="", metadata={"help": "base model, if not the one in the adapter"})
    dtype: Literal["float32", "bfloat16", "float16"] = field(
        default="bfloat16", metadata={"help": "of the merged weights"}
    )
    rows: Path | None = field(default=None, metadata={"help": "training rows to compare on"})

    def __post_init__(self) -> None:
        if not (self.adapter / "adapter_config.json").is_file():
            raise ValueError(f"{self.adapter} is no adapter: it has no adapter_config.json")
        if self.output.exists():
            raise ValueError(f"{self.output} is there already; remove it or name another")


def main() -> None:
    options = parse(Options, about=__doc__)
    figures = merge(options)
    print(
        f"{options.output}: logits differ by {figures['largest']:.2g} standard deviations at most, "
        f"same first choice in {figures['same_choice']:.1%} of {figures['tokens']} places"
    )


def merge(options: Options) -> dict[str, float]:
    """Merge, save and compare; returns the figures of the comparison.

    The folder gets its name only when everything held.

    Raises:
        InputError: the base is not to be had, or the merged model computes something else.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    base = options.base or base_of(options.adapter)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_home(options.adapter, base))
    ids = [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts(options.rows)]
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype[options.dtype])
    except OSError as error:
        raise InputError(f"{base} cannot be had: {error}; name its folder with --base") from error
    model = PeftModel.from_pretrained(model, str(options.adapter)).eval()
    expected = logits(model, ids)
    unfinished = options.output.with_name(f".{options.output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an earlier attempt
    model.merge_and_unload().save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    merged = AutoModelForCausalLM.from_pretrained(unfinished, dtype=dtype[options.dtype]).eval()
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
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return str(config["base_model_name_or_path"])


def tokenizer_home(adapter: Path, base: str) -> str:
    """The adapter's own tokenizer where training saved one: it may have tokens the base has not."""
    return str(adapter) if (adapter / "tokenizer_config.json").is_file() else base


def texts(rows: Path | None) -> list[str]:
    """What the models are compared on: real rows where given."""
    if rows is None:
        return [
            "CREATE TABLE singer (id INTEGER, name TEXT)",
            "SELECT count(*) FROM singer",
            "How many singers are older than thirty, by country?",
        ]
    with open(rows, encoding="utf-8") as file:
        records = [json.loads(line) for _, line in zip(range(8), file, strict=False)]
    return [f"{r['prompt'][-1]['content']}\n{r['completion'][0]['content']}" for r in records]


def logits(model: "PreTrainedModel", ids: "list[torch.Tensor]") -> "torch.Tensor":
    """All logits of all texts, one row for each place."""
    import torch

    with torch.no_grad():
        return torch.cat([model(input_ids=one).logits[0].float() for one in ids])


def comparison(expected: "torch.Tensor", found: "torch.Tensor") -> dict[str, float]:
    same = (expected.argmax(-1) == found.argmax(-1)).float().mean()
    return {
        "largest": float((expected - found).abs().max() / expected.std()),
        "same_choice": float(same),
        "tokens": len(expected),
    }


if __name__ == "__main__":
    run_program(main)
