"""Does each attention that is installed keep the rows of a pack apart?

    python scripts/bench/attention.py --model MODEL

Computes the log-probabilities of some rows one by one and in one pack, once for each attention, and
prints by how much they differ on average. Ends with an error if one differs by more than rounding
does. A CPU computes in float32, a GPU in bfloat16.
"""

from dataclasses import dataclass, field
from typing import Any

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.training.attention import IN_TORCH, PACKAGES, check_attention
from slmsql.training.varlen import register_varlen

LENGTHS = (300, 17, 1, 129, 64)  # tokens of the rows
MOST = {"cpu": 1e-4, "cuda": 0.05}  # mean difference by which rounding may change a log-probability


@dataclass
class Options:
    model: str = field(metadata={"help": "model folder or name on the hub"})


def main() -> None:
    options = parse(Options, about=__doc__)
    differences = {name: difference(options.model, name) for name in installed()}
    for name, value in differences.items():
        print(f"{name:<20} {value:.2g}")
    faulty = [name for name, value in differences.items() if not value <= MOST[device()]]
    if faulty:
        raise InputError(f"rows of a pack see each other with {', '.join(faulty)}")


def installed() -> list[str]:
    """Names of the attentions that can run here."""
    register_varlen()
    names = [name for name in IN_TORCH if name != "flex_attention"]  # compiles for minutes
    for name in PACKAGES if device() == "cuda" else ():
        try:
            check_attention(name)
        except InputError as error:
            print(f"skip {name}: {error}")
        else:
            names.append(name)
    return names


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def difference(model_name: str, attention: str) -> float:
    """Mean absolute difference of the log-probabilities in a pack and alone."""
    import torch

    model = _model(model_name, attention)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (sum(LENGTHS),), generator=generator)
    rows = torch.split(ids.to(device()), list(LENGTHS))
    with torch.no_grad(), torch.autocast(device(), torch.bfloat16, enabled=device() == "cuda"):
        alone = torch.cat([_log_probabilities(model, [row]) for row in rows])
        together = _log_probabilities(model, rows)
    return float((alone - together).abs().mean())


def _model(name: str, attention: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        name, attn_implementation=attention, dtype=torch.float32
    )
    return model.to(device()).train()


def _log_probabilities(model: Any, rows: Any) -> Any:
    """Of all tokens but the first of each row, under the model's prediction before them."""
    import torch

    ids = torch.cat(list(rows))
    positions = torch.cat([torch.arange(len(row), device=row.device) for row in rows])
    starts = torch.tensor([0, *map(len, rows)]).cumsum(0).to(torch.int32).to(ids.device)
    longest = max(map(len, rows))
    logits = model(
        input_ids=ids[None],
        position_ids=positions[None],
        cu_seq_lens_q=starts,
        cu_seq_lens_k=starts,
        max_length_q=longest,
        max_length_k=longest,
        use_cache=False,
    ).logits[0]
    scores = torch.log_softmax(logits[:-1].float(), -1).gather(1, ids[1:, None])[:, 0]
    return scores[positions[1:] > 0]


if __name__ == "__main__":
    run_program(main)
