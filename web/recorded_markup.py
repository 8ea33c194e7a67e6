"""Makes a fragment of a job read-only: what acts on a job or leads to one of this workbench goes out of it.

It works on HTML of our own, whose words of strangers are escaped already, and hands on unchanged what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

ACTS = frozenset({"data-do", "data-edit", "data-copy-link", "data-copy-turn", "data-send"})
FIELDS = frozenset({"form", "select", "textarea"})
KEPT_PATHS = frozenset({"/fit", "/learn", "/recorded"})


def read_only(html: str, places: Mapping[str, str]) -> str:
    """The fragment without its buttons and forms; a link to a job that was recorded too leads to its recording.

    Args:
        places: by id of a recorded job, where its recording is shown.
    """
    parser = _ReadOnly(places)
    parser.feed(html)
    parser.close()
    return "".join(parser.kept).strip()


class _ReadOnly(HTMLParser):
    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._places = places
        self._dropped = ""  # the tag that is left out with all that is in it, and how deep in such tags we are
        self._depth = 0
        self._is_link_open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped:
            self._depth += tag == self._dropped
            return
        given = dict(attrs)
        if tag in FIELDS or (tag == "button" and ACTS & given.keys()):
            self._drop(tag)
        elif tag == "a":
            self._link(given)
        elif not (tag == "input" and "data-slide" not in given):
            self._keep(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            self._depth -= tag == self._dropped
            self._dropped = self._dropped if self._depth else ""
        elif tag != "a" or self._is_link_open:
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._keep(data)

    def handle_entityref(self, name: str) -> None:
        self._keep(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._keep(f"&#{name};")

    def _keep(self, text: str) -> None:
        if not self._dropped:
            self.kept.append(text)

    def _drop(self, tag: str) -> None:
        self._dropped, self._depth = tag, 1

    def _link(self, given: Mapping[str, str | None]) -> None:
        where, look = given.get("href") or "", given.get("class") or ""
        to = self._leads_to(where)
        self._is_link_open = bool(to)
        if to:
            self._keep(f'<a href="{escape(to)}"' + (f' class="{escape(look)}">' if look else ">"))
        elif "q" in look.split():
            self._drop("a")

    def _leads_to(self, where: str) -> str:
        asked = urlsplit(where)
        if asked.scheme or asked.netloc:
            return ""
        if asked.path in KEPT_PATHS or (not asked.path and where.startswith("#")):
            return where
        return self._places.get(parse_qs(asked.query).get("job", [""])[0], "") if asked.path == "/runs" else ""
