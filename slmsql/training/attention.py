"""Which attention a training uses, chosen before the model is loaded.

`attn_implementation: auto` takes the first of these that the machine has:

    flash_attention_3   on a Hopper GPU with the package flash-attn-3
    flash_attention_2   on a GPU with the package flash-attn
    a kernel of the hub on a GPU with the package kernels, if the hub answers
    varlen              torch's own, everywhere

All of them keep rows that lie side by side apart without computing attention between them.
"""

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.training.varlen import VARLEN, register_varlen

if TYPE_CHECKING:
    from transformers import PretrainedConfig, TrainingArguments
    from trl import ModelConfig

log = logging.getLogger(__name__)

AUTO = "auto"
IN_TORCH = ("eager", "sdpa", "flex_attention", VARLEN)
# Any of these packages provides the attention. `kernels` downloads it from the hub.
PACKAGES = {
    "flash_attention_2": ("flash_attn", "kernels"),
    "flash_attention_3": ("flash_attn_interface", "kernels"),
    "flash_attention_4": ("flash_attn",),
}
WITHIN_ROWS = {"full_attention", "sliding_attention", "chunked_attention"}
"""Kinds of layers that keep to a row by its positions."""
HOPPER = 9  # major version of its compute capability
AMPERE = 8  # FlashAttention needs at least this one


def choose_attention(training: "TrainingArguments", model: "ModelConfig") -> None:
    """Replace `auto`, or nothing, by the best attention that this machine has, and print it.

    Raises:
        InputError: a named one is not installed, or the name is unknown.
    """
    register_varlen()
    name = model.attn_implementation or AUTO
    if name == AUTO:
        name = best_attention(training, model)
        if training.process_index == 0:
            print(f"attention: {name}")
    check_attention(name)
    model.attn_implementation = name


def best_attention(training: "TrainingArguments", model: "ModelConfig") -> str:
    """The first of the list above that the machine has."""
    import torch

    is_half = training.bf16 or training.fp16 or model.dtype in ("bfloat16", "float16")
    if training.use_cpu or not torch.cuda.is_available() or not is_half:
        return VARLEN
    major, _ = torch.cuda.get_device_capability()
    if major == HOPPER and find_spec("flash_attn_interface"):
        return "flash_attention_3"
    if major >= AMPERE and find_spec("flash_attn"):
        return "flash_attention_2"
    if major >= AMPERE and find_spec("kernels"):
        return _from_hub("flash_attention_3" if major == HOPPER else "flash_attention_2")
    return VARLEN


def keeps_rows_apart(name: str) -> bool:
    """Whether an attention computes rows side by side without a mask over all their tokens."""
    return name == VARLEN or name in PACKAGES or "/" in name


def mixing_layers(config: "PretrainedConfig") -> list[str]:
    """Kinds of layers in which rows that lie side by side see each other.

    Positions keep attention within a row. A convolution (LFM2) or a recurrent layer runs on from
    one row into the next, at least without special kernels.
    """
    return sorted(set(config.to_dict().get("layer_types") or []) - WITHIN_ROWS)


def check_attention(name: str) -> None:
    """Check that an attention is installed.

    Raises:
        InputError: it is not, or the name is unknown.
    """
    name = name.removeprefix("paged|")
    if name in IN_TORCH:
        return
    packages = ("kernels",) if "/" in name else PACKAGES.get(name)
    if packages is None:
        raise InputError(
            f"unknown attn_implementation {name!r}; expected one of "
            f"{', '.join((AUTO, *IN_TORCH, *PACKAGES))}"
        )
    if not any(find_spec(package) for package in packages):
        raise InputError(
            f"attn_implementation {name} needs the package {' or '.join(packages)}, which is not "
            "installed; `--attn_implementation auto` takes what is"
        )


def _from_hub(name: str) -> str:
    """The hub's kernel for an attention; torch's own if the hub does not answer."""
    from transformers.integrations.hub_kernels import load_and_register_attn_kernel
    from transformers.modeling_flash_attention_utils import FLASH_ATTN_KERNEL_FALLBACK

    kernel: str = FLASH_ATTN_KERNEL_FALLBACK[name]
    try:
        load_and_register_attn_kernel(kernel)
    except (ImportError, ValueError) as error:
        log.warning("%s was not fetched, so torch's own attention is taken: %s", kernel, error)
        return VARLEN
    return kernel
