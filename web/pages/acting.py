"""What every page that shows jobs of one kind does with them: stop, run again, do what mends one that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from core.client import Workbench
from core.errors import BadInput, NotFound, WorkbenchError
from core.values import ArtifactKind, ArtifactRef, Job
from web.mending import mend
from web.pages.frame import asked
from web.pages.playground import said


class ActsOnJobs:
    """Handlers that answer with [what the view shows, what is in the way]. The page has a `kind` that it shows."""

    kind = ""
    """Of the jobs that the page can show; any other is shown on its own page. "": the page shows each."""
    _client: Workbench

    def stop(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """End a job; what has come so far stays."""
        by = asked(self._client, event, request)
        return answer(lambda: by.client.cancel(by.job))

    def retry(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit the same again."""
        by = asked(self._client, event, request)
        return answer(lambda: by.client.retry(by.job))

    def pause(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Hold a job until it is resumed; what it has is saved first."""
        by = asked(self._client, event, request)
        return answer(lambda: by.client.pause(by.job))

    def resume(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Let a paused job go on."""
        by = asked(self._client, event, request)
        return answer(lambda: by.client.resume(by.job))

    def merge(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Merge the adapter that a job made into its base, and go there."""
        by = asked(self._client, event, request)
        return answer_merge(by.client, by.job, by.key)

    def clean(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Delete the checkpoints of a job, and show it as it is then."""
        by = asked(self._client, event, request)
        return answer_clean(by.client, by.job)

    def mend(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit what helps a job that failed."""
        by = asked(self._client, event, request)
        try:
            job = mend(by.client, by.job, by.key)
        except WorkbenchError as error:
            return [gr.skip(), said(error.message, error.hint)]
        return [{"job": job.id} if self._shows(job.kind) else {"go": f"/runs?job={job.id}"}, ""]

    def _shows(self, kind: str) -> bool:
        return self.kind in ("", kind)


def answer(do: Callable[[], Job]) -> list[Any]:
    """The job that was made or changed, or what is in the way."""
    try:
        return [{"job": do().id}, ""]
    except WorkbenchError as error:
        return [gr.skip(), said(error.message, error.hint)]


def answer_clean(client: Workbench, job: str) -> list[Any]:
    """The job without its checkpoints, and the bytes that are free now; or what is in the way."""
    try:
        return [{"job": job, "freed_bytes": client.delete_checkpoints(job)}, ""]
    except WorkbenchError as error:
        return [gr.skip(), said(error.message, error.hint)]


def answer_merge(client: Workbench, what: str, key: str | None) -> list[Any]:
    """Where the merge of an adapter, or of the one that a job made, is shown; or what is in the way."""
    try:
        return [{"go": f"/runs?job={merge_of(client, what, key).id}"}, ""]
    except WorkbenchError as error:
        return [gr.skip(), said(error.message, error.hint)]


def merge_of(client: Workbench, what: str, key: str | None) -> Job:
    """A job that merges an adapter into its base; `what` is its id, or that of the job that made it.

    Raises:
        BadInput: there is no adapter.
    """
    try:
        made: Sequence[ArtifactRef] = [client.artifact(what)[1]]
    except NotFound:
        made = client.show(what).artifacts
    adapter = next((one for one in made if one.kind is ArtifactKind.ADAPTER), None)
    if adapter is None:
        raise BadInput("There is no adapter here, so there is nothing to merge.")
    return client.submit("merge", {"adapter": adapter.id}, key=key)


def data_of(event: gr.EventData) -> Mapping[str, Any]:
    """What a script sent with its event; a stranger's words."""
    return event._data if isinstance(event._data, dict) else {}
