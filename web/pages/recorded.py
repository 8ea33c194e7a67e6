"""Recorded runs, `/recorded`: real jobs that ran elsewhere, as files; `/recorded?run=NAME&step=STEP` replays one.

The browser fetches a score and plays it by its own clock: nothing here runs, and nothing is asked of the store.
"""

from __future__ import annotations

from web.pages.frame import bar, html
from web.templates import fragment

PATH = "/recorded"


class Recorded:
    """The page's components. It has no handlers: there is nothing that one could do to what has ended elsewhere."""

    def __init__(self) -> None:
        bar(PATH)
        self.view = html(fragment("recorded_layout"), "wb.recorded(element)", elem_id="recorded")
