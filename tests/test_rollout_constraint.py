"""`--constrain schema` in GRPO: sampler and trainer know the same tokens, and so the same odds."""

import json
import math
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from trl import GRPOConfig

from rl.constraint import AllowedTokens, _OutputLayer
from rl.grpo import _make_trainer, check_run
from rl.options import Options, _check_constraint
from rl.rows import check_dialect
from slmsql.cli.config import as_arguments, parse_with_trainer
from slmsql.errors import InputError
from slmsql.execution.database import create_database
from slmsql.files import write_jsonl
from slmsql.grammar.masks import Masks
from slmsql.grammar.names import Names
from slmsql.grammar.vocabulary import Vocabulary
from slmsql.prompt.build import Layout, PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row
from slmsql.schema.reading import read_schema
from slmsql.training.run_record import check_same_run, write_record
from tests.tiny_model import tiny_model

SCRIPTS = {
    "shop": "CREATE TABLE item (id INTEGER, price REAL);",
    "music": "CREATE TABLE singer (name TEXT, age INTEGER);",
}
SETTINGS = {
    "rewards": ["execution"],
    "constrain": "schema",
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 24,
    "max_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "per_device_eval_batch_size": 4,
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "workers": 1,
}


def row_of(folder, name, layout):
    path = folder / name / f"{name}.sqlite"
    if not path.exists():
        create_database(path, SCRIPTS[name])
    question = Question(f"{name}_{layout}", "How many?", name, path, gold_sql="SELECT 1")
    template = "schema" if layout is Layout.SQL else "think"
    messages = build_prompt(question, PromptSettings(template=template, sample_values=0)).messages
    return grpo_row(question, messages, layout)


def run_of(folder, model, **changes):
    settings = SETTINGS | {
        "model_name_or_path": str(model),
        "train_file": str(folder / "rows.jsonl"),
        "validation_file": str(folder / "held_out.jsonl"),
        "output_dir": str(folder / "out"),
        **changes,
    }
    arguments = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=None, argv=as_arguments(settings)
    )
    options, (training, model_config) = arguments
    return check_run(options, training, model_config)


class Draws:
    """Records the probability with which transformers draws each token."""

    def __init__(self):
        self.probabilities = []
        self._draw = torch.multinomial

    def __call__(self, probabilities, **arguments):
        drawn = self._draw(probabilities, **arguments)
        self.probabilities.append(probabilities.gather(1, drawn)[:, 0])
        return drawn


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Completions of a real model, and one step of a real training with it, by transformers."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("constraint")
    model = tiny_model(folder / "model", hidden_size=64)
    rows = [row_of(folder, name, layout) for name in SCRIPTS for layout in Layout]
    write_jsonl(folder / "rows.jsonl", rows[:2])
    write_jsonl(folder / "held_out.jsonl", rows[2:])
    run = run_of(folder, model)
    trainer = _make_trainer(run, AutoTokenizer.from_pretrained(model))
    draws = Draws()
    with patch("torch.multinomial", draws):
        prompts, _, _ = trainer._tokenize_prompts([row["prompt"] for row in rows])
        completions, _ = trainer._generate_single_turn(prompts, None, {}, 1)
    ids, mask, width = padded(prompts, completions)
    with torch.no_grad():
        scored, *_ = trainer._score_tokens(trainer.model, ids, mask, width)
        with patch.object(trainer, "_constraint", None):
            free, *_ = trainer._score_tokens(trainer.model, ids, mask, width)
    drawn = torch.stack(draws.probabilities, dim=1)
    used = mask[:, -width:].bool()
    trainer.train()
    run.judge.close()
    return SimpleNamespace(
        run=run,
        folder=folder,
        texts=trainer.processing_class.batch_decode(completions, skip_special_tokens=True),
        ratios=(scored.exp() / drawn)[used],
        free_ratios=(free.exp() / drawn)[used],
        rollouts=[json.loads(line) for line in open(folder / "out/rollouts/rank-00000.jsonl")],
        validated=[json.loads(line) for line in open(folder / "out/samples.jsonl")],
        logs=trainer.state.log_history,
    )


def padded(prompts, completions):
    """Ids and mask, prompts padded on the left and completions on the right, and their width."""
    left, right = max(map(len, prompts)), max(map(len, completions))
    ids = torch.zeros(len(prompts), left + right, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        place = slice(left - len(prompt), left + len(completion))
        ids[row, place] = torch.tensor([*prompt, *completion])
        mask[row, place] = 1
    return ids, mask, right


def is_sql(record):
    return record["id"].endswith("_sql")


def begins_a_statement(text, database):
    names = Names.of(read_schema(database)).as_bytes()
    masks = Masks(names, Vocabulary([]), in_answer=False)
    return masks.read(masks.binding.start, text.encode().decode("latin-1")) is not None


@pytest.mark.slow
def test_the_importance_ratio_of_each_drawn_token_is_one(outcome):
    assert len(outcome.ratios) > 40
    assert (outcome.ratios - 1).abs().max() < 1e-3
    assert (outcome.free_ratios - 1).abs().max() > 0.1  # what it would be without renormalising


@pytest.mark.slow
def test_rollouts_and_validation_name_only_what_their_databases_have(outcome):
    assert len(outcome.rollouts) == 8
    written = [(record["completion"], "shop") for record in outcome.rollouts if is_sql(record)]
    written += [(record["completion"], "music") for record in outcome.validated if is_sql(record)]
    assert len(written) == 5
    for text, name in written:
        assert begins_a_statement(text, outcome.folder / name / f"{name}.sqlite"), text
    assert all(math.isfinite(log["loss"]) for log in outcome.logs if "loss" in log)


@pytest.mark.slow
def test_a_run_does_not_resume_without_its_constraint(outcome):
    write_record(outcome.run.record, outcome.run.folder)
    arguments = outcome.run.record["arguments"] | {"constrain": "off"}
    with pytest.raises(InputError, match="constrain was schema, is off"):
        check_same_run(outcome.run.record | {"arguments": arguments}, outcome.run.folder)
    check_same_run(outcome.run.record, outcome.run.folder)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"use_vllm": True, "vllm_mode": "server"}, "vllm_mode server"),
        ({"use_vllm": True, "vllm_tensor_parallel_size": 2}, "tensor_parallel_size 1, got 2"),
    ],
)
def test_what_a_constraint_cannot_reach_is_refused(tmp_path, changes, error):
    training = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **changes)
    with pytest.raises(InputError, match=error):
        _check_constraint(training)


def test_a_row_whose_database_is_not_sqlite_is_refused(tmp_path):
    rows = [{"id": "q1", "prompt": [], "database": "postgresql://ann@localhost/shop"}]
    with pytest.raises(InputError, match="q1: --constrain schema needs SQLite"):
        check_dialect(rows, tmp_path / "rows.jsonl")


def test_log_probabilities_and_entropies_are_those_of_the_allowed_tokens_alone():
    torch.manual_seed(0)
    hidden = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(11, 4, requires_grad=True)
    labels = torch.tensor([2, 9, 0])
    sets = torch.tensor([[0b0000_0101, 0], [0xFF, 0b0000_0111]], dtype=torch.uint8)
    layer = _OutputLayer(AllowedTokens(sets, torch.tensor([0, 1, 0])))
    found = layer.apply(hidden, weight, None, labels, 0.5, 0, None, 1.0, ("log_probs", "entropy"))
    logits = hidden @ weight.T / 0.5
    expected = [
        logits[0, [0, 2]].log_softmax(0)[1],
        logits[1].log_softmax(0)[9],
        logits[2, [0, 2]].log_softmax(0)[0],
    ]
    torch.testing.assert_close(found[0], torch.stack(expected))
    two = logits[0, [0, 2]].softmax(0)
    torch.testing.assert_close(found[1][0], -(two * two.log()).sum())
    gradients = torch.autograd.grad(found[0].sum() + found[1].sum(), (hidden, weight))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert torch.autograd.grad(sum(expected), weight, retain_graph=True)[0][1].abs().sum() > 0


def test_a_batch_without_any_token_of_a_completion_teaches_nothing():
    layer = _OutputLayer(AllowedTokens(torch.zeros(0, 2, dtype=torch.uint8), torch.zeros(0).long()))
    hidden, weight = torch.zeros(0, 4, requires_grad=True), torch.zeros(11, 4)
    labels = torch.zeros(0, dtype=torch.long)
    found = layer.apply(hidden, weight, None, labels, 1.0, 0, None, 1.0, ("log_probs", "entropy"))
    assert found[0].shape == (0,)
    assert found[0].requires_grad
