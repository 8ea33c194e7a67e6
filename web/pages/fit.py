"""Will it fit? On which card, at which precision and context: answered before anything is loaded.

The address is all its state. The one handler is given the fields of it, reckons in this process and answers with
fragments; nothing is submitted, kept or loaded.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from core.memory.compare import COMPARED
from core.memory.family import ALL_ATTENTIONS
from core.memory.known import names
from web import charts
from web.fit_answer import Answer, cards_there
from web.fit_ask import EXAMPLE, METHODS, MOST_PASTED, PASTED, PATH, answer, may_name_paths, read_asked
from web.fit_view import draw, render_cards, render_said
from web.pages.frame import acting_for, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

FORM = "wb.fit(element, props, watch, trigger, ['ask'])"


class Fit:
    """The page's components, and what happens when something is asked."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/fit")
        self.form = html(self._form(), FORM, value={"n": 0}, elem_id="fit")
        self.said = html("${value}", value="", elem_id="fit-said")
        self.chart = charts.component("Memory by part", 340, "fit-chart")
        self.cards = html("${value}", value="", elem_id="fit-cards")
        listen(self.form, "ask", self.ask, None, [self.form, self.said, self.chart, self.cards])

    def ask(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """What form, headline, chart and tables show for a question; a bad one is a sentence and nothing else."""
        data = event._data if isinstance(event._data, dict) else {}
        turn = {"n": str(data.get("n"))[:20]}  # a value of its own, or the form would not hear of the answer
        client = acting_for(self._client, request)
        try:
            asked = read_asked(data)
            here = asked.model if any(one.info.name == asked.model for one in client.models()) else ""
            found = Answer(asked.title, answer(asked, client.settings), cards_there(client.workers()), here)
            shown = [render_said(found), draw(found), render_cards(found)]
        except WorkbenchError as error:
            return [turn, said(error.message, error.hint), None, ""]
        return [turn | {"attentions": list(found.wanted.model.attentions)}, *shown]

    def _form(self) -> str:
        return fragment(
            "fit_form",
            names=names(),
            example=EXAMPLE,
            may_name_paths=may_name_paths(self._client.settings),
            pasted=PASTED,
            path=PATH,
            most_pasted=MOST_PASTED,
            precisions=COMPARED,
            attentions=ALL_ATTENTIONS,
            methods=METHODS,
        )
