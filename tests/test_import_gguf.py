"""A GGUF file becomes a model that computes and tokenizes what the original did."""

import json
from pathlib import Path

import pytest

from tests.in_process import run_here
from tests.tiny_model import tiny_model
from tests.warm_programs import Program

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")

ROOT = Path(__file__).parent.parent
SMOLLM2 = ROOT / "models" / "smollm2"
TEXTS = [
    "SELECT count(*) FROM singer WHERE age > 1234 AND name = 'Ann'",
    "How many are there?\n\n  two  spaces\tand a tab; größe, 東京, 😀",
    "<think>it's</think><answer>SELECT 1</answer>",
]


def write_gguf(model_folder, file, architecture, pre, *, tokenizer_model="gpt2", template=True):
    """A tiny model as llama.cpp's converter would write it, in float32."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    config = model.config
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(model.model.layers[0].self_attn.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    add_tokenizer(writer, tokenizer, tokenizer_model, pre, template)
    names = gguf.get_tensor_name_map(
        getattr(gguf.MODEL_ARCH, architecture.upper()), config.num_hidden_layers
    )
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied to the embedding
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), rotated(name, weights, model))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tokenizer, model


def rotated(name, weights, model):
    """llama.cpp keeps Llama's query and key rows in another order, for its rotary embedding."""
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    for part, count in heads.items():
        if model.config.model_type == "llama" and part in name:
            number = getattr(model.config, count)
            shape = (number, 2, weights.shape[0] // number // 2, *weights.shape[1:])
            return weights.reshape(shape).swapaxes(1, 2).reshape(weights.shape).numpy()
    return weights.numpy()


def add_tokenizer(writer, tokenizer, model, pre, template):
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    special = {token["content"]: token["special"] for token in state["added_tokens"]}
    kinds = [{None: 1, True: 3, False: 4}[special.get(token)] for token in tokens]
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in state["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if template:
        writer.add_chat_template(tokenizer.chat_template)


def run(*words):
    return run_here("scripts/import_gguf.py", *words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "architecture"), [("llama", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3")]
)
def test_weights_tokens_and_chat_template_come_through(kind, architecture, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model(tmp_path / "model", kind)
    tokenizer, model = write_gguf(folder, tmp_path / "m.gguf", architecture, "gpt-2")
    done = run(*("--gguf", tmp_path / "m.gguf", "--output", tmp_path / "out", "--dtype", "float32"))
    assert done.returncode == 0, done.stderr
    read = AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in TEXTS:
        assert read(text)["input_ids"] == tokenizer(text)["input_ids"]
        assert read.decode(read(text)["input_ids"]) == text
    question = [{"role": "user", "content": "How many?"}]
    assert read.apply_chat_template(
        question, tokenize=False, add_generation_prompt=True
    ) == tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    converted = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.allclose(converted(ids).logits, model(ids).logits, atol=1e-5)
    assert read.eos_token == tokenizer.eos_token
    assert converted.generation_config.eos_token_id == [tokenizer.eos_token_id]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "mamba"}, "'mamba' model; supported: llama, qwen2, qwen3"),
        ({"tokenizer_model": "llama"}, "'llama' tokenizer; only byte-level BPE"),
        ({"pre": "poro-chat"}, "rule 'poro-chat'; supported: smollm"),
        ({"template": False}, "no chat template"),
    ],
)
def test_what_is_not_supported_is_one_line_and_leaves_nothing(changes, message, tmp_path):
    folder = tiny_model(tmp_path / "model", "qwen2")
    settings = {"architecture": "qwen2", "pre": "gpt-2", **changes}
    if settings["architecture"] == "mamba":
        writer = gguf.GGUFWriter(tmp_path / "m.gguf", "mamba")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    else:
        write_gguf(folder, tmp_path / "m.gguf", **settings)
    done = run("--gguf", tmp_path / "m.gguf", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_no_gguf_file_is_one_line(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF nothing")
    done = run("--gguf", tmp_path / "m.gguf", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "is not a complete GGUF file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_existing_output_is_not_touched(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"")
    done = run("--gguf", tmp_path / "m.gguf", "--output", tmp_path)
    assert done.returncode == 2
    assert "already exists" in done.stderr


@pytest.mark.slow
def test_smollm2_splits_digits_one_by_one_and_answers_in_plain_chat(warm, singers, tmp_path):
    if not (SMOLLM2 / "config.json").is_file():
        pytest.skip("needs models/smollm2 (make models/smollm2)")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
    assert tokenizer.tokenize("in 2024") == ["in", "Ġ", "2", "0", "2", "4"]
    assert tokenizer.tokenize("a  b\n") == ["a", "Ġ", "Ġb", "Ċ"]
    assert tokenizer.tokenize("<|im_start|>user") == ["<|im_start|>", "user"]
    assert tokenizer.eos_token == "<|im_end|>"
    plain = tmp_path / "plain.txt"
    plain.write_text("layout: sql\n## user\n$question")
    command = ["python", "inference/ask.py", "--model", SMOLLM2, "--database", singers]
    command += ["--template", plain, "--question", "What is the capital of France?"]
    command += ["--sampler", "transformers", "--temperature", "0", "--max_tokens", "20"]
    status, text = Program(warm, [*map(str, command)], tmp_path / "log").finish()
    assert status == 0, text
    assert "The capital of France is Paris." in text.splitlines()
