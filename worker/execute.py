"""Runs one claimed job in this process and writes how it ended. The same in a thread and in a child process."""

from __future__ import annotations

import logging
import traceback

from core.errors import Fenced, WorkbenchError
from core.jobs import Kinds
from core.jobs.kind import Result
from core.spec import parse_spec
from core.states import State
from core.store import Store
from core.values import Trouble
from worker.context import RunContext
from worker.hold import Hold, StopReason

LOG = logging.getLogger(__name__)


def execute(hold: Hold, kinds: Kinds, context: RunContext, store: Store) -> None:
    """Run the job that is held. Never raises for what the job did; whatever it was is on the job."""
    try:
        kind = kinds[hold.claim.kind]
        result = kind.run(parse_spec(kind.spec, hold.claim.spec), context)
        _end(hold, context, store, result)
    except Fenced as fenced:
        LOG.warning("%s", fenced)
    except Exception as error:  # this is the edge: what a job raised ends the job, never the worker
        _fail(hold, context, store, error)


def _end(hold: Hold, context: RunContext, store: Store, result: Result) -> None:
    kept, body = context.take_kept(), result.model_dump(mode="json")
    words = str(body.get("text", ""))
    match hold.reason:
        case None:
            store.finish(*hold.key, State.SUCCEEDED, body, kept, words)
        case StopReason.CANCEL:
            store.finish(*hold.key, State.CANCELLED, body, kept, words)
        case StopReason.DRAIN:
            store.give_back(*hold.key, "the worker stopped")
        case StopReason.LOST:
            LOG.warning("job %s, attempt %s: declared lost; what it made is dropped", *hold.key)


def _fail(hold: Hold, context: RunContext, store: Store, error: Exception) -> None:
    if hold.reason is StopReason.LOST:
        return
    if isinstance(error, WorkbenchError):
        trouble = Trouble(code=error.code, message=error.message, hint=error.hint)
    else:
        LOG.exception("job %s, attempt %s", *hold.key)
        trouble = Trouble(
            code="bug",
            message=f"{type(error).__name__}: {error}"[:500],
            hint="This is a bug: its traceback is on the job.",
        )
    try:
        store.fail(*hold.key, trouble, context.take_kept(), traceback.format_exc())
    except Fenced as fenced:
        LOG.warning("%s", fenced)
