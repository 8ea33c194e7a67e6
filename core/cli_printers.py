"""How jobs of a kind look on a terminal where the usual way will not do: the one registry of such printers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.values import Job


class Printer(Protocol):
    """What a kind says of its jobs on a terminal."""

    def result(self, job: Job, indent: int = 0) -> str | None:
        """What it has found by now; "" for nothing, None where it cannot be read: it is shown the usual way then.

        Args:
            indent: columns of the terminal that stand before each line.
        """

    def news(self, before: Job | None, now: Job) -> Iterator[str]:
        """A line for each thing that has come since `before`, for whoever waits."""


def printer_of(kind: str) -> Printer | None:
    """The printer of a kind; None for the usual way."""
    match kind:
        case "compare":
            from core.cli_compare import ComparisonPrinter

            return ComparisonPrinter()
        case "sft":
            from core.cli_train import TRAINING

            return TRAINING
        case "reward":
            from core.cli_reward import REWARD

            return REWARD
        case "rlhf":
            from core.cli_rlhf import RLHF

            return RLHF
        case "merge":
            from core.cli_train import MERGE

            return MERGE
        case "pipeline":
            from core.cli_pipeline import PIPELINE

            return PIPELINE
        case "preview":
            from core.cli_train import PREVIEW

            return PREVIEW
    return None
