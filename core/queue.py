"""The doorbell: Celery over Redis. A message is a job id that wakes a worker, and nothing else."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import kombu.exceptions
import redis
from celery import Celery

TASK = "workbench.run"


def make_app(redis_url: str, prefix: str) -> Celery:
    """The Celery application of both sides.

    It acknowledges early, keeps no result and takes JSON alone. Nothing long is ever unacknowledged, so a short
    visibility time-out is safe; `socket_timeout` is set because the default waits for ever on a Redis that hangs.
    """
    app = Celery("workbench", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,  # with prefetching off, a worker whose threads are all busy looks once a second
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # else a Redis that is out of memory ends the worker
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            "max_retries": 1,  # of a connection for sending: else a dead broker holds a submission up for six seconds
            "interval_start": 0,
            "visibility_timeout": 120,
            "unacked_restore_throttle": 1,
            "global_keyprefix": f"{prefix}:",
        },
    )
    return app


def broker_url(redis_url: str) -> str:
    """The URL by which Celery reaches the server that redis-py reaches by `redis_url`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    password = f":{quote(unquote(parts.password or ''), safe='')}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host=0"


def send(app: Celery, queue: str, job_id: str) -> bool:
    """Wake a worker of `queue`; whether the broker took the message. A lost one is rung again by the sweep."""
    try:
        app.send_task(TASK, args=[job_id], queue=queue, ignore_result=True, retry=False)
    except (kombu.exceptions.OperationalError, redis.RedisError, OSError):
        return False
    return True


def backlog(client: redis.Redis, prefix: str, queue: str) -> int:
    """How many messages lie in a queue."""
    return int(client.llen(f"{prefix}:{queue}"))
