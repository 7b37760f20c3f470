"""Which type each tensor gets, by llama.cpp's rules for F16, Q8_0 and Q4_K_M.

Q4_K_M stores most matrices in Q4_K and some, to which answers are more sensitive, in Q6_K. Both
need rows of a multiple of 256 weights. Narrower matrices fall back to Q5_0 and Q8_0, which need a
multiple of 32, and even narrower ones to F16. These are the rules of `llama_model_quantize`
(src/llama-quant.cpp of llama.cpp, release 0.5.0), whose files tests/test_export_gguf.py remembers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

if TYPE_CHECKING:
    from collections.abc import Sequence

F16, F32 = GGMLQuantizationType.F16, GGMLQuantizationType.F32
Q8_0, Q5_0 = GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q5_0
Q4_K, Q6_K = GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q6_K
NARROWER = {Q4_K: Q5_0, Q6_K: Q8_0}
Shape = tuple[int, ...]


class FileType(StrEnum):
    """The types that the export writes."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_K_M = "q4_k_m"

    @property
    def number(self) -> LlamaFileType:
        """The number that GGUF stores as `general.file_type`."""
        return LlamaFileType[f"MOSTLY_{self.name}"]


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a tensor, and the one that its width did not allow."""

    type: GGMLQuantizationType
    fallback_from: GGMLQuantizationType | None = None


def choose_types(shapes: Mapping[str, Shape], file_type: FileType) -> dict[str, TensorType]:
    """Choose a type for each tensor.

    Args:
        shapes: by llama.cpp's names, layer by layer; (rows, width) for matrices.
    """
    richer = _richer(shapes) if file_type is FileType.Q4_K_M else frozenset()
    return {name: _type(name, shape, file_type, name in richer) for name, shape in shapes.items()}


def _type(name: str, shape: Shape, file_type: FileType, richer: bool) -> TensorType:
    if len(shape) < 2 or "shortconv.conv" in name:
        return TensorType(F32)
    if file_type is FileType.F16:
        return TensorType(F16)
    wanted = Q8_0 if file_type is FileType.Q8_0 else Q6_K if richer else Q4_K
    chosen = next((t for t in (wanted, NARROWER.get(wanted, F16)) if _fits(shape, t)), F16)
    return TensorType(chosen, None if chosen == wanted else wanted)


def _fits(shape: Shape, type_: GGMLQuantizationType) -> bool:
    width, _ = GGML_QUANT_SIZES[type_]
    return shape[-1] % width == 0


def _richer(shapes: Iterable[str]) -> frozenset[str]:
    """The tensors that Q4_K_M gives more bits: the output, and values and down-projections of some
    layers."""
    names = list(shapes)
    output = "output.weight" if "output.weight" in names else "token_embd.weight"
    values = [name for name in names if name.endswith("attn_v.weight")]
    downs = [name for name in names if name.endswith("ffn_down.weight")]
    return frozenset([output, *_every_third(values), *_every_third(downs)])


def _every_third(names: "Sequence[str]") -> list[str]:
    """The first and the last eighth of the layers, and every third in between."""
    count = len(names)
    first, last = count // 8, 7 * count // 8
    return [
        name
        for layer, name in enumerate(names)
        if layer < first or layer >= last or (layer - first) % 3 == 2
    ]
