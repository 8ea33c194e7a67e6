"""Takes out of a recording what belongs to one machine and its people: paths, hosts, users, process ids, secrets.

Who owned it, who asked for what and which worker ran it are facts by their place, and replaced there. Beside that each
string is searched, for a job's own words may hold such a thing as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

RECORDED = "recorded"
HOST = "host"
BY_PLACE: Mapping[str, str] = {"owner": "its owner", "by": "somebody", "worker": "a worker"}
"""Of what an event says, by the name of the fact."""
NOBODY = frozenset({"me", "root", RECORDED})
"""Names that say nothing of a person, and are words of a language besides."""
LEAST_NAME = 2
SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]+@"), ""),
    (re.compile(r"\b(?:hf|ghp|gho|github_pat|glpat|sk|xox[abp])[_-][\w-]{8,}"), "…"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), r"\1 …"),
    (re.compile(r"(?i)(?<![a-z0-9])(password|passwd|secret|api[_-]?key)(\s*[=:]\s*)[^\s,;\"']+"), r"\1\2…"),
    (re.compile(r"(?i)(?<![a-z0-9])(token)(=)[^\s,;\"']+"), r"\1\2…"),
)
PROCESS = re.compile(r"\b(pid|process)(\s*[=:#]?\s*)\d+\b", re.IGNORECASE)
PATH = re.compile(r"(?<![\w./:<~-])(?:~|file://)?(?:/[\w.+@~=-]+){2,}/?")
WINDOWS_PATH = re.compile(r"\b[A-Za-z]:\\(?:[^\\\s\"']+\\)*([^\\\s\"']*)")


class Private:
    """Replaces what is private in values as they come of JSON.

    Args:
        hosts: names of machines.
        users: names of people.
        places: folders whose paths go wherever they stand, spaces in them and all.
    """

    def __init__(self, hosts: Collection[str], users: Collection[str], places: Collection[str]) -> None:
        self._named = [
            *((_word(host), HOST) for host in _long(hosts)),
            *((_word(user), RECORDED) for user in _long(users) if user not in NOBODY),
        ]
        self._places = [_place(place) for place in sorted(places, key=len, reverse=True) if len(place) > 1]

    def event(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What an event says, without who did it and where."""
        return {name: BY_PLACE.get(name) or self.clean(value) for name, value in facts.items()}

    def clean(self, value: Any) -> Any:
        """The value with every string in it searched, those that name a field included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.clean(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(each) for each in value]
        return value

    def text(self, text: str) -> str:
        """A text in which a path is its last part, and each other private thing a word that says what it was."""
        for pattern, instead in SECRETS:
            text = pattern.sub(instead, text)
        for place in self._places:
            text = place.sub(_last_part, text)
        text = WINDOWS_PATH.sub(lambda found: found[1] or "…", PATH.sub(_last_part, text))
        text = PROCESS.sub(r"\1", text)
        for pattern, instead in self._named:
            text = pattern.sub(instead, text)
        return text


def _place(folder: str) -> re.Pattern[str]:
    """A folder and all below it, though its own name may hold spaces."""
    return re.compile(rf"(?<![\w./]){re.escape(folder.rstrip('/'))}(?![\w-])(?:/[\w.+@~=-]+)*/?")


def _last_part(found: re.Match[str]) -> str:
    return found[0].rstrip("/").rpartition("/")[2]


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def _long(names: Collection[str]) -> list[str]:
    """The longer before those that may be a part of them."""
    return sorted({name for name in names if len(name) >= LEAST_NAME}, key=len, reverse=True)
