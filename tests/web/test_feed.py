from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.states import State
from core.values import Job, Visibility
from tests.web.viewers import Page
from web.live.channel import Viewer
from web.live.feed import Feed

JOB_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def job(state: State, attempt: int, text: str | None = None) -> Job:
    return Job(
        id=JOB_ID, kind="generate", queue="interactive", state=state, owner="me", visibility=Visibility.TEAM,
        priority=0, name="n", note="", model="m", spec={}, parent=None, retry_of=None, attempt=attempt,
        is_cancel_requested=False, progress=None, result=None if text is None else {"text": text}, error=None,
        created_at=0, started_at=0, finished_at=None, worker=None,
    )  # fmt: skip


@dataclass
class Scene:
    """A job that is written, and pages that come and go; each page keeps what it has over a reconnect."""

    feed: Feed = field(default_factory=lambda: Feed(JOB_ID))
    seats: list[tuple[Page, Viewer | None]] = field(default_factory=list)
    attempt: int = 1
    written: str = ""
    n_entries: int = 0

    def write(self, text: str) -> None:
        self._entry(len(self.written), text)
        self.written += text

    def write_again(self) -> None:
        """After a loss of the stream the writer starts at 0."""
        self._entry(0, self.written)

    def another_attempt(self) -> None:
        self.attempt, self.written = self.attempt + 1, ""

    def late_writer(self) -> None:
        if self.attempt > 1:
            self._entry(0, "from a worker that was declared lost", attempt=self.attempt - 1)

    def come(self) -> None:
        self.seats.append((Page(), Viewer()))

    def go(self, n: int) -> None:
        if self.seats:
            page, _ = self.seats[n % len(self.seats)]
            self.seats[n % len(self.seats)] = (page, None)

    def come_back(self, n: int) -> None:
        if self.seats:
            page, _ = self.seats[n % len(self.seats)]
            self.seats[n % len(self.seats)] = (page, Viewer(attempt=page.attempt, position=page.at))

    def read(self, n: int) -> None:
        if self.seats:
            page, viewer = self.seats[n % len(self.seats)]
            for message in self.feed.news(viewer) if viewer else ():
                page.hear(message)

    def another_server(self) -> None:
        """The web process starts anew: nothing read yet, everybody comes back."""
        self.feed = Feed(JOB_ID)
        self.seats = [(page, Viewer(attempt=page.attempt, position=page.at)) for page, _ in self.seats]
        self._entry(0, self.written)

    def see_row(self) -> None:
        self.feed.is_stale = False
        self.feed.take_row(job(State.RUNNING, self.attempt), {False: {"now": f"{self.n_entries}"}})

    def finish(self) -> None:
        self.feed.is_stale = False
        self.feed.take_row(job(State.SUCCEEDED, self.attempt, self.written), {False: {"now": ""}})

    def _entry(self, offset: int, text: str, attempt: int | None = None) -> None:
        self.n_entries += 1
        self.feed.take_entry(str(self.n_entries), {"a": str(attempt or self.attempt), "o": str(offset), "t": text})


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.text(min_size=1, max_size=8)),
        st.tuples(st.sampled_from(["read", "go", "come_back"]), st.integers(0, 5)),
        st.tuples(
            st.sampled_from(["come", "write_again", "see_row", "another_attempt", "late_writer", "another_server"])
        ),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_slow_late_and_returning_viewers_all_get_exactly_the_text(story: list[tuple[Any, ...]]) -> None:
    scene = Scene()
    scene.come()
    for name, *arguments in story:
        getattr(scene, name)(*arguments)
    scene.finish()
    for n in range(len(scene.seats)):
        scene.come_back(n)
        scene.read(n)
    for page, viewer in scene.seats:
        assert page.text == scene.written
        assert page.end == "end"
        assert viewer is not None
        assert viewer.has_ended


def test_a_viewer_that_is_up_to_date_gets_nothing() -> None:
    feed, viewer = Feed(JOB_ID), Viewer()
    feed.take_entry("1", {"a": "1", "o": "0", "t": "Hello"})
    assert len(feed.news(viewer)) == 1
    assert feed.news(viewer) == []


def test_viewers_at_the_same_place_share_one_message() -> None:
    feed, one, other = Feed(JOB_ID), Viewer(), Viewer()
    feed.take_entry("1", {"a": "1", "o": "0", "t": "Hello"})
    assert feed.news(one)[0] is feed.news(other)[0]


def test_only_fragments_that_changed_are_sent() -> None:
    feed, page, viewer = Feed(JOB_ID), Page(), Viewer()
    feed.take_row(job(State.RUNNING, 1), {False: {"title": "a", "now": "b"}})
    for message in feed.news(viewer):
        page.hear(message)
    feed.take_row(job(State.RUNNING, 1), {False: {"title": "a", "now": "c"}})
    assert feed.news(viewer) == ['{"type":"parts","parts":{"now":"c"}}']


def test_what_may_be_changed_is_shown_to_those_alone_who_may() -> None:
    feed = Feed(JOB_ID)
    feed.take_row(job(State.RUNNING, 1), {False: {"title": "look"}, True: {"title": "stop"}})
    assert "look" in feed.news(Viewer())[-1]
    assert "stop" in feed.news(Viewer(may_change=True))[-1]


def test_text_that_a_failed_job_had_written_stays() -> None:
    feed, page, viewer = Feed(JOB_ID), Page(), Viewer()
    feed.take_entry("1", {"a": "1", "o": "0", "t": "Hello"})
    feed.is_stale = False
    feed.take_row(job(State.FAILED, 1), {False: {}})
    for message in feed.news(viewer):
        page.hear(message)
    assert (page.text, page.end) == ("Hello", "end")


def test_viewers_of_a_job_that_is_deleted_hear_that_it_is_gone() -> None:
    feed, viewer = Feed(JOB_ID), Viewer()
    feed.is_stale = False
    feed.take_absence()
    assert feed.news(viewer)[-1] == '{"type":"gone"}'
