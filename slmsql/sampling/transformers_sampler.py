"""Samples with transformers in this process: runs anywhere; for small models and tests."""

import time
from collections import deque
from typing import Any

from slmsql.errors import InputError
from slmsql.grammar.constraint import ConstrainedText, Constraints
from slmsql.prompt.generation import plain_config
from slmsql.sampling.constraining import ConstrainedRows, Unconstrained
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.prompt_ids import prompt_tokens
from slmsql.sampling.sampler import Completed, Request, Sample, SamplingParams


class TransformersSampler:
    """Completes one request at a time as one batch.

    Each sample draws from a random generator of its own, so that its seed decides it and not the
    size of the batch, which is that of a round.
    """

    def __init__(self, options: SamplerOptions) -> None:
        self._waiting: deque[Request] = deque()
        self._tokenizer, self._model = _load(options)
        self._ends = _end_tokens(self._tokenizer, self._model.generation_config)
        self._context = options.max_model_len or self._model.config.max_position_embeddings
        self._constraints: Constraints | None = None
        self._unconstrained = Unconstrained()

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def completed(self) -> list[Completed]:
        return [self._complete(self._waiting.popleft())] if self._waiting else []

    def close(self) -> None:
        self._unconstrained.report()
        del self._model

    def _complete(self, request: Request) -> Completed:
        import torch

        ids = prompt_tokens(self._tokenizer, request.messages)
        if len(ids) >= self._context:
            text = f"the prompt has {len(ids)} tokens, the model takes {self._context - 1}"
            return Completed(request.key, (), len(ids), error=text)
        start = time.monotonic()
        prompts = torch.tensor([ids] * request.n, device=self._model.device)
        with torch.inference_mode():
            output = self._model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                tokenizer=self._tokenizer,
                return_dict_in_generate=True,
                output_logits=request.sampling.logprobs,
                logits_processor=self._processors(request, len(ids)),
                **self._settings(request, self._context - len(ids)),
            )
        rows = output.sequences[:, len(ids) :]
        logprobs = _logprobs(output.logits, rows) if request.sampling.logprobs else None
        samples = [
            self._sample(row.tolist(), request.sampling, None if logprobs is None else logprobs[i])
            for i, row in enumerate(rows)
        ]
        return Completed(request.key, samples, len(ids), time.monotonic() - start)

    def _settings(self, request: Request, room: int) -> dict[str, Any]:
        sampling = request.sampling
        settings: dict[str, Any] = {
            "max_new_tokens": min(sampling.max_tokens, room),
            "do_sample": False,  # `_drawing` samples, with a generator for each row
            "pad_token_id": self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        }
        if sampling.stop:
            settings["stop_strings"] = list(sampling.stop)
        return settings

    def _processors(self, request: Request, prompt_length: int) -> Any:
        """What blocks tokens, and what draws one of the others."""
        from transformers import LogitsProcessorList

        processors = LogitsProcessorList()
        if self._unconstrained.schema_of(request) is not None:
            if self._constraints is None:
                width = self._model.get_output_embeddings().weight.shape[0]
                self._constraints = Constraints(self._tokenizer, width, sorted(self._ends))
            processors.append(ConstrainedRows(self._texts(self._constraints, request)))
        if request.sampling.temperature > 0:
            processors += _drawing(request)
        return processors

    def _texts(self, constraints: Constraints, request: Request) -> list[ConstrainedText]:
        """The completions of a request."""
        assert request.database is not None
        assert request.sampling.constrain is not None
        database, layout = request.database, request.sampling.constrain
        return [constraints.begin(database, layout) for _ in range(request.n)]

    def _sample(self, ids: list[int], sampling: SamplingParams, logprobs: Any) -> Sample:
        length = next((i for i, token in enumerate(ids, start=1) if token in self._ends), 0)
        ended = length > 0
        if ended:  # what follows is padding to the longest row of the batch
            ids = ids[:length]
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        for stop in sampling.stop:  # a few tokens may follow the stop text
            head, stop_text, _ = text.partition(stop)
            text = head + stop_text
            ended = ended or bool(stop_text)
        mean = None if logprobs is None or not ids else float(logprobs[: len(ids)].mean())
        return Sample(text, len(ids), mean, "stop" if ended else "length")


def _end_tokens(tokenizer: Any, config: Any) -> set[int]:
    """The tokens that end a completion; chat models often have several."""
    ends = config.eos_token_id
    return {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}


def _drawing(request: Request) -> Any:
    """Processors after which the largest logit is a sample: Gumbel's noise is added to each."""
    import torch
    from transformers import (
        LogitsProcessor,
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopPLogitsWarper,
    )

    class GumbelNoise(LogitsProcessor):
        """Adds noise to each row from the row's own generator."""

        def __init__(self) -> None:
            seeds = range(request.seed, request.seed + request.n)
            self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            waits = [
                torch.empty(scores.shape[1]).exponential_(generator=generator)
                for generator in self._generators
            ]
            return scores.float() - torch.stack(waits).log().to(scores.device)

    sampling = request.sampling
    processors = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    processors.append(GumbelNoise())
    return processors


def _logprobs(logits: Any, rows: Any) -> Any:
    """Log-probability of each token before temperature, as vLLM reports it: (rows, tokens)."""
    import torch

    steps = torch.stack(logits, dim=1).float().log_softmax(-1)
    return steps.gather(-1, rows.unsqueeze(-1)).squeeze(-1)


def _load(options: SamplerOptions) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(options.model)
        model: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype=options.dtype)
    except (ValueError, OSError) as error:
        raise InputError(f"cannot load {options.model}: {' '.join(str(error).split())}") from error
    model.generation_config = plain_config(model.generation_config)
    if options.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, options.adapter)
    return tokenizer, model.to(_device()).eval()


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
