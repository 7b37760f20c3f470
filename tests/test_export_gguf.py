"""Exported GGUF files compute, tokenize and prompt as the checkpoint does, or are not there."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType, GGUFReader

from scripts import export_gguf
from scripts.export import reading_back
from scripts.export.checkpoint import read_checkpoint
from scripts.export.llama_cpp import quantise
from scripts.export.ollama import chat_text, go_template, render
from scripts.export.quantisation import FileType, choose_types
from scripts.export.vocabulary import read_vocabulary
from scripts.export.writing import write_gguf, write_with_program
from slmsql.errors import InputError, run_program
from slmsql.files import read_json, write_jsonl
from slmsql.prompt.build import read_template
from slmsql.sampling.llama_cpp_sampler import LlamaCppSampler
from slmsql.sampling.options import SamplerOptions
from tests.sampling import complete
from tests.talking_model import talking_model
from tests.tiny_model import KINDS, tiny_model, tiny_tokenizer

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
ARCHITECTURES = ("qwen2", "qwen3", "llama", "mistral", "lfm2")
# Large weights, so that attention and rotary embedding decide what is said.
SHARP = {"initializer_range": 0.25}


def run(monkeypatch, *words):
    """Run the program in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["export_gguf.py", *map(str, words)])
    try:
        run_program(export_gguf.main)
    except SystemExit as stop:
        return stop.code
    return 0


# ------------------------------------------------------------------------------- types of tensors


def shapes(layers, width, *, tied=True):
    """The matrices of a model as llama.cpp names them."""
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    matrices = {f"blk.{i}.{n}.weight": (width, width) for i in range(layers) for n in names}
    output = {} if tied else {"output.weight": (1000, width)}
    return {"token_embd.weight": (1000, width), **matrices, **output}


def layers_in(types, tensor, kind):
    return [
        int(name.split(".")[1])
        for name, chosen in types.items()
        if name.endswith(f"{tensor}.weight") and chosen.type.name == kind
    ]


def test_q4_k_m_gives_more_bits_to_the_layers_that_llama_cpp_gives_more():
    types = choose_types(shapes(9, 256), FileType.Q4_K_M)  # as llama_model_quantize 0.5.0 chose
    assert layers_in(types, "attn_v", "Q6_K") == [0, 3, 6, 7, 8]
    assert layers_in(types, "ffn_down", "Q6_K") == [0, 3, 6, 7, 8]
    assert types["token_embd.weight"].type is GGMLQuantizationType.Q6_K
    assert Counter(chosen.type.name for chosen in types.values()) == {"Q6_K": 11, "Q4_K": 53}
    untied = choose_types(shapes(9, 256, tied=False), FileType.Q4_K_M)
    assert untied["output.weight"].type is GGMLQuantizationType.Q6_K
    assert untied["token_embd.weight"].type is GGMLQuantizationType.Q4_K


@pytest.mark.parametrize(
    ("width", "kinds"),
    [(512, {"Q4_K", "Q6_K"}), (576, {"Q5_0", "Q8_0"}), (48, {"F16"})],
)
def test_a_matrix_that_is_too_narrow_for_its_type_falls_back(width, kinds):
    types = choose_types(shapes(2, width), FileType.Q4_K_M)
    assert {chosen.type.name for chosen in types.values()} == kinds
    assert all((chosen.fallback_from is None) == (width == 512) for chosen in types.values())


def test_norms_and_convolutions_are_not_quantised():
    small = {"blk.0.attn_norm.weight": (256,), "blk.0.shortconv.conv.weight": (256, 3)}
    for file_type in FileType:
        types = choose_types(small, file_type)
        assert {chosen.type.name for chosen in types.values()} == {"F32"}


def test_llama_cpp_quantises_within_the_error_that_the_check_allows():
    import numpy as np
    from gguf.quants import dequantize

    weights = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
    for kind in ("Q8_0", "Q6_K", "Q5_0", "Q4_K"):
        type_ = GGMLQuantizationType[kind]
        back = dequantize(quantise(weights, type_), type_)
        error = np.sqrt(np.mean((back - weights) ** 2))
        assert error < reading_back.LARGEST_ERROR[type_] < 3 * error


# ---------------------------------------------------------------------------------------- Ollama


def test_a_go_template_is_filled_by_gos_rules():
    template = (
        "{{ if .System }}<s>{{ .System }}\n{{ else }}none {{ end }}{{ .Prompt }}{{ .Response }}"
    )
    assert render(template, {"System": "S{{x}}", "Prompt": "P"}) == "<s>S{{x}}\nP"
    assert render(template, {"System": "", "Prompt": "P"}) == "none P"
    nested = "{{if .A}}{{if .B}}both{{else}}a{{end}}{{end}}."
    assert [render(nested, {"A": "1", "B": b}) for b in ("1", "")] == ["both.", "a."]
    assert render(nested, {"B": "1"}) == "."


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["think", "strict"])
def test_ollama_words_prompts_as_the_chat_template(kind, name):
    tokenizer = tiny_tokenizer(kind)
    go = go_template(tokenizer)
    for messages in export_gguf.conversations(read_template(name)):
        contents = {message["role"]: message["content"] for message in messages}
        values = {"System": contents.get("system", ""), "Prompt": contents["user"]}
        assert render(go, values) == chat_text(tokenizer, messages)


@pytest.mark.slow
def test_a_chat_template_that_ollama_cannot_follow_is_refused():
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(InputError, match="no system message"):
        go_template(tokenizer)


# --------------------------------------------------------------------------------------- exports


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Model folder and export folder of each architecture."""
    folders = {}
    for kind in ARCHITECTURES:
        root = tmp_path_factory.mktemp(kind)
        model = tiny_model(root / "model", kind, **SHARP)
        options = export_gguf.Options(model, root / "export")
        export_gguf.export(model, options, read_template("think"))
        folders[kind] = model, options.output
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_each_architecture_answers_in_llama_cpp_as_in_transformers(exports, kind):
    from slmsql.sampling.transformers_sampler import TransformersSampler

    model, folder = exports[kind]
    original = TransformersSampler(SamplerOptions(model=str(model), dtype="float32"))
    expected = answer(original)
    for file_type in FileType:
        sampler = LlamaCppSampler(SamplerOptions(model=str(folder / f"model-{file_type}.gguf")))
        actual = answer(sampler)
        assert actual.error is None
        assert actual.prompt_tokens == expected.prompt_tokens
        if file_type is FileType.F16:
            assert readable(actual) == readable(expected)
        sampler.close()


def answer(sampler):
    return complete(sampler, n=1, temperature=0, max_tokens=12)


def readable(completed):
    """The text without incomplete characters, which programs show in different ways."""
    return completed.samples[0].text.replace("\ufffd", "").strip()


@pytest.mark.slow
def test_the_report_says_what_each_file_holds(exports):
    _, folder = exports["qwen2"]
    report = json.loads((folder / "export.json").read_text())
    f16, q8_0, q4_k_m = report["files"]
    assert f16["tensors"] == {"F16": 15, "F32": 11}
    assert q8_0["fallback"] == {}
    assert q4_k_m["fallback"]["blk.0.attn_q.weight"] == "Q4_K -> Q5_0"
    assert len(q4_k_m["fallback"]) == 15
    assert f16["bytes"] == (folder / "model-f16.gguf").stat().st_size
    assert f16["texts_compared"] == 10_000
    assert 0 < q8_0["largest_error"]["Q8_0"] < 0.015
    assert sorted(file.name for file in folder.iterdir()) == [
        "Modelfile", "export.json", "model-f16.gguf", "model-q4_k_m.gguf", "model-q8_0.gguf",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_modelfile_has_what_training_used(exports):
    _, folder = exports["qwen2"]
    text = (folder / "Modelfile").read_text()
    assert text.startswith(
        'FROM ./model-q4_k_m.gguf\nTEMPLATE """{{ if .System }}<|im_start|>system'
    )
    assert 'SYSTEM """You turn questions about a database into SQLite queries.' in text
    assert 'PARAMETER stop "<|im_end|>"\n' in text
    assert "PARAMETER temperature 0\nPARAMETER num_ctx 8192\n" in text


@pytest.mark.slow
def test_an_adapter_is_folded_in_first(exports, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base, _ = exports["qwen2"]
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    adapted.save_pretrained(tmp_path / "adapter")
    options = export_gguf.Options(tmp_path / "adapter", tmp_path / "out", ["f16"])
    with export_gguf.whole_model(options) as folder:
        export_gguf.export(folder, options, read_template("think"))
    stored = {t.name: t for t in GGUFReader(tmp_path / "out" / "adapter-f16.gguf").tensors}
    merged = adapted.merge_and_unload().model.layers[1].self_attn
    for name, part in (("attn_q", merged.q_proj), ("attn_k", merged.k_proj)):
        weights = torch.from_numpy(stored[f"blk.1.{name}.weight"].data.astype("float32"))
        assert torch.allclose(weights, part.weight, atol=1e-3)
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.slow
def test_llama_3s_scaled_rotary_embedding_is_that_of_transformers(tmp_path):
    import numpy as np
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    folder = tiny_model(tmp_path / "model", "llama", hidden_size=128)
    config = AutoConfig.from_pretrained(folder)
    config.rope_parameters = {
        "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    }  # fmt: skip
    config.save_pretrained(folder)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 500_000.0 ** (np.arange(0, 32, 2) / 32)
    factors = dict(read_checkpoint(folder).tensors())["rope_freqs.weight"]
    assert np.allclose(plain / factors, scaled.numpy(), rtol=1e-4)


def program(path, script):
    """A program that stands for llama-quantize, which no package ships."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_llama_quantize_may_write_the_files_instead(exports, tmp_path, monkeypatch):
    model, folder = exports["qwen2"]
    script = f'echo "$1 $2 $3" > {tmp_path}/asked; cp {folder}/model-q4_k_m.gguf "$2"'
    quantiser = program(tmp_path / "llama-quantize", script)
    words = ("--model", model, "--output", tmp_path / "out", "--types", "q4_k_m")
    assert run(monkeypatch, *words, "--quantiser", quantiser) == 0
    source, target, kind = (tmp_path / "asked").read_text().split()
    assert kind == "Q4_K_M"
    assert not Path(source).exists()
    assert not Path(target).exists()
    (own,) = (f for f in read_json(folder / "export.json")["files"] if f["type"] == "q4_k_m")
    report = read_json(tmp_path / "out" / "export.json")
    assert report["quantiser"] == str(quantiser)
    assert report["files"] == [own]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("llama-quantize"), reason="needs llama-quantize on the path")
@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("file_type", [FileType.Q8_0, FileType.Q4_K_M])
def test_llama_quantize_itself_chooses_and_rounds_as_we_do(exports, kind, file_type, tmp_path):
    model, folder = exports[kind]
    checkpoint, file = read_checkpoint(model), tmp_path / "model.gguf"
    write_with_program("llama-quantize", checkpoint, read_vocabulary(checkpoint), file, file_type)
    types = {t.name: t.tensor_type for t in GGUFReader(folder / f"model-{file_type}.gguf").tensors}
    whole = {tensor.name: tensor.data for tensor in GGUFReader(folder / "model-f16.gguf").tensors}
    for tensor in GGUFReader(file).tensors:
        assert tensor.tensor_type == types.pop(tensor.name)
        if whole[tensor.name].dtype.name == "float16":
            expected = quantise(whole[tensor.name].astype("float32"), tensor.tensor_type)
            assert tensor.data.tobytes() == expected.tobytes()
    assert not types


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'failed to quantize' >&2; exit 1", "failed (exit code 1): failed to quantize"),
        ("exit 0", "failed (exit code 0): it says nothing"),
        ('cp "$1" "$2"', "wrote another type than q8_0"),
    ],
)
def test_a_quantiser_that_fails_is_one_line_and_leaves_no_file(
    exports, tmp_path, monkeypatch, capsys, script, message
):
    quantiser = program(tmp_path / "llama-quantize", script)
    words = ("--model", exports["qwen2"][0], "--output", tmp_path / "out", "--types", "q8_0")
    assert run(monkeypatch, *words, "--quantiser", quantiser) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


def test_a_quantiser_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    words = ("--model", tmp_path, "--output", tmp_path / "out", "--quantiser", "./llama-quantize")
    assert run(monkeypatch, *words) == 2
    error = "error: --quantiser: there is no program ./llama-quantize\n"
    assert capsys.readouterr().err == error


# ------------------------------------------------------------------- what cannot be exported


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no folder", "there is no such folder"),
        ("no model", "there is no config.json in it"),
        ("no weights", "there is no model.safetensors in it"),
        ("architecture", "holds a 'gpt2' model; supported: lfm2, llama, mistral, qwen2, qwen3"),
        ("vocabulary", "the vocabulary does not match: the tokenizer has the id 431, the weights"),
        ("chat template", "has no chat template"),
        ("byte fallback", "is not byte-level BPE"),
        ("template", "no template 'nothing'"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    exports, fault, message, tmp_path, monkeypatch, capsys
):
    model = tmp_path / "model"
    shutil.copytree(exports["qwen2"][0], model)
    spoil(model, fault)
    words = ("--template", "nothing") if fault == "template" else ()
    assert run(monkeypatch, "--model", model, "--output", tmp_path / "out", *words) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.glob("out/*"))


def spoil(model, fault):
    """Damage a model folder."""
    if fault == "no folder":
        shutil.rmtree(model)
    elif fault == "no model":
        (model / "config.json").unlink()
    elif fault == "no weights":
        (model / "model.safetensors").unlink()
    elif fault == "architecture":
        change(model / "config.json", lambda config: config.update(model_type="gpt2"))
    elif fault == "vocabulary":
        new = {"id": 431, "content": "<new>", "special": False, "single_word": False}
        new |= {"lstrip": False, "rstrip": False, "normalized": False}
        change(model / "tokenizer.json", lambda state: state["added_tokens"].append(new))
    elif fault == "chat template":
        (model / "chat_template.jinja").unlink()
    elif fault == "byte fallback":
        change(model / "tokenizer.json", lambda state: state["model"].update(byte_fallback=True))
        change(model / "tokenizer_config.json", plain_tokenizer)
        change(model / "config.json", lambda config: config.update(model_type="llama"))


def plain_tokenizer(config):
    config["tokenizer_class"] = "PreTrainedTokenizerFast"


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


@pytest.fixture
def small_files():
    """No file of this process may grow beyond 50,000 bytes; the exports have 80,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_no_file(
    exports, small_files, tmp_path, monkeypatch, capsys
):
    model, _ = exports["qwen2"]
    assert run(monkeypatch, "--model", model, "--output", tmp_path / "out") == 2
    errors = capsys.readouterr().err
    assert "model-f16.gguf could not be written (is the disk full?)" in errors.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_a_damaged_tensor_is_found(exports, tmp_path):
    model, folder = exports["llama"]
    file = tmp_path / "damaged.gguf"
    shutil.copyfile(folder / "model-f16.gguf", file)
    with open(file, "r+b") as content:
        content.seek(-1000, os.SEEK_END)
        content.write(b"\x12\x34" * 100)
    with pytest.raises(
        InputError, match=r"lost .* in F16, more than the 0.1% that the type explains"
    ):
        reading_back.check_tensors(read_checkpoint(model), file)


@pytest.mark.slow
def test_another_splitting_rule_is_found(exports, tmp_path):
    from dataclasses import replace

    checkpoint = read_checkpoint(exports["llama"][0])
    vocabulary = replace(read_vocabulary(checkpoint), rule="smollm")
    file = tmp_path / "other.gguf"
    write_gguf(checkpoint, vocabulary, file, FileType.F16)
    expected = reading_back.expected_ids(checkpoint.tokenizer, count=500)
    with pytest.raises(InputError, match="texts into other tokens than the tokenizer"):
        reading_back.check_ids(file, expected)


# -------------------------------------------------------------------------- without torch


@pytest.fixture(scope="module")
def chinook(tmp_path_factory):
    """Chinook, a shop for music; real data."""
    unpacked = ROOT / "data" / "classic" / "chinook.sqlite"
    if unpacked.is_file():
        return unpacked
    archive = ROOT.parent / "shared" / "data" / "classic.tar.xz"
    if not archive.is_file():
        pytest.skip("needs data/classic/chinook.sqlite")
    folder = tmp_path_factory.mktemp("classic")
    with tarfile.open(archive) as content:
        content.extract("classic/chinook.sqlite", folder, filter="data")
    return folder / "classic" / "chinook.sqlite"


@pytest.fixture(scope="module")
def core_python(tmp_path_factory):
    """The Python of an environment that has the library, the extra gguf, and nothing else."""
    if not UV.is_file():
        pytest.skip("needs uv beside the Python that runs the tests")
    python = tmp_path_factory.mktemp("core") / "bin" / "python"
    made = subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, python.parent.parent])
    assert made.returncode == 0
    done = subprocess.run(
        [
            *(UV, "pip", "install", "--quiet", "--python", python),
            *("-c", "constraints.txt", "-e", ".[gguf]"),
        ],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode and "Failed to fetch" in done.stderr:
        pytest.skip("needs a package index")
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
def test_ask_and_benchmark_answer_from_a_gguf_file_where_torch_is_not_installed(
    chinook, core_python, tmp_path
):
    sql = "SELECT count(*) FROM Artist"
    model = talking_model(
        tmp_path / "model", {sql: 0.5, "SELECT count(*) FROM Bands": 0.5}, length=3
    )
    options = export_gguf.Options(model, tmp_path, ["q8_0"])
    export_gguf.export(model, options, read_template("think"))
    question = {"id": "a", "question": "How many artists?", "gold_sql": sql}
    write_jsonl(tmp_path / "questions.jsonl", [question | {"database": str(chinook)}])

    def run_core(program, *words):
        file, settings = tmp_path / "model-q8_0.gguf", ("--constrain", "schema", "--n", "4")
        command = [core_python, program, "--model", file, "--schema_tokens", "500", *settings]
        environment = {"PATH": os.environ["PATH"]}
        done = subprocess.run(
            [*command, *words], cwd=ROOT, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert subprocess.run([core_python, "-c", "import torch"], capture_output=True).returncode
    asked = ("--database", chinook, "--question", "How many artists?")
    answer = run_core("inference/ask.py", *asked)
    assert answer.startswith(f"{sql}\n")
    assert "275" in answer
    source = ("--questions", tmp_path / "questions.jsonl", "--output", tmp_path / "run")
    run_core("scripts/benchmark.py", *source, "--revise", "true", "--merge_n", "2")
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["revised"]["execution_accuracy"] == 100.0
