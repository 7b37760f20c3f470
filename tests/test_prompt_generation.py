"""Greedy means greedy, whatever the base model's `generation_config.json` says."""

import shutil
from types import SimpleNamespace

import pytest
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from sft.validate import generate
from slmsql.prompt.generation import plain_generation
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.sampler import Request, SamplingParams
from slmsql.sampling.transformers_sampler import TransformersSampler
from tests.tiny_model import tiny_model

PROMPT = [{"role": "user", "content": "How many singers are there?"}]
PENALTY = {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same weights twice, once with a penalty in their `generation_config.json`."""
    plain = tiny_model(tmp_path_factory.mktemp("models") / "plain")
    penalised = plain.with_name("penalised")
    shutil.copytree(plain, penalised)
    config = GenerationConfig.from_pretrained(plain)
    config.update(**PENALTY, do_sample=True)
    config.save_pretrained(penalised)
    return plain, penalised


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def raw(folder):
    """What transformers generates by itself."""
    model, tokenizer = load(folder)
    ids = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_tensors="pt")
    output = model.generate(**ids, max_new_tokens=16, do_sample=False)
    return tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


def scored(folder):
    """The answer in SFT's evaluation."""
    model, tokenizer = load(folder)
    trainer = SimpleNamespace(
        model_wrapped=model,
        accelerator=Accelerator(cpu=True),
        processing_class=tokenizer,
        compute_loss_context_manager=Accelerator(cpu=True).autocast,
    )
    return generate(trainer, [PROMPT], 16)[0]


def sampled(folder):
    """The answer of the sampler of inference/."""
    sampler = TransformersSampler(SamplerOptions(model=str(folder)))
    sampler.submit(Request("q", PROMPT, 1, 1, SamplingParams(max_tokens=16, temperature=0.0)))
    (done,) = sampler.completed()
    return done.samples[0].text


def test_the_penalty_changes_what_transformers_generates_by_itself(models):
    plain, penalised = models
    assert raw(plain) != raw(penalised)


@pytest.mark.parametrize("answer", [scored, sampled])
def test_a_penalty_of_the_base_does_not_change_a_greedy_answer(models, answer):
    plain, penalised = models
    assert answer(penalised) == answer(plain) == raw(plain)


@pytest.mark.parametrize("with_adapter", [False, True])
def test_the_base_keeps_its_defaults_to_be_saved_with_it(models, with_adapter):
    model, _ = load(models[1])
    if with_adapter:
        model = get_peft_model(model, LoraConfig())
    with plain_generation(model):
        assert model.generation_config.repetition_penalty is None
        assert model.generation_config.eos_token_id is not None
    assert model.generation_config.repetition_penalty == 1.5
