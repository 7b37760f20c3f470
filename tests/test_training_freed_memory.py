"""What a training step on the CPU frees goes back to the system."""

import os
import sys

import pytest
import torch
from transformers import Trainer, TrainingArguments

from scripts.bench.processes import megabytes
from slmsql.training.freed_memory import return_freed_memory

PIECE = 50_000  # bytes; small enough that glibc keeps it on its heap


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_memory_between_pieces_in_use_is_given_back_after_a_step(tmp_path):
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
    trainer = Trainer(torch.nn.Linear(1, 1), arguments)
    return_freed_memory(trainer)
    pieces = [bytes([index % 256]) * PIECE for index in range(4_000)]
    in_use = pieces[::20]
    del pieces
    before = megabytes(os.getpid())

    trainer.callback_handler.on_step_end(arguments, trainer.state, trainer.control)

    assert len(in_use) == 200
    assert megabytes(os.getpid()) < before - 100
