"""`python -m web`: read the settings, wait for the tables, serve the pages until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

from core.errors import SetupError, WorkbenchError
from core.modes import Mode, check_safe
from core.settings import Settings, read_settings
from core.tether import die_with_parent
from web.quiet import silence_gradio

if TYPE_CHECKING:
    from core.client import Workbench

FAILED_START = 3
WAIT_FOR_TABLES_S = 30


def main() -> int:
    """Serve; the exit code."""
    try:
        die_with_parent()
        settings = read_settings()
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        check_safe(settings)
        return _serve(settings)
    except WorkbenchError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return FAILED_START


def _serve(settings: Settings) -> int:
    from core.client import Workbench
    from core.migrate import wait_for_head

    listener = _bound(settings)
    wait_for_head(settings.database, WAIT_FOR_TABLES_S)
    client = Workbench.open(settings)
    if settings.mode is Mode.TEAM:
        _welcome_first(client)
    silence_gradio()

    import uvicorn

    from web.app import build_app

    config = uvicorn.Config(
        build_app(client),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=4096,  # viewers have nothing to say
        ws_per_message_deflate=False,  # a compressor for each viewer costs more memory than the viewer
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    host, port = listener.getsockname()[:2]
    print(f"LLM Workbench: http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, lambda *_: None
        )  # uvicorn raises them once more at its end: being told to stop is no fault
    asyncio.run(server.serve(sockets=[listener]))
    client.close()
    return 0 if server.started else FAILED_START


def _welcome_first(client: Workbench) -> None:
    """Say where the first administrator sets a password; whoever reads the log is trusted with that."""
    from core.accounts import first_administrator

    if link := first_administrator(client.settings, client.store):
        print(f"Nobody can sign in yet. The first administrator sets a password at {link}", flush=True)


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise SetupError(
            f"The page cannot listen on {settings.host} port {settings.port}: {error.strerror}.",
            "Set WORKBENCH_PORT to a free port (0 takes any), and WORKBENCH_HOST to an address of this machine.",
        ) from error
    listener.listen(1024)
    return listener


if __name__ == "__main__":
    sys.exit(main())
