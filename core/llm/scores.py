"""How a model predicted each token of a text: what scoring gives, as it goes from one process to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.llm.statistics import Floats

FILE_NAME = "scores.npz"


@dataclass(frozen=True)
class Scores:
    """A figure for each scored token, (windows, tokens); the first token of a window is not among them."""

    tokens_sha256: str
    """Of what was scored (`Windows.tokens_sha256`): only scores of the same tokens are paired."""
    nll_W_T: Floats  # noqa: N815
    """Minus the logarithm of the probability that the true token was given, in nats."""
    top1_W_T: NDArray[np.int64]  # noqa: N815
    """The likeliest token."""
    kl_W_T: Floats | None = None  # noqa: N815
    """KL(reference || this) in nats, where it was scored against a reference."""

    @property
    def probability_W_T(self) -> Floats:
        """Of the true token."""
        return np.exp(-self.nll_W_T)

    def save(self, folder: Path) -> None:
        """Keep them in a folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{FILE_NAME}.part"
        figures = {"nll": self.nll_W_T, "top1": self.top1_W_T}
        figures |= {} if self.kl_W_T is None else {"kl": self.kl_W_T}
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, tokens_sha256=np.array(self.tokens_sha256), **figures)
        part.replace(folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Those kept in a folder."""
        with np.load(folder / FILE_NAME, allow_pickle=False) as kept:
            kl_W_T = kept.get("kl")
            return cls(str(kept["tokens_sha256"]), kept["nll"], kept["top1"], kl_W_T)
