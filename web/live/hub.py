"""The heart of the live views: who watches what, what has to be read again, and who is woken when.

One task wakes viewers, a slice at a time, so that a thousand of them never hold a page request up; reads of the store
happen in threads, once for all viewers of a thing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from core.client import Workbench
from core.errors import NotFound, WorkbenchError
from core.store.claims import Pulse
from core.values import Job
from web import job_view
from web.live.channel import Channel, Viewer
from web.live.curves import Curves
from web.live.feed import Feed
from web.live.looked import Looked
from web.live.reader import Entry, Reader

TICK_S = 0.05  # a viewer gets at most one batch of messages in this time
TICK_PER_VIEWER_S = 0.00005  # more than a thousand viewers get theirs less often
SLICE = 50
READ_THREADS = 2  # more only take turns at the interpreter, and keep the loop from its own
READ_AGAIN_S = 0.03
READ_AGAIN_PER_FEED_S = 0.001
LIST_AGAIN_S = 0.5
POLL_S = {True: 3.0, False: 1.0}  # by whether the broker answers: a ring may have been lost
T = TypeVar("T")
AnyChannel = TypeVar("AnyChannel", bound=Channel)
log = logging.getLogger(__name__)


class Hub:
    """Every channel that somebody watches in this process."""

    def __init__(self, client: Workbench) -> None:
        self.client = client
        self.is_live = False
        self._feeds: dict[str, Feed] = {}
        self._looked: dict[Hashable, Looked] = {}
        self._reader = Reader(client.settings, client.keys.all_jobs, self._watched, self._take, self._turned)
        self._curves = Curves()
        self._news = asyncio.Event()
        self._polled_at = float("-inf")
        self._n_woken = 0
        self._threads = ThreadPoolExecutor(READ_THREADS, "live")
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to read and to wake."""
        self._spawn(self._reader.run())
        self._spawn(self._pace())

    async def stop(self) -> None:
        """End every task."""
        while self._tasks:  # once is not enough: redis-py may turn a cancellation into an error of its own
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=0.1)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def watch_job(self, job_id: str, viewer: Viewer) -> Feed:
        """Join the viewers of a job."""
        feed = self._feeds.get(job_id)
        if feed is None:
            feed = self._feeds[job_id] = Feed(job_id)
            self._reader.watch_anew()
        return self._joined(feed, viewer)

    def watch(self, channel: Looked, viewer: Viewer) -> Looked:
        """Join the viewers of a list of jobs or of the models; where somebody watches the same, that one is shared."""
        return self._joined(self._looked.setdefault(channel.key, channel), viewer)

    def leave(self, channel: Channel, viewer: Viewer) -> None:
        """Leave a channel; the last one drops it."""
        channel.viewers.discard(viewer)
        if not channel.viewers:
            if isinstance(channel, Feed) and self._feeds.get(channel.job_id) is channel:
                del self._feeds[channel.job_id]
            if isinstance(channel, Looked) and self._looked.get(channel.key) is channel:
                del self._looked[channel.key]

    def _joined(self, channel: AnyChannel, viewer: Viewer) -> AnyChannel:
        channel.viewers.add(viewer)
        channel.is_stale = True
        viewer.wake.set()
        self._read_where_due(channel)
        self._news.set()
        return channel

    def _watched(self) -> dict[str, str]:
        return {self.client.keys.job(feed.job_id): feed.last_id for feed in self._feeds.values() if not feed.is_over}

    def _take(self, stream: str, entries: Iterable[Entry]) -> None:
        if stream == self.client.keys.all_jobs:
            self._ring()
        else:
            feed = self._feeds.get(stream.rpartition(":")[2])
            if feed:
                for entry_id, entry in entries:
                    feed.take_entry(entry_id, entry)
                self._read_where_due(feed)
        self._news.set()

    def _ring(self) -> None:
        for looked in self._looked.values():
            looked.is_stale = True
        for feed in self._feeds.values():
            feed.is_stale = feed.is_stale or feed.is_waiting  # its place in the queue may have changed

    def _turned(self, is_live: bool) -> None:
        if is_live != self.is_live:
            self.is_live = is_live
            for channel in self._channels():
                channel.is_stale = True
            self._news.set()

    def _channels(self) -> list[Channel]:
        return [*self._feeds.values(), *self._looked.values()]

    async def _pace(self) -> None:
        while True:
            before = self._n_woken
            await self._poll()
            for channel in self._channels():
                self._read_where_due(channel)
                await self._wake(channel)
            await asyncio.sleep(max(TICK_S, (self._n_woken - before) * TICK_PER_VIEWER_S))
            if not any(channel.is_stale or channel.has_news for channel in self._channels()):
                await self._something_new()

    async def _something_new(self) -> None:
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), 0.5 if self._channels() else None)
        except TimeoutError:
            return  # time to look whether a row is due

    async def _poll(self) -> None:
        """Find what changed without a ring: one small query for all jobs that run, however many are watched."""
        now = asyncio.get_running_loop().time()
        if now - self._polled_at < POLL_S[self.is_live]:
            return
        self._polled_at = now
        running = [feed for feed in self._feeds.values() if feed.is_running] if self.is_live else []
        try:
            pulses = await self._in_thread(self.client.store.pulse, [(feed.job_id, feed.attempt) for feed in running])
        except WorkbenchError as error:
            log.warning("%s", error)
            return
        unchanged = {feed for feed in running if pulses[feed.job_id] == Pulse(True, feed.is_stopping)}
        for channel in self._channels():
            is_over = isinstance(channel, Feed) and channel.is_over
            channel.is_stale = channel.is_stale or not (is_over or channel in unchanged)

    def _read_where_due(self, channel: Channel) -> None:
        age_s = asyncio.get_running_loop().time() - channel.read_at
        feed_s = max(READ_AGAIN_S, READ_AGAIN_PER_FEED_S * len(self._feeds))
        least_s = LIST_AGAIN_S if isinstance(channel, Looked) else feed_s
        is_due = (channel.is_stale and age_s >= least_s) or age_s >= channel.again_s
        if is_due and not channel.is_loading:
            channel.is_loading = True
            self._spawn(self._read(channel))

    async def _read(self, channel: Channel) -> None:
        channel.is_stale = False  # before the read: a ring during it means to read once more
        channel.read_at = asyncio.get_running_loop().time()
        try:
            await (self._read_job(channel) if isinstance(channel, Feed) else self._read_looked(channel))
        except WorkbenchError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("a live view could not be read")
        finally:
            channel.is_loading = False
            self._news.set()
        # at once: rows change seldom, and whoever waits for the end should not wait for a tick
        await self._wake(channel)

    async def _read_job(self, feed: Feed) -> None:
        who_may = {viewer.may_change for viewer in feed.viewers}
        is_live = self.is_live

        def look() -> tuple[Job, dict[bool, dict[str, str]]]:
            seen = job_view.look(self.client, feed.job_id, is_live, self._curves.of)
            return seen.job, {may: job_view.render(seen, may_change=may) for may in who_may}

        try:
            feed.take_row(*await self._in_thread(look))
            feed.again_s = self._curves.again_s(feed.job_id)
        except NotFound:
            feed.take_absence()

    async def _read_looked(self, channel: Channel) -> None:
        assert isinstance(channel, Looked)
        channel.take(await self._in_thread(channel.look, self.client))

    async def _in_thread(self, do: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, do, *arguments)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self, channel: Channel) -> None:
        if channel.has_news:
            channel.has_news = False
            for viewer in list(channel.viewers):
                viewer.wake.set()
                self._n_woken += 1
                if self._n_woken % SLICE == 0:
                    await asyncio.sleep(0)  # let these send, and let pages be served, before the next ones
