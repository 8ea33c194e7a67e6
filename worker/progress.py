"""How far the reading of a model is, as a job's progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.memory.formula import size
from core.values import Progress


def reading(model: str, say: Callable[[Progress], None]) -> Callable[[int, int], None]:
    """A listener for bytes read that says how far it is, at which rate, and how long it will take."""
    began_s = time.monotonic()

    def tell(read: int, total: int) -> None:
        passed_s = time.monotonic() - began_s
        rate = read / passed_s if passed_s else 0.0
        if read >= total:
            say(Progress(current=read, total=total, message=f"trying {model}"))
            return
        say(
            Progress(
                current=read,
                total=total,
                message=f"loading {model}: {size(read)} of {size(total)}, {size(rate)}/s",
                eta_s=(total - read) / rate if rate else None,
            )
        )

    return tell
