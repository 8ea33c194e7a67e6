"""Finds out whether a model's requests can share one batch, by trying it on the model itself.

A list of architectures would be wrong with the next release of the library, silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.llm.batch import Batch, PaddedBatch, SeparateRows

SHORT, LONG = [5, 3, 8], [7, 2, 9, 4, 1, 6, 3]  # any tokens do
# of what the logits vary by; a wrong position or mask changes them by about all of it, rounding in bfloat16 by a few %
TOLERANCE_FLOAT32, TOLERANCE = 1e-3, 0.2


def kind_of_batch(model: PreTrainedModel) -> Callable[[PreTrainedModel], Batch[Any]]:
    """The kind of batch that is right for this model: a shared one where a trial of it gives the right numbers."""
    return PaddedBatch if _can_share(model) else SeparateRows


def _can_share(model: PreTrainedModel) -> bool:
    """Whether prompts that are read together or in pieces, and decoded together, give the plain model's logits."""
    try:
        shared_B_V = _shared_logits(model)
        short_1_V, long_1_V = _plain_logits(model, SHORT), _plain_logits(model, LONG)
    except Exception:  # whatever a model does not know of this: it is then decoded the way it does know
        return False
    tolerance = TOLERANCE_FLOAT32 if model.dtype == torch.float32 else TOLERANCE
    return _alike(shared_B_V.float(), torch.cat([short_1_V, long_1_V, long_1_V]).float(), tolerance)


def _shared_logits(model: PreTrainedModel) -> Tensor:
    """After the short prompt, the long one beside it, and the long one again in pieces."""
    batch = PaddedBatch(model)
    together, pieces = batch.begin(), batch.begin()
    batch.read(together, [SHORT[:-1], LONG[:-1]])
    batch.read(pieces, [LONG[:3]])
    batch.read(pieces, [LONG[3:-1]])
    batch.join(together)
    batch.join(pieces)
    return batch.step([SHORT[-1], LONG[-1], LONG[-1]])


def _plain_logits(model: PreTrainedModel, token_ids: list[int]) -> Tensor:
    logits_1_V: Tensor = model(input_ids=torch.tensor([token_ids], device=model.device), use_cache=False).logits[:, -1]
    return logits_1_V


def _alike(shared_B_V: Tensor, plain_B_V: Tensor, tolerance: float) -> bool:
    varies_B = (plain_B_V - plain_B_V.mean(-1, keepdim=True)).norm(dim=-1)
    differs_B = (shared_B_V - plain_B_V).norm(dim=-1)
    return bool((differs_B <= tolerance * varies_B).all())
