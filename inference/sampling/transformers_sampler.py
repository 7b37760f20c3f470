"""Samples with transformers in this process: runs anywhere; for small models and tests."""

import time
from collections import deque
from typing import Any

from inference.sampling.options import SamplerOptions
from inference.sampling.prompt_ids import prompt_tokens
from inference.sampling.sampler import Completed, Request, Sample, SamplingParams
from slmsql.errors import InputError
from slmsql.prompt.generation import plain_config


class TransformersSampler:
    """Completes one request at a time as one batch, so that only its seed decides the samples."""

    def __init__(self, options: SamplerOptions) -> None:
        self._waiting: deque[Request] = deque()
        self._tokenizer, self._model = _load(options)
        self._context = options.max_model_len or self._model.config.max_position_embeddings

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def completed(self) -> list[Completed]:
        return [self._complete(self._waiting.popleft())] if self._waiting else []

    def close(self) -> None:
        del self._model

    def _complete(self, request: Request) -> Completed:
        import torch
        from transformers import set_seed

        ids = prompt_tokens(self._tokenizer, request.messages)
        if len(ids) >= self._context:
            text = f"the prompt has {len(ids)} tokens, the model takes {self._context - 1}"
            return Completed(request.key, (), len(ids), error=text)
        start = time.monotonic()
        set_seed(request.seed)
        with torch.inference_mode():
            output = self._model.generate(
                torch.tensor([ids], device=self._model.device),
                tokenizer=self._tokenizer,
                return_dict_in_generate=True,
                output_logits=request.sampling.logprobs,
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
        is_sampled = sampling.temperature > 0
        settings: dict[str, Any] = {
            "max_new_tokens": min(sampling.max_tokens, room),
            "num_return_sequences": request.n,
            "do_sample": is_sampled,
            "pad_token_id": self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        }
        if sampling.stop:
            settings["stop_strings"] = list(sampling.stop)
        if is_sampled:
            settings |= {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": 0,  # transformers takes 50 unless told otherwise
            }
        return settings

    def _sample(self, ids: list[int], sampling: SamplingParams, logprobs: Any) -> Sample:
        ids = self._until_end(ids)
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        for stop in sampling.stop:  # a few tokens may follow the stop text
            head, stop_text, _ = text.partition(stop)
            text = head + stop_text
        mean = None if logprobs is None or not ids else float(logprobs[: len(ids)].mean())
        return Sample(text, len(ids), mean)

    def _until_end(self, ids: list[int]) -> list[int]:
        """The ids without the padding to the longest row of the batch."""
        end = self._tokenizer.eos_token_id
        return ids[: ids.index(end) + 1] if end in ids else ids


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
