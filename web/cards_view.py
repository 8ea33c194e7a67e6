"""The Cards page as fragments: each card with who holds its memory and what runs on it, and what waits, in order."""

from __future__ import annotations

from core.access import Who
from core.client import Workbench
from core.overview import CardNow, Overview, about, start_words
from core.store.workers import WorkerInfo
from web.headlines import short
from web.models_look import holding_ref, ref
from web.models_view import TONES
from web.templates import fragment


def render_cards(seen: Overview, who: Who) -> str:
    """A section for each card; without what only an administrator may do where `who` is none."""
    return fragment(
        "cards_cards",
        cards=seen.cards,
        homeless=seen.homeless,
        may_manage=who.is_administrator,
        ref=holding_ref,
        worker_ref=worker_ref,
        n_running=n_running,
        short=short,
        n_tones=TONES,
    )


def render_lines(seen: Overview) -> str:
    """What waits, and how far such sayings were off before."""
    return fragment(
        "cards_lines", lines=seen.lines, start_words=start_words, range_of=range_of, error=error_words(seen)
    )


def error_words(seen: Overview) -> str:
    """By how much expected starts were off; "" where none was said yet."""
    if seen.median_error_s is None:
        return ""
    jobs = f"{seen.n_sayings:,} job{'' if seen.n_sayings == 1 else 's'}"
    return f"Over the last {jobs} of which one was shown, half were off by {about(seen.median_error_s)} or less."


def range_of(low_s: float | None, high_s: float | None) -> str:
    """From when to when, where the runs that it is estimated from differ; "" where they do not."""
    if low_s is None or high_s is None or about(low_s) == about(high_s):
        return ""
    return f"Between {about(low_s)} and {about(high_s)}, by the middle half of those runs"


def n_running(card: CardNow, worker: WorkerInfo) -> int:
    """How many jobs run on a worker."""
    return sum(one.worker == worker.id for one in card.running)


def worker_ref(worker: WorkerInfo) -> str:
    """The name of a worker's row."""
    return ref("worker", worker.id)


def find_worker(client: Workbench, wanted: str) -> str:
    """The id of a row's worker; the words themselves where there is no such row, which is refused then."""
    return next((one.id for one in client.workers() if worker_ref(one) == wanted), wanted)
