"""Score only labelled positions: prompt tokens carry no loss and need no logits.

TRL's trainers send the hidden states of labelled positions through the output layer, in tiles, on
GPUs with Triton. On other devices they send all positions, as shapes that change would make
compiled devices (Neuron) compile again. A CPU compiles nothing: there the logits of SmolLM2's
prompts took 43 % of a training step.
"""


def score_labelled_positions_only() -> None:
    """Make TRL's trainers do on the CPU what they do on GPUs. Loss and gradients stay the same."""
    from trl.trainer import utils

    vars(utils)["_use_triton"] = lambda device: True  # only what picks the positions looks here
