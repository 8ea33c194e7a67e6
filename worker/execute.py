"""Runs one claimed job in this process and writes how it ended. The same in a thread and in a child process."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable

from core.errors import Fenced, Unavailable, WorkbenchError
from core.jobs import Kinds
from core.jobs.kind import Result
from core.spec import parse_spec
from core.states import State
from core.store import Store
from core.values import Trouble
from worker.context import RunContext
from worker.hold import GIVEN_BACK, Hold, Stopped, StopReason

LOG = logging.getLogger(__name__)
PATIENCE_S = 60.0


def execute(hold: Hold, kinds: Kinds, context: RunContext, store: Store) -> None:
    """Run the job that is held. Never raises for what the job did; whatever it was is on the job.

    Raises:
        Unavailable: the database has not answered for a minute; the sweep will take the job back.
    """
    try:
        kind = kinds[hold.claim.kind]
        result = kind.run(parse_spec(kind.spec, hold.claim.spec), context)
    except Fenced as fenced:
        LOG.warning("%s", fenced)
    except Stopped:
        _end(hold, context, store, None)
    except Exception as error:  # this is the edge: what a job raised ends the job, never the worker
        trouble = _trouble(hold, error)
        kept, trace = context.take_kept(), traceback.format_exc()
        if hold.reason is not StopReason.LOST:
            _insist(lambda: store.fail(*hold.key, trouble, kept, trace))
    else:
        _end(hold, context, store, result)
    finally:
        context.close()


def _end(hold: Hold, context: RunContext, store: Store, result: Result | None) -> None:
    if hold.is_whole and result is not None and hold.reason in GIVEN_BACK:
        hold.reason = None
    kept, body = context.take_kept(), result.model_dump(mode="json") if result else None
    words = str(body.get("text", "")) if body else ""
    match hold.reason:
        case None:
            _insist(lambda: store.finish(*hold.key, State.SUCCEEDED, body, kept, words))
        case StopReason.CANCEL:
            _insist(lambda: store.finish(*hold.key, State.CANCELLED, body, kept, words))
        case StopReason.PAUSE | StopReason.YIELD | StopReason.DRAIN as reason:
            _insist(lambda: store.give_back(*hold.key, GIVEN_BACK[reason]))
        case StopReason.LOST:
            LOG.warning("job %s, attempt %s: declared lost; what it made is dropped", *hold.key)


def _trouble(hold: Hold, error: Exception) -> Trouble:
    if isinstance(error, WorkbenchError):
        return Trouble(code=error.code, message=error.message, hint=error.hint)
    LOG.exception("job %s, attempt %s", *hold.key)
    message = f"{type(error).__name__}: {error}"[:500]
    return Trouble(code="bug", message=message, hint="This is a bug: its traceback is on the job.")


def _insist(write: Callable[[], object]) -> None:
    """Write how a job ended, though the database be away for a while: a restart of it must cost no work."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            write()
        except Fenced as fenced:
            LOG.warning("%s", fenced)
        except Unavailable as error:
            if time.monotonic() > end:
                raise
            LOG.warning("%s", error.message)
            time.sleep(0.5)
            continue
        return
