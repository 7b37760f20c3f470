"""Write a model as GGUF files for llama.cpp and Ollama, and check each of them.

    python scripts/export_gguf.py --model outputs/MODEL --output exports/MODEL --types q8_0 q4_k_m
    python inference/ask.py --model exports/MODEL/MODEL-q8_0.gguf --database my.sqlite
    cd exports/MODEL && ollama create MODEL -f Modelfile && ollama run MODEL

MODEL is what SFT or GRPO wrote: a whole model, or an adapter, which is folded into its base first.
A file appears under its name once it has been read back: each tensor within the error of its type,
the token ids of 10,000 texts, the prompts that llama.cpp renders, and one answer. Modelfile is for
the last of --types; OUTPUT/export.json says what each file holds.

Needs pip install -e ".[train,gguf]".
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import Record, file_hash, write_json, write_text
from slmsql.prompt.build import Messages, Template, read_template

if TYPE_CHECKING:
    from scripts.export.checkpoint import Checkpoint
    from scripts.export.quantisation import FileType
    from scripts.export.writing import Written


@dataclass
class Options:
    model: Path = field(metadata={"help": "model folder, or folder of a LoRA adapter"})
    output: Path = field(
        metadata={"help": "folder for the files; files of the same name are replaced"}
    )
    types: list[Literal["f16", "q8_0", "q4_k_m"]] = field(
        default_factory=lambda: ["f16", "q8_0", "q4_k_m"],
        metadata={"help": "2, 1 and about 0.6 bytes per weight"},
    )
    template: str = field(
        default="think", metadata={"help": "prompt template that the model was trained on"}
    )
    base: str = field(default="", metadata={"help": "base of an adapter; default: its own"})
    quantiser: str = field(
        default="",
        metadata={
            "help": "llama-quantize of your own llama.cpp; default: that of the package xllamacpp"
        },
    )


def main() -> None:
    options = parse(Options, about=__doc__)
    template = read_template(options.template)
    check_packages()
    if options.quantiser and not shutil.which(options.quantiser):
        raise InputError(f"--quantiser: there is no program {options.quantiser}")
    with whole_model(options) as folder:
        export(folder, options, template)


def check_packages() -> None:
    """Raise if a package is missing, before work begins."""
    for name in ("gguf", "xllamacpp", "torch", "transformers"):
        try:
            version(name)
        except ImportError:
            raise InputError(f"{name} is not installed: pip install -e .[train,gguf]") from None


@contextmanager
def whole_model(options: Options) -> Iterator[Path]:
    """The model's folder; if it holds an adapter, one with the adapter folded into its base."""
    if not (options.model / "adapter_config.json").is_file():
        yield options.model
        return
    from scripts import merge_adapter

    merged = options.output / f".{options.model.resolve().name}.merged"
    shutil.rmtree(merged, ignore_errors=True)  # left by an earlier attempt
    try:
        merge_adapter.merge(merge_adapter.Options(options.model, merged, options.base, "float32"))
        yield merged
    finally:
        shutil.rmtree(merged, ignore_errors=True)


def export(folder: Path, options: Options, template: Template) -> None:
    """Write and check all files."""
    from scripts.export.checkpoint import read_checkpoint
    from scripts.export.ollama import modelfile
    from scripts.export.quantisation import FileType
    from scripts.export.reading_back import expected_ids

    checkpoint = read_checkpoint(folder)
    name = options.model.resolve().name
    check_ollama(checkpoint, template)
    ids = expected_ids(checkpoint.tokenizer)
    records = []
    for type_name in options.types:
        file = options.output / f"{name}-{type_name}.gguf"
        records.append(
            export_file(checkpoint, FileType(type_name), file, template, ids, options.quantiser)
        )
        print(_line(records[-1]), flush=True)
    last = str(records[-1]["file"])
    write_text(options.output / "Modelfile", modelfile(checkpoint, template, last))
    report = {
        "model": str(options.model),
        "xllamacpp": version("xllamacpp"),
        "quantiser": options.quantiser,
        "files": records,
    }
    write_json(options.output / "export.json", report)
    print(f"cd {options.output} && ollama create {name.lower()} -f Modelfile")
    print(f"ollama run {name.lower()}")


def export_file(
    checkpoint: "Checkpoint",
    file_type: "FileType",
    file: Path,
    template: Template,
    ids: Mapping[str, Sequence[int]],
    quantiser: str = "",
) -> Record:
    """Write a file and check it; it appears under its name if nothing is wrong.

    Args:
        template: words the prompts that are compared.
        ids: texts with the token ids that they must have.
        quantiser: the program llama-quantize; without it, the package xllamacpp quantises.

    Returns:
        What export.json says about it.
    """
    from scripts.export import reading_back
    from scripts.export.vocabulary import read_vocabulary
    from scripts.export.writing import write_gguf, write_with_program

    write = partial(write_with_program, quantiser) if quantiser else write_gguf
    with replacing(file) as unfinished:
        written = write(checkpoint, read_vocabulary(checkpoint), unfinished, file_type)
        errors = reading_back.check_tensors(checkpoint, unfinished)
        reading_back.check_ids(unfinished, ids)
        answer = reading_back.check_answers(checkpoint, unfinished, conversations(template))
        record = _record(written, file)
    return record | {"largest_error": errors, "texts_compared": len(ids), "answer": answer}


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a name to write to; what is not finished is removed.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(file)
    except OSError as error:
        raise InputError(f"{file} could not be written (is the disk full?): {error}") from error
    finally:
        if unfinished.exists():
            os.unlink(unfinished)


def check_ollama(checkpoint: "Checkpoint", template: Template) -> None:
    """Check that Ollama words prompts as the chat template does.

    Raises:
        InputError: it does not.
    """
    from scripts.export.ollama import chat_text, go_template, render

    go = go_template(checkpoint.tokenizer)
    for messages in conversations(template):
        contents = {message["role"]: message["content"] for message in messages}
        values = {"System": contents.get("system", ""), "Prompt": contents["user"]}
        if render(go, values) != (expected := chat_text(checkpoint.tokenizer, messages)):
            raise InputError(f"Ollama would not render the prompt as trained: {expected!r:.200}")


def conversations(template: Template) -> list[Messages]:
    """Prompts of the template, and of ones without a system message or without line breaks."""
    system = {"role": "system", "content": template.system or "You write SQLite."}
    user = {"role": "user", "content": template.user}
    return [
        [system, user],
        [user],
        [{"role": "system", "content": "SQL only: {{x}}"}, {"role": "user", "content": "1 < 2?"}],
    ]


def _record(written: "Written", file: Path) -> Record:
    types = Counter(chosen.type.name for chosen in written.tensors.values())
    return {
        "file": file.name,
        "type": str(written.type),
        "bytes": written.file.stat().st_size,
        "sha256": file_hash(written.file),
        "bits_per_weight": round(written.bits_per_weight, 2),
        "tensors": dict(types),
        "fallback": {
            name: f"{chosen.fallback_from.name} -> {chosen.type.name}"
            for name, chosen in written.tensors.items()
            if chosen.fallback_from is not None
        },
    }


def _line(record: Record) -> str:
    tensors = ", ".join(f"{count} {name}" for name, count in record["tensors"].items())
    fallback = f"; {len(record['fallback'])} too narrow for it" if record["fallback"] else ""
    return (
        f"{record['file']}: {record['bytes'] / 1e6:.1f} MB, {record['bits_per_weight']} bits per "
        f"weight ({tensors}{fallback}); read back: tensors, {record['texts_compared']:,} texts, "
        "prompts, an answer"
    )


if __name__ == "__main__":
    run_program(main)
