"""The arithmetic of a merge, for one weight at a time: computed in float32, whatever base and adapter are kept in.

W' = W + s·B·A (Hu et al. 2021, arXiv 2106.09685), s = alpha / r, or alpha / √r for rsLoRA (Kalajdzievski 2023, arXiv
2312.03732); DoRA scales each row of that to the length that was learned (Liu et al. 2024, arXiv 2402.09353).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import NotANumber


@dataclass(frozen=True)
class Factors:
    """The numbers of one change: (r, inputs), (outputs, r), and for DoRA (outputs,)."""

    a_R_I: Tensor  # noqa: N815
    b_O_R: Tensor  # noqa: N815
    scale: float
    magnitude_O: Tensor | None = None  # noqa: N815


def merged_weight(weight: Tensor, factors: Factors, *, is_transposed: bool) -> Tensor:
    """The weight with the change in it, in float32.

    Args:
        weight: (outputs, inputs), or (inputs, outputs) where `is_transposed`; it stays as it is.
    """
    merged = weight.to(torch.float32, copy=True)
    a_R_I, b_O_R = factors.a_R_I.float(), factors.b_O_R.float()
    if a_R_I.any() and b_O_R.any():  # where there is nothing to add, -0 + 0 would make another bit pattern
        merged.addmm_(*((a_R_I.T, b_O_R.T) if is_transposed else (b_O_R, a_R_I)), alpha=factors.scale)
    if factors.magnitude_O is not None:
        along = 0 if is_transposed else 1  # inputs: one length for each output
        lengths = torch.linalg.vector_norm(merged, dim=along, keepdim=True)
        merged.mul_(factors.magnitude_O.float().view(lengths.shape) / lengths)
    return merged


def rounded(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in another dtype, rounded once. What is NaN or infinite in it stays so.

    Raises:
        NotANumber: the dtype is too narrow for its numbers.
    """
    if not tensor.is_floating_point() or tensor.dtype == dtype:
        return tensor
    found = tensor.to(dtype)
    if not _is_finite(found) and _is_finite(tensor):
        raise NotANumber(
            f"{name} has numbers up to {float(tensor.abs().max()):,.0f}, more than {str(dtype).rpartition('.')[2]} "
            "holds.",
            "Merge in bfloat16 or float32.",
        )
    return found


def check_finite(name: str, merged: Tensor) -> None:
    """Refuse what is no number.

    Raises:
        NotANumber: an adapter that was trained into nothing makes NaN or infinity of the weight.
    """
    if not _is_finite(merged):
        raise NotANumber(
            f"With the adapter {name} would hold NaN or infinity.", "Its training diverged: take an earlier checkpoint."
        )


def _is_finite(tensor: Tensor) -> bool:
    """By its extremes, which NaN is among where there is any: `isfinite` would make three more tensors of that size."""
    return not tensor.numel() or all(bool(one.isfinite()) for one in tensor.aminmax())
