"""Live text over a Redis Stream a job: how it is written, read back and put together.

An entry is either text (`a` attempt, `o` offset in characters, `t` the text from there on) or a ring, which says that
the job's row has changed. Because each entry says where its text begins, one that comes twice, late, or from an attempt
that was declared lost does no harm, and after a loss the writer simply starts again at offset 0.
Nothing here is needed for a result: the finished text is in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

MAX_ENTRIES = 20_000  # above the longest answer in tokens; about 18 bytes an entry
EXPIRE_S = 900
MAX_RINGS = 1_000
FROM_THE_START = "0-0"


@dataclass(frozen=True)
class Keys:
    """The names of the streams, below a prefix."""

    prefix: str

    def job(self, job_id: str) -> str:
        """The stream of one job."""
        return f"{self.prefix}:job:{job_id}"

    @property
    def all_jobs(self) -> str:
        """The stream that says which job has changed."""
        return f"{self.prefix}:jobs"


@dataclass
class Transcript:
    """The text of a job as far as its entries have come."""

    attempt: int = 0
    text: str = ""

    def apply(self, entry: Mapping[str, str]) -> None:
        """Add what an entry holds; one of an older attempt, or that would leave a gap, is passed over."""
        if "t" not in entry:
            return
        attempt, offset = int(entry["a"]), int(entry["o"])
        if attempt > self.attempt:
            self.attempt, self.text = attempt, ""
        if attempt == self.attempt and offset <= len(self.text) < offset + len(entry["t"]):
            self.text = self.text[:offset] + entry["t"]


def connect(url: str, socket_timeout_s: float = 5) -> redis.Redis:
    """A client that gives up soon: no stream is worth holding up a job."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=3,
        retry=Retry(NoBackoff(), 1),  # redis-py's own default goes on for a minute
    )


def add_ring(pipe: redis.client.Pipeline, keys: Keys, job_id: str) -> None:
    """Say on the job's stream, and on the one of all jobs, that its row has changed."""
    pipe.xadd(keys.job(job_id), {"ring": ""}, maxlen=MAX_ENTRIES, approximate=True)
    pipe.expire(keys.job(job_id), EXPIRE_S)
    pipe.xadd(keys.all_jobs, {"job": job_id}, maxlen=MAX_RINGS, approximate=True)


def add_text(pipe: redis.client.Pipeline, keys: Keys, job_id: str, attempt: int, offset: int, text: str) -> None:
    """Append text that begins at `offset`, and ask how long the stream is now."""
    pipe.xadd(keys.job(job_id), {"a": attempt, "o": offset, "t": text}, maxlen=MAX_ENTRIES, approximate=True)
    pipe.expire(keys.job(job_id), EXPIRE_S)
    pipe.xlen(keys.job(job_id))


def ring(client: redis.Redis, keys: Keys, job_id: str) -> bool:
    """Ring at once; whether the broker heard it. Viewers that miss it look at the row within seconds all the same."""
    try:
        pipe = client.pipeline(transaction=False)
        add_ring(pipe, keys, job_id)
        pipe.execute()
    except redis.RedisError:
        return False
    return True
