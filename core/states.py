"""The state machine of a job: the only place that says which move is legal."""

from __future__ import annotations

from enum import StrEnum

from core.errors import IllegalMove


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether there is no way out of this state."""
        return not MOVES[self]


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.HELD, State.CANCELLED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUEUED, State.HELD}),
    State.HELD: frozenset(
        {State.QUEUED, State.RUNNING, State.CANCELLED}
    ),  # to running: a pipeline, which waits in no queue
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


def check_move(old: State, new: State) -> None:
    """Refuse a move that is not in the table.

    Raises:
        IllegalMove: `old` has no arrow to `new`.
    """
    if new not in MOVES[old]:
        raise IllegalMove(f"A job that is {old} cannot become {new}.")
