"""The one reader of a web process: a single blocking XREAD over every stream that somebody watches.

It holds one connection however many viewers there are. Without a broker, or with one that does not answer, it says so
and tries again each second; whoever shows a job then looks at its row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.settings import Settings
from core.stream import FROM_THE_START

BLOCK_MS = 500
REST_S = 0.01  # between two reads, so that many small entries come as one answer
TRY_AGAIN_S = 1.0
Entry = tuple[str, dict[str, str]]
log = logging.getLogger(__name__)


class Reader:
    """Reads `watched()` (stream → the last id seen) and hands each stream's entries to `take`."""

    def __init__(
        self,
        settings: Settings,
        rings: str,
        watched: Callable[[], Mapping[str, str]],
        take: Callable[[str, Iterable[Entry]], None],
        turned: Callable[[bool], None],
    ) -> None:
        self._settings = settings
        self._rings = rings
        self._last_ring = FROM_THE_START
        self._watched = watched
        self._take = take
        self._turned = turned
        self._wanted = self._in_use = 0
        self._blocked_id: int | None = None
        self._wakers: set[asyncio.Task[None]] = set()

    def watch_anew(self) -> None:
        """The watched set has grown: begin a read that holds it."""
        self._wanted += 1
        if not self._wakers:
            waker = asyncio.create_task(self._unblock())
            self._wakers.add(waker)
            waker.add_done_callback(self._wakers.discard)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            url = await asyncio.to_thread(lambda: self._settings.redis)  # `up` may leave another address at any time
            try:
                if url:
                    await self._read(url)
            except (redis.RedisError, OSError, ValueError) as error:
                log.debug("live view paused: %s", error)
            self._blocked_id = None
            self._turned(False)
            await asyncio.sleep(TRY_AGAIN_S)

    async def _read(self, url: str) -> None:
        async with _client(url, single=True) as client:
            client_id = await client.client_id()
            self._last_ring = await self._newest_ring(client)
            self._turned(True)
            while True:
                self._in_use = self._wanted
                streams = {self._rings: self._last_ring, **self._watched()}
                self._blocked_id = client_id
                found: Any = await client.xread(streams, block=BLOCK_MS, count=1_000)  # type: ignore[arg-type]
                self._blocked_id = None
                for stream, entries in found:
                    if stream == self._rings:
                        self._last_ring = entries[-1][0]
                    self._take(stream, entries)
                await asyncio.sleep(REST_S if found else 0)

    async def _newest_ring(self, client: Redis) -> str:
        newest = await client.xrevrange(self._rings, count=1)
        return str(newest[0][0]) if newest else FROM_THE_START

    async def _unblock(self) -> None:
        """End the read that is under way; it may be just about to begin, so this is said until it has heard."""
        with contextlib.suppress(redis.RedisError, OSError, ValueError):
            async with _client(self._settings.redis) as commands:
                while self._in_use < self._wanted:
                    if self._blocked_id is not None:
                        await commands.client_unblock(self._blocked_id)
                    await asyncio.sleep(REST_S)
                    if self._blocked_id is None and self._in_use < self._wanted:
                        await asyncio.sleep(REST_S)


def _client(url: str, single: bool = False) -> Redis:
    return Redis.from_url(
        url,
        decode_responses=True,
        single_connection_client=single,
        socket_timeout=3,  # above BLOCK_MS: redis-py's own five seconds and ten retries hide a dead server for a minute
        socket_connect_timeout=3,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    )
