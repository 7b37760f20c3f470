"""Samples with vLLM in this process: the fastest, and the default where vLLM is installed."""

import os
import time
from typing import Any

from slmsql.errors import InputError
from slmsql.sampling.constraining import Unconstrained
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.prompt_ids import prompt_tokens
from slmsql.sampling.sampler import Completed, Request, Sample
from slmsql.training.quick_start import QUICK_START

SEEDED = "seeded"  # of `extra_args`: seed, temperature, top_p
STEP_TIME = 0.05  # seconds that `completed` works before new requests may join


class VllmSampler:
    """Drives vLLM's engine step by step, so that each request returns as soon as it is complete."""

    def __init__(self, options: SamplerOptions) -> None:
        _set_environment(options)
        from vllm import LLM

        self._rejected: list[Completed] = []
        self._outputs: dict[str, list[Any]] = {}
        """Of each request one for each sample; None while it is under way."""
        self._unconstrained = Unconstrained()
        self._lora = _lora(options)
        try:
            self.llm: Any = LLM(**_engine_arguments(options))
        except (ValueError, RuntimeError, OSError) as error:  # all mean that it cannot be loaded
            raise InputError(f"vLLM cannot load {options.model}: {error}") from error
        self._engine = self.llm.llm_engine
        self._tokenizer = self.llm.get_tokenizer()
        self._context: int = self._engine.model_config.max_model_len

    def submit(self, request: Request) -> None:
        ids = prompt_tokens(self._tokenizer, request.messages)
        if len(ids) >= self._context:
            text = f"the prompt has {len(ids)} tokens, the model takes {self._context - 1}"
            self._rejected.append(Completed(request.key, (), len(ids), error=text))
            return
        is_constrained = self._unconstrained.schema_of(request) is not None
        self._outputs[request.key] = [None] * request.n
        for index in range(request.n):
            self._engine.add_request(
                f"{index} {request.key}",
                {"prompt_token_ids": ids},
                vllm_parameters(request, index, is_constrained),
                lora_request=self._lora,
            )

    def completed(self) -> list[Completed]:
        done, self._rejected = self._rejected, []
        until = time.monotonic() + STEP_TIME
        while not done and self._engine.has_unfinished_requests() and time.monotonic() < until:
            ended = [self._take(output) for output in self._engine.step() if output.finished]
            done = [request for request in ended if request]
        return done

    def close(self) -> None:
        """Drop the engine; when its process ends, all GPU memory is free."""
        self._unconstrained.report()
        del self._engine
        del self.llm

    def _take(self, output: Any) -> Completed | None:
        """The request whose last sample this is."""
        index, key = output.request_id.split(" ", 1)
        outputs = self._outputs[key]
        outputs[int(index)] = output
        return None if None in outputs else _completed(key, self._outputs.pop(key))


def _completed(key: str, outputs: list[Any]) -> Completed:
    times = [output.metrics for output in outputs]
    # Without the wait in the queue.
    seconds = max(t.last_token_ts for t in times) - min(t.scheduled_ts for t in times)
    samples = [_sample(output.outputs[0]) for output in outputs]
    return Completed(key, samples, len(outputs[0].prompt_token_ids), seconds)


def _sample(output: Any) -> Sample:
    tokens = len(output.token_ids)
    logprob = None if output.cumulative_logprob is None else output.cumulative_logprob / tokens
    return Sample(output.text, tokens, logprob, output.finish_reason or "")


def vllm_parameters(request: Request, index: int, is_constrained: bool = False) -> Any:
    """The sampling parameters for vLLM of one of a request's samples.

    Args:
        index: which sample; it decides the seed.
        is_constrained: whether `SchemaProcessor` constrains it.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    sampling = request.sampling
    arguments: dict[str, Any] = {}
    if sampling.temperature:
        arguments[SEEDED] = (request.seed + index, sampling.temperature, sampling.top_p)
    if is_constrained:
        arguments |= {"database": str(request.database), "layout": str(sampling.constrain)}
    return SamplingParams(
        temperature=0.0,  # `SeededSampling` leaves one token to choose from
        max_tokens=sampling.max_tokens,
        stop=list(sampling.stop),
        include_stop_str_in_output=True,
        logprobs=0 if sampling.logprobs else None,  # 0: only the sampled token's
        output_kind=RequestOutputKind.FINAL_ONLY,
        extra_args=arguments or None,
    )


def _set_environment(options: SamplerOptions) -> None:
    """Set variables that vLLM reads at import, unless the user has set them."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # Otherwise torch.cuda.is_available() initialises CUDA, which a forked engine cannot use then.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    if not _has_gpu():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    if options.eager or not _has_gpu():
        # An engine in a process of its own imports everything again: 40 s on a CPU.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def _engine_arguments(options: SamplerOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": options.model,
        "dtype": options.dtype,
        "tensor_parallel_size": options.tensor_parallel,
        "seed": 0,
        "disable_log_stats": False,  # they have the time that a request waits in the queue
        "use_tqdm_on_load": False,
        # The second chooses among what the first leaves.
        "logits_processors": [
            "slmsql.sampling.vllm_constraint:SchemaProcessor",
            "slmsql.sampling.vllm_seeds:SeededSampling",
        ],
    }
    if options.max_model_len:
        arguments["max_model_len"] = options.max_model_len
    if options.quantization:
        arguments["quantization"] = options.quantization
    if options.adapter:
        arguments |= {"enable_lora": True, "max_lora_rank": options.lora_rank}
    if _has_gpu():
        arguments["gpu_memory_utilization"] = options.gpu_memory
        return arguments | ({"compilation_config": QUICK_START} if options.eager else {})
    if options.dtype == "auto":  # CPUs emulate bfloat16, which changes the answers
        arguments["dtype"] = "float32"
    return arguments | {"enforce_eager": True}


def _lora(options: SamplerOptions) -> Any:
    if not options.adapter:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, options.adapter)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
