"""`python -m worker` starts the two processes of a worker; `python -m worker interactive` or `batch` is one of them."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time

from core.errors import SetupError, WorkbenchError
from core.jobs.kind import Queue
from core.libraries import prepare_libraries
from core.settings import Settings, read_settings
from core.tether import die_with_parent, tethered_env

STOP_S = 7.5  # below the ten seconds in which everything must have stopped
BACKOFF_S = (0.5, 1, 2, 5, 10, 30)
LOG = logging.getLogger("worker")


def main(arguments: list[str]) -> int:
    """Run a worker, or one of its processes; 3 where it cannot start, with the reason on stderr."""
    die_with_parent()
    prepare_libraries()
    try:
        settings = read_settings()
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        if not settings.redis:
            raise SetupError("No Redis is known.", "Set WORKBENCH_REDIS_URL, or start everything with `workbench up`.")
        if arguments:
            return _serve(settings, Queue(arguments[0]))
        return _Pair().run()
    except WorkbenchError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 3


def _serve(settings: Settings, queue: Queue) -> int:
    from worker.app import serve  # Celery takes a while to import, and the parent does without it

    serve(settings, queue)
    return 0


class _Pair:
    """The two processes, each started again where it dies, with a pause that grows."""

    def __init__(self) -> None:
        self._stopping = False
        self._running: dict[Queue, subprocess.Popen[bytes]] = {}
        self._failures: dict[Queue, int] = dict.fromkeys(Queue, 0)
        self._start_at: dict[Queue, float] = dict.fromkeys(Queue, 0.0)

    def run(self) -> int:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        while not self._stopping:
            for queue in Queue:
                if self._watch(queue) == 3:
                    self._stop()
                    self._wait()
                    return 3
            time.sleep(0.1)
        self._wait()
        return 0

    def _watch(self, queue: Queue) -> int | None:
        """Start a process that is due; the exit code of one that has ended by itself."""
        process = self._running.get(queue)
        if process is None:
            if time.monotonic() >= self._start_at[queue] and not self._stopping:
                self._running[queue] = _start(queue)
            return None
        code = process.poll()
        if code is None or self._stopping:
            return None
        del self._running[queue]
        pause_s = BACKOFF_S[min(self._failures[queue], len(BACKOFF_S) - 1)]
        LOG.error("the %s process ended with %s; it starts again in %s s", queue, code, pause_s)
        self._failures[queue] += 1
        self._start_at[queue] = time.monotonic() + pause_s
        return code

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)

    def _wait(self) -> None:
        end = time.monotonic() + STOP_S
        for process in self._running.values():
            try:
                process.wait(timeout=max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(queue: Queue) -> subprocess.Popen[bytes]:
    # a session of its own, so that a Ctrl-C in the terminal reaches the parent alone, which then stops it in order
    return subprocess.Popen(
        [sys.executable, "-m", "worker", queue],
        env=tethered_env(),
        start_new_session=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
