"""One job that is watched: the text that has come so far, and the fragments of its row.

The text is addressed by (attempt, characters). A viewer that comes back says where it stood and goes on from there; a
message that begins at 0 replaces what was shown. The row, never a message on the stream, says that the job has ended.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.states import State
from core.stream import FROM_THE_START, Transcript
from core.values import Job, Visibility
from web.live.channel import Channel, Fragments, Viewer

END, GONE = '{"type":"end"}', '{"type":"gone"}'


class Feed(Channel):
    """What the viewers of one job share."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id
        self.last_id = FROM_THE_START
        self.attempt = 0
        self.text = ""
        self.is_waiting = self.is_running = self.is_stopping = False
        self.is_over = False
        self.is_gone = False
        self.is_private = False
        self._epoch = 0  # rises when text that was shown turned out to be other text
        self._transcript = Transcript()
        self._fragments = {False: Fragments(), True: Fragments()}

    def take_entry(self, entry_id: str, entry: Mapping[str, str]) -> None:
        """Take what came over the stream."""
        self.last_id = entry_id
        if "t" not in entry:
            self.is_stale = True
            return
        self._transcript.apply(entry)
        if not self.is_over:
            self._show(self._transcript.attempt, self._transcript.text)

    def take_row(self, job: Job, fragments: Mapping[bool, Mapping[str, str]]) -> None:
        """Take the row as it is now, rendered for those who may change the job and for those who may not."""
        self.is_waiting, self.is_running = job.state is State.QUEUED, job.state is State.RUNNING
        self.is_stopping = job.is_cancel_requested
        if self.is_private != (job.visibility is Visibility.PRIVATE):
            self.is_private = not self.is_private
            self.changed()
        whole = (job.result or {}).get("text")
        if job.state.is_finished and whole is not None:
            self._show(max(job.attempt, self.attempt), str(whole))
        elif job.attempt > self.attempt:
            self._show(job.attempt, "")
        for may, parts in fragments.items():
            if self._fragments[may].update(parts):
                self.changed()
        if job.state.is_finished:
            self.is_over = True
            self.changed()

    def take_absence(self) -> None:
        """The job was deleted while it was watched."""
        self.is_gone = self.is_over = True
        self.changed()

    def news(self, viewer: Viewer) -> list[str]:
        """The messages that bring `viewer` up to date: text, fragments, and that it is over.

        Who may see a private job may change it too: to all others it is gone as soon as it has become private.
        """
        if self.is_private and not viewer.may_change:
            was_told, viewer.has_ended = viewer.has_ended, True
            return [] if was_told else [GONE]
        messages = [*self._text_news(viewer), *self._fragment_news(viewer)]
        if self.is_over and not self.is_stale and not viewer.has_ended:
            viewer.has_ended = True
            messages.append(GONE if self.is_gone else END)
        return messages

    def _show(self, attempt: int, text: str) -> None:
        if attempt < self.attempt or (attempt, text) == (self.attempt, self.text):
            return
        if attempt == self.attempt and not text.startswith(self.text):
            self._epoch += 1
        self.attempt, self.text = attempt, text
        self.changed()

    def _text_news(self, viewer: Viewer) -> list[str]:
        if viewer.attempt > self.attempt and not self.is_over:
            return []  # it comes from a place that this feed has not read up to yet
        if viewer.attempt != self.attempt or viewer.epoch != self._epoch or self._is_beyond_the_end(viewer):
            viewer.attempt, viewer.epoch, viewer.position = self.attempt, self._epoch, 0
        elif viewer.position >= len(self.text):
            return []
        start, viewer.position = viewer.position, len(self.text)
        message = {"type": "text", "attempt": self.attempt, "at": start, "end": len(self.text)}
        return [self.encoded(("text", start), message | {"text": self.text[start:]})]

    def _is_beyond_the_end(self, viewer: Viewer) -> bool:
        return self.is_over and viewer.position > len(self.text)

    def _fragment_news(self, viewer: Viewer) -> list[str]:
        held = self._fragments[viewer.may_change]
        if viewer.version == held.version:
            return []
        seen, viewer.version = viewer.version, held.version
        message = {"type": "parts", "parts": held.since(seen)}
        return [self.encoded(("parts", viewer.may_change, seen), message)]
