"""The other side of `queue_throughput`: a Celery worker as its documentation starts one, whose task counts itself."""

from __future__ import annotations

import redis
from celery import Celery

from core.queue import broker_url
from core.settings import Settings, read_settings

COUNTER = "plain-count"


def plain_app(settings: Settings) -> Celery:
    """Celery's own defaults, save for a prefix of our own."""
    app = Celery("plain", broker=broker_url(settings.redis), set_as_current=False)
    app.conf.update(task_ignore_result=True, broker_transport_options={"global_keyprefix": f"{settings.redis_prefix}:"})
    return app


def main() -> None:
    settings = read_settings()
    app, client = plain_app(settings), redis.Redis.from_url(settings.redis)
    key = f"{settings.redis_prefix}:{COUNTER}"

    @app.task(name="plain.nothing", shared=False, ignore_result=True)  # type: ignore[untyped-decorator]
    def nothing(_: str) -> None:
        client.incr(key)

    app.worker_main(["worker", "--pool", "threads", "--concurrency", "8", "--queues", "plain", "--loglevel", "WARNING"])


if __name__ == "__main__":
    main()
