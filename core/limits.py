"""How many unfinished jobs there may be: of one person, from one address, in all. The store holds to them.

What a pipeline submits by itself is not counted, but the pipeline is: its steps could else be in their own way.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that wait, run or are paused at once; 0 is no limit."""

    most_of_owner: int = 0
    most_of_source: int = 0
    most_in_all: int = 0
