"""A viewer as the page's script is one: it applies messages and knows where it stands."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Page:
    """What `live.js` does with the messages of a job's socket."""

    text: str = ""
    attempt: int = 0
    at: int = 0
    parts: defaultdict[str, str] = field(default_factory=lambda: defaultdict(str))
    end: str = ""

    def hear(self, raw: str) -> None:
        """Take a message; one that does not fit where the page stands is a fault of the server."""
        message = json.loads(raw)
        match message["type"]:
            case "text":
                assert message["at"] in (0, self.at), "a gap, or text that was sent twice"
                assert message["at"] == 0 or message["attempt"] == self.attempt
                self.text = (self.text if message["at"] else "") + message["text"]
                self.attempt, self.at = message["attempt"], message["end"]
                assert self.at == len(self.text)
            case "parts":
                self.parts |= message["parts"]
            case end:
                self.end = end
