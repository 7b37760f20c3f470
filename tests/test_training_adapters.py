"""LoRA in GRPO: it starts from an adapter, trains in float32 and keeps the frozen weights."""

import hashlib
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from trl.distributed import DistributedBackend

from rl.grpo import _make_trainer, check_run
from rl.options import Options
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.prompt.build import Layout, PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row
from slmsql.training.adapters import keep_precise, tokenizer_folder
from slmsql.training.merging import keep_frozen_weights
from tests.tiny_model import tiny_model, tiny_tokenizer

LORA = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return tiny_model(folder, hidden_size=64, intermediate_size=128)  # NF4 takes 64 at a time


@pytest.fixture
def adapter(model, tmp_path):
    """An adapter folder as SFT saves it."""
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model)
    get_peft_model(base, LORA).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture
def check_again(singers, tmp_path):
    """Checks a GRPO run on four rows, as the program does."""
    questions = [
        Question(f"q{n}", "Who?", "singers", singers, gold_sql="SELECT name FROM singer")
        for n in range(4)
    ]
    prompts = [build_prompt(question, PromptSettings()).messages for question in questions]
    rows = [grpo_row(q, p, Layout.THINK) for q, p in zip(questions, prompts, strict=True)]
    write_jsonl(tmp_path / "rows.jsonl", rows)

    def check(**changes):
        arguments = {
            "train_file": tmp_path / "rows.jsonl",
            "output_dir": tmp_path / "out",
            "use_cpu": "true",
            "bf16": "false",
            "dtype": "float32",
            "workers": 1,
            "report_to": "none",
            "num_generations": 2,
            "per_device_train_batch_size": 4,
            **changes,
        }
        words = [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]
        trainer = ["trl:GRPOConfig", "trl:ModelConfig"]
        options, (training, model) = parse_with_trainer(Options, trainer, about=None, argv=words)
        return check_run(options, training, model)

    return check


def adapters_of(model):
    return {name: p for name, p in model.named_parameters() if "lora_" in name}


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_grpo_starts_from_an_sft_adapter(model, adapter, check_again, beta):
    run = check_again(model_name_or_path=adapter, use_peft="true", beta=beta)
    trainer = _make_trainer(run, tiny_tokenizer())
    run.judge.close()
    saved = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter)
    trained = adapters_of(trainer.model)
    for name, weights in adapters_of(saved).items():
        assert torch.equal(trained[name], weights), name
        assert trained[name].requires_grad
        if beta:  # the KL is to where the run started, not to the base model
            assert torch.equal(trained[name.replace(".default.", ".ref.")], weights)


def test_an_adapter_is_not_trained_as_a_whole_model(adapter, check_again):
    with pytest.raises(InputError, match="is an adapter: give --use_peft"):
        check_again(model_name_or_path=adapter)


def test_an_adapter_without_a_tokenizer_has_that_of_its_base(adapter, model):
    assert tokenizer_folder(str(adapter)) == str(model)
    (adapter / "tokenizer_config.json").write_text("{}")
    assert tokenizer_folder(str(adapter)) == str(adapter)


@pytest.mark.slow
def test_adapters_on_a_4_bit_model_are_trained_in_float32(model, check_again):
    run = check_again(model_name_or_path=model, use_peft="true", load_in_4bit="true")
    trainer = _make_trainer(run, tiny_tokenizer())
    run.judge.close()
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    assert trained
    assert {p.dtype for p in trained} == {torch.float32}


def engine_for(model):
    """TRL's connection to vLLM, with a stand-in for vLLM; also returns the weights it gets."""
    from trl.generation.vllm_generation import VLLMGeneration  # it imports vLLM

    weights = {}
    vllm = SimpleNamespace(
        load_weights=lambda pairs: weights.update((n, w.clone()) for n, w in pairs)
    )
    worker = SimpleNamespace(model_runner=SimpleNamespace(model=vllm))
    executor = SimpleNamespace(driver_worker=worker)
    engine = VLLMGeneration.__new__(VLLMGeneration)  # its constructor needs vLLM
    engine.model, engine.mode, engine.enable_sleep_mode = model, "colocate", False
    engine.accelerator = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=None))
    engine._dist = DistributedBackend(engine.accelerator)
    engine.llm = SimpleNamespace(
        llm_engine=SimpleNamespace(model_executor=executor), reset_prefix_cache=lambda: None
    )
    return engine, weights


def hash_of_frozen(model):
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if "lora_" not in name:
            digest.update(name.encode() + parameter.data.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def lora_in_bfloat16(folder):
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return get_peft_model(base, LORA)


@pytest.mark.slow
def test_fifty_generations_leave_the_frozen_weights_as_they_were(model):
    """TRL's own `sync_weights` sends them; the adapter moves in between, as it does in training."""
    lora = lora_in_bfloat16(model)
    engine, _ = engine_for(lora)
    keep_frozen_weights(engine)
    before = hash_of_frozen(lora)
    for _ in range(50):
        engine.sync_weights()
        for adapter in adapters_of(lora).values():
            adapter.data += 1e-3 * torch.randn_like(adapter)
    assert hash_of_frozen(lora) == before
    engine_for(lora)[0].sync_weights()  # TRL alone: the module is still needed
    assert hash_of_frozen(lora) != before


@pytest.mark.slow
def test_vllm_gets_the_weights_that_trl_would_send(model):
    lora = lora_in_bfloat16(model)
    engine, weights = engine_for(lora)
    keep_frozen_weights(engine)
    engine.sync_weights()
    trls_engine, trls_weights = engine_for(lora)
    trls_engine.sync_weights()
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    assert weights.keys() == trls_weights.keys() == dict(base.named_parameters()).keys()
    assert all(torch.equal(weights[name], weight) for name, weight in trls_weights.items())
    changed = [n for n, weight in base.named_parameters() if not torch.equal(weights[n], weight)]
    assert len(changed) == 14  # seven projections in each of two layers


@pytest.mark.slow
def test_the_frozen_weights_of_a_4_bit_model_stay_too(model):
    """Merging quantises anew; the first parameter, with its scales, comes back."""
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    base = AutoModelForCausalLM.from_pretrained(model, quantization_config=config)
    lora = get_peft_model(base, LORA)
    engine, _ = engine_for(lora)
    keep_frozen_weights(engine)
    keep_precise(lora)
    before = hash_of_frozen(lora)
    inputs = torch.arange(8).unsqueeze(0)
    with torch.no_grad():
        logits = lora(inputs).logits
        engine.sync_weights()
        assert torch.equal(lora(inputs).logits, logits)
    assert hash_of_frozen(lora) == before
