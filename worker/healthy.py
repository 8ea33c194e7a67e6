"""`python -m worker.healthy`: exits 0 while every process of this host's worker reports itself. For containers."""

from __future__ import annotations

import socket
import sys

from core.errors import WorkbenchError
from core.jobs.kind import Queue
from core.settings import read_settings
from core.store import Store


def main() -> int:
    """The exit code, with the reason on stderr where it is not 0."""
    try:
        store = Store.open(read_settings().database)
        reported = {worker.queue for worker in store.workers() if worker.host == socket.gethostname()}
        store.close()
    except WorkbenchError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    if missing := set(Queue) - reported:
        print(f"No living process of this host takes {' or '.join(sorted(missing))} jobs.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
