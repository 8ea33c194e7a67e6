"""How fast a model is by itself, without engine or queue: reading a prompt at once, making tokens in a batch, and how
fast its device copies memory, which bounds the second. Warmed up by whoever asks: each call is one repeat.
"""

from __future__ import annotations

import inspect
import time
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.comparison.prospects import PROMPT_TOKENS

COPY_BYTES, COPIES = 2**28, 7
KEPT_AS = ("past_key_values", "cache_params")  # keys and values; the state of a state-space model


def some_ids(model: PreTrainedModel, n: int) -> list[int]:
    """So many token ids that the model knows; which ones does not matter for bytes and seconds."""
    embeddings: Any = model.get_input_embeddings()
    n_words = int(embeddings.weight.shape[0])
    return [(37 * index) % (n_words - 20) + 10 for index in range(n)]


@torch.inference_mode()
def read_prompt(model: PreTrainedModel, n_tokens: int) -> None:
    """Read a prompt in one piece, cache and the logits of its last position included."""
    ids_1_T = torch.tensor([some_ids(model, n_tokens)], device=model.device)
    _forward(model, input_ids=ids_1_T, **_only_last(model))


def time_to_first_token_s(model: PreTrainedModel, n_tokens: int) -> float:
    """Seconds from a prompt of `n_tokens` until its next token is known."""
    ids_1_T = torch.tensor([some_ids(model, n_tokens)], device=model.device)
    with torch.inference_mode():
        synchronize(model)
        began_s = time.perf_counter()
        logits_1_V = _forward(model, input_ids=ids_1_T, **_only_last(model)).logits[:, -1]
        int(logits_1_V.argmax(-1)[0])  # brings the token to the host, as an answer needs it: kernels are queued
        return time.perf_counter() - began_s


def tokens_per_s(model: PreTrainedModel, batch: int, n_tokens: int) -> float:
    """Tokens of all rows a second, while each row gets `n_tokens` after its first one. Greedy, with a growing cache."""
    ids_B_T = torch.tensor([some_ids(model, PROMPT_TOKENS)] * batch, device=model.device)
    with torch.inference_mode():
        made = _forward(model, input_ids=ids_B_T, **_only_last(model))
        next_B_1 = _likeliest(made.logits)
        synchronize(model)
        began_s = time.perf_counter()
        for _ in range(n_tokens):
            made = _forward(model, input_ids=next_B_1, **_memory_of(made))
            next_B_1 = _likeliest(made.logits)
        synchronize(model)
        return batch * n_tokens / (time.perf_counter() - began_s)


def copy_bytes_per_s(device: str) -> float:
    """Bytes read and written a second while memory of the device is copied: the fastest of several, as a bound is."""
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return max(_copy(source, target) for _ in range(COPIES))


def _copy(source: Tensor, target: Tensor) -> float:
    on_card = source.device.type == "cuda"
    if on_card:
        torch.cuda.synchronize()
    began_s = time.perf_counter()
    target.copy_(source)
    if on_card:
        torch.cuda.synchronize()
    return 2 * source.nbytes / (time.perf_counter() - began_s)


def synchronize(model: PreTrainedModel) -> None:
    """Wait until the device has done what was queued; without this we would time the launch."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


def _likeliest(logits_B_T_V: Tensor) -> Tensor:
    return logits_B_T_V[:, -1].argmax(-1, keepdim=True)


def _only_last(model: PreTrainedModel) -> dict[str, int]:
    """Where a class can leave out the logits of all but the last position, they are left out."""
    return {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}


def _memory_of(made: Any) -> dict[str, Any]:
    """What a model keeps of the tokens so far, by the name under which it takes it."""
    return {name: kept for name in KEPT_AS if (kept := getattr(made, name, None)) is not None}


def _forward(model: PreTrainedModel, **given: Any) -> Any:
    called: Any = model
    return called(use_cache=True, **given)
