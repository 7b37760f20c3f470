"""What the tests of both plans share: a small model, SmolLM2-135M, and what a step really held."""

SIZES = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}


def smollm2_configuration():
    from transformers import AutoConfig

    return AutoConfig.for_model(
        "llama",
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49_152,
        tie_word_embeddings=True,
    )


def peak_bytes(model, run):
    """What tensors really held at the worst moment of `run`, by torch's own tracker."""
    from torch.distributed._tools.mem_tracker import MemTracker

    tracker = MemTracker()
    tracker.track_external(model)
    with tracker:
        run()
    peaks = tracker.get_tracker_snapshot("peak").items()
    (parts,) = (parts for device, parts in peaks if str(device) == "cpu")
    return parts["Total"]
