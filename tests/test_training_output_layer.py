"""Only labelled positions go through the output layer; loss and gradients stay the same."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from trl.trainer.utils import add_fused_lm_head

from sft import train as training
from sft.options import Options
from slmsql.cli.config import parse_with_trainer
from slmsql.files import write_jsonl
from slmsql.training.output_layer import score_labelled_positions_only
from tests.tiny_model import tiny_model

IGNORED = -100
WIDTH = 24  # positions of a row
LABELLED = 5


class LogitRows(TorchDispatchMode):
    """Counts the rows of all matrices of logits that are computed."""

    def __init__(self, vocabulary):
        super().__init__()
        self.vocabulary, self.rows = vocabulary, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        is_product = function in (torch.ops.aten.mm.out, torch.ops.aten.mm.default)
        if is_product and output.shape[-1] == self.vocabulary:
            self.rows += len(output)
        return output


def load(folder, kind, *, adapter=False, dtype="float32"):
    from transformers import AutoModelForCausalLM

    score_labelled_positions_only()
    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder, kind), dtype=dtype).train()
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    return with_lora(model) if adapter else model


def with_lora(model):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    adapter = LoraConfig(target_modules="all-linear", init_lora_weights=False, lora_dropout=0.0)
    return get_peft_model(model, adapter)


def batch_of(rows=3):
    torch.manual_seed(0)
    ids = torch.randint(10, 400, (rows, WIDTH))
    labels = ids.clone()
    labels[:, :-LABELLED] = IGNORED
    return {"input_ids": ids, "labels": labels}


def packed(batch):
    """The same rows one after the other, with the positions that keep them apart."""
    positions = torch.arange(WIDTH).repeat(len(batch["input_ids"]))[None]
    return {name: values.reshape(1, -1) for name, values in batch.items()} | {
        "position_ids": positions
    }


def gradients(model):
    found = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    return found


def loss_of_labelled(model, batch):
    loss = -model(**batch, fused_lm_head=True).log_probs.sum()
    loss.backward()
    return loss


def loss_of_all(model, batch):
    logits = model(**{name: batch[name] for name in batch if name != "labels"}, use_cache=False)
    flat = logits.logits[:, :-1].flatten(0, 1).float()
    loss = cross_entropy(flat, batch["labels"][:, 1:].flatten(), reduction="sum")
    loss.backward()
    return loss


@pytest.mark.parametrize("arrange", [dict, packed], ids=["rows", "packed"])
@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("kind", ["qwen2", "mistral"])  # tied to the embeddings, and not
def test_loss_and_gradients_are_those_of_all_logits(tmp_path, kind, adapter, arrange):
    model = load(tmp_path, kind, adapter=adapter)
    batch = arrange(batch_of())
    expected = loss_of_all(model, batch), gradients(model)
    torch.testing.assert_close((loss_of_labelled(model, batch), gradients(model)), expected)


def test_prompt_positions_have_no_logits(tmp_path):
    model = load(tmp_path, "qwen2")
    with LogitRows(model.config.vocab_size) as counted:
        loss_of_labelled(model, batch_of(rows=4))
    assert counted.rows == 2 * 4 * LABELLED  # the backward pass computes them again


def test_a_batch_without_labels_gives_no_loss_and_no_gradient(tmp_path):
    model = load(tmp_path, "qwen2")
    batch = batch_of()
    batch["labels"].fill_(IGNORED)
    assert loss_of_labelled(model, batch).item() == 0
    assert all(gradient.abs().max() == 0 for gradient in gradients(model).values())


def test_16_bit_arithmetic_agrees_with_float32(tmp_path):
    model = load(tmp_path, "qwen2")
    batch = batch_of()
    exact = loss_of_all(model, batch).item()
    with torch.autocast("cpu", torch.bfloat16):
        half = loss_of_labelled(model, batch).item()
    assert half == pytest.approx(exact, rel=1e-2)


@pytest.fixture
def all_positions(monkeypatch):
    """A trainer that scores all positions, as TRL does on a CPU."""
    from trl.trainer import utils

    def train_so(*words):
        with monkeypatch.context() as patch:
            patch.setattr(training, "score_labelled_positions_only", lambda: None)
            patch.setattr(utils, "_use_triton", lambda device: False)
            return train(*words)

    return train_so


def train(folder, *words):
    """Train a tiny model by our program's trainer; its losses and last weights."""
    argv = [f"--data={folder}/rows.jsonl", f"--model_name_or_path={folder}/model", *words]
    argv += [f"--output_dir={folder}/out", "--use_cpu=true", "--bf16=false", "--report_to=none"]
    argv += ["--max_steps=2", "--logging_steps=1", "--learning_rate=1e-2", "--save_strategy=no"]
    argv += ["--per_device_train_batch_size=2", "--gradient_accumulation_steps=2"]
    parsed = parse_with_trainer(
        Options, ["trl:SFTConfig", "trl:ModelConfig"], about=None, argv=argv
    )
    options, (arguments, model) = parsed
    trainer = training.make_trainer(options, arguments, model)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, dict(trainer.model.named_parameters())


@pytest.mark.slow  # trains
@pytest.mark.parametrize(
    "words",
    [["--packing=true", "--max_length=160"], ["--use_peft=true", "--lora_r=4"]],
    ids=["packed", "lora"],
)
def test_a_run_with_accumulation_has_the_losses_and_weights_of_trl(tmp_path, all_positions, words):
    tiny_model(tmp_path / "model")
    rows = [
        {
            "prompt": [{"role": "user", "content": "How many singers?" * (1 + i % 3)}],
            "completion": [{"role": "assistant", "content": "SELECT 1" + " + 1" * i}],
        }  # so that each micro-batch has another number of labelled tokens
        for i in range(12)
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    expected_losses, expected_weights = all_positions(tmp_path, *words)
    losses, weights = train(tmp_path, *words)
    assert losses == pytest.approx(expected_losses, abs=1e-5)
    torch.testing.assert_close(weights, expected_weights, atol=1e-4, rtol=1e-3)
