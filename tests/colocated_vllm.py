"""Real GRPO trainings with a real vLLM in the trainer's process, on a CPU.

On a CPU vLLM packs its weights for oneDNN and cannot load others then; without oneDNN it can. One
engine serves all trainings, because its start takes most of the time. Run this in a process of its
own: vLLM keeps threads, memory and torch's process group.
"""

import os
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "OMP_NUM_THREADS": "1",
}
SETTINGS = {
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_max_model_length": 1024,
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 16,
    "max_steps": 2,
    "logging_steps": 1,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "workers": 1,
    "resume": False,
}


class Engine:
    """Starts vLLM at the first training and lends it to the others."""

    def __init__(self):
        os.environ.update(ENVIRONMENT)
        import vllm
        import vllm._custom_ops

        vllm._custom_ops._supports_onednn = False
        self._start = vllm.LLM
        self.llm = None

    def __call__(self, **arguments):
        if self.llm is None:
            from rl.constraint import PROCESSOR

            ours = {"logits_processors": [PROCESSOR], "dtype": "float32"}  # the trainer's precision
            self.llm = self._start(**{**ours, **arguments})
        return self.llm

    @property
    def model(self):
        return self.llm.llm_engine.model_executor.driver_worker.model_runner.model


@contextmanager
def trainer_with(engine, folder, **changes):
    """A trainer of `rl/grpo.py` whose vLLM is the engine."""
    from transformers import AutoTokenizer

    from rl.grpo import _make_trainer, check_run
    from rl.options import Options
    from slmsql.cli.config import as_arguments, parse_with_trainer

    settings = {**SETTINGS, "output_dir": str(Path(folder) / "out"), **changes}
    options, (training, model) = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=None, argv=as_arguments(settings)
    )
    run = check_run(options, training, model)
    tokenizer = AutoTokenizer.from_pretrained(settings["model_name_or_path"])
    with patch("trl.generation.vllm_generation.LLM", engine):
        trainer = _make_trainer(run, tokenizer)
    # A model with random weights writes no SQL: rewards that differ are made here.
    trainer.reward_funcs = [_length] * len(trainer.reward_funcs)
    try:
        yield trainer
    finally:
        run.judge.close()


def _length(completions, **_):
    return [float(len(completion[0]["content"])) for completion in completions]
