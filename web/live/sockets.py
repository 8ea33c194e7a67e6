"""The sockets of the pages: one job, a list of jobs, the models, the cards. What is sent comes from the hub."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from core.access import Who, may_change
from core.client import Workbench
from core.errors import WorkbenchError
from core.store.queries import JobFilter
from web.access import asker
from web.live.board import Board, Query
from web.live.cards import CardsNow
from web.live.channel import Channel, Viewer
from web.live.hub import Hub
from web.live.shelf import Shelf

NO_SUCH_JOB = 4404
router = APIRouter()


@router.websocket("/ws/jobs/{job_id}")
async def job_socket(socket: WebSocket, job_id: str, attempt: int = 0, at: int = 0) -> None:
    """Follow a job from where the viewer stands, until it ends. What one may not see looks like what is not there."""
    await socket.accept()
    hub: Hub = socket.app.state.hub
    try:
        found, may = await asyncio.to_thread(_look_up, hub.client, asker(socket), job_id)
    except WorkbenchError as error:
        await socket.close(NO_SUCH_JOB if error.code == "not_found" else 1011, error.message[:100])
        return
    viewer = Viewer(may_change=may, attempt=max(0, attempt), position=max(0, at))
    await _serve(socket, hub, hub.watch_job(found, viewer), viewer)


@router.websocket("/ws/jobs")
async def list_socket(
    socket: WebSocket,
    bar: bool = False,
    kind: str = "",
    state: str = "",
    owner: str = "",
    model: str = "",
    words: str = "",
    before: str = "",
) -> None:
    """Follow a list of jobs, or with `bar` only the figures of the bar."""
    await socket.accept()
    hub: Hub = socket.app.state.hub
    viewer = Viewer()
    query = Query(asker(socket), bar, JobFilter(kind, state, owner, model, words[:500]), before)
    await _serve(socket, hub, hub.watch(Board(query), viewer), viewer)


@router.websocket("/ws/models")
async def models_socket(socket: WebSocket) -> None:
    """Follow what models there are and what is in memory."""
    await socket.accept()
    hub: Hub = socket.app.state.hub
    viewer = Viewer()
    await _serve(socket, hub, hub.watch(Shelf(asker(socket)), viewer), viewer)


@router.websocket("/ws/cards")
async def cards_socket(socket: WebSocket) -> None:
    """Follow who holds which card, what runs and what waits."""
    await socket.accept()
    hub: Hub = socket.app.state.hub
    viewer = Viewer()
    await _serve(socket, hub, hub.watch(CardsNow(asker(socket)), viewer), viewer)


def _look_up(client: Workbench, who: Who, job_id: str) -> tuple[str, bool]:
    job = client.acting_for(who).show(job_id)
    return job.id, may_change(who, job)


async def _serve(socket: WebSocket, hub: Hub, channel: Channel, viewer: Viewer) -> None:
    """Send until the channel or the viewer ends; a viewer that is gone is noticed by the pings of the server."""
    sender = asyncio.create_task(_send(socket, channel, viewer))
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass  # viewers have nothing to say
    finally:
        hub.leave(channel, viewer)
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender


async def _send(socket: WebSocket, channel: Channel, viewer: Viewer) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone: the receiver says so too
        while not viewer.has_ended:
            await viewer.wake.wait()
            viewer.wake.clear()
            for message in channel.news(viewer):
                await socket.send_text(message)
        await socket.close(1000)
