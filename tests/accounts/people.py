"""What somebody has that others ask for: jobs, what they made, a data set; and the handlers, called without a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from core.client import Workbench, artifact_folder
from core.ids import new_id
from core.states import State
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Job, Metric, Visibility
from tests.accounts.conftest import ORIGIN, Team
from web.access import Doors

WORDS = "words-of-nobody-else"
LEASE_S = 600.0


@dataclass(frozen=True)
class Things:
    """The ids of what somebody has."""

    waiting: str
    held: str
    cancelled: str
    ended: str
    pipeline: str
    artifact: str
    upload: str

    @property
    def jobs(self) -> tuple[str, ...]:
        """Those of the jobs."""
        return self.waiting, self.held, self.cancelled, self.ended, self.pipeline

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return *self.jobs, self.artifact, self.upload


def things_of(team: Team, owner: str, visibility: Visibility) -> Things:
    """Jobs of `owner` in each state, one with an adapter and curves, and a data set."""
    bench = team.of(owner)
    ended, artifact = _claimed(bench, visibility), ArtifactRef(
        id=new_id(), kind=ArtifactKind.ADAPTER, name=WORDS, n_bytes=len(WORDS)
    )  # fmt: skip
    folder = artifact_folder(bench.settings.home, artifact.id)
    folder.mkdir(parents=True)
    (folder / "adapter.txt").write_text(WORDS)
    bench.store.add_artifact(ended.id, 1, artifact)
    curve = Kept(metrics=[Metric(step=1, values={"train/loss": 0.5})])
    bench.store.finish(ended.id, 1, State.SUCCEEDED, {"text": WORDS}, curve, WORDS)
    cancelled = _claimed(bench, visibility)
    bench.store.finish(cancelled.id, 1, State.CANCELLED, {"text": WORDS}, Kept(), WORDS)
    held, waiting = (bench.submit("long", {"text": WORDS}, visibility=visibility) for _ in range(2))
    bench.pause(held.id)
    steps = [{"name": "first", "kind": "preview", "fields": {"data": "reviews"}}]
    pipeline = bench.submit("pipeline", {"steps": steps}, name=WORDS, visibility=visibility)
    kept = bench.upload(BytesIO(b"a row\n"), f"{WORDS}.txt", is_private=visibility is Visibility.PRIVATE)
    return Things(waiting.id, held.id, cancelled.id, ended.id, pipeline.id, artifact.id, kept.id)


def _claimed(bench: Workbench, visibility: Visibility) -> Job:
    job = bench.submit("long", {"text": WORDS}, visibility=visibility, priority=100)
    claim = bench.store.claim("batch", "a-worker", LEASE_S, "cpu")
    assert claim is not None
    assert claim.job_id == job.id
    return job


def nothing() -> Things:
    """Ids of what was never there."""
    return Things(*(new_id() for _ in range(7)))


def ours_of(team: Team) -> FastAPI:
    """The application within the doors."""
    assert isinstance(team.app, Doors)
    assert isinstance(team.app._app, FastAPI)
    return team.app._app


def gradio_of(team: Team) -> Any:
    """Gradio's application within ours."""
    return next(one.app for one in ours_of(team).routes if isinstance(one, Mount) and one.path == "")


def routes_of(app: Any) -> Iterator[Any]:
    """Its routes, those of the routers that it includes too."""
    nothing = APIRouter()
    for route in app.routes:
        included = getattr(route, "original_router", nothing).routes
        yield from included or [route]


@dataclass(frozen=True)
class Handler:
    """One of the functions that a page's components call."""

    index: int
    name: str
    """Of its page's class and of the function."""
    target: int
    usual: tuple[Any, ...]
    """What its components hold when the page opens."""

    def call(self, browser: TestClient, sent: dict[str, Any]) -> tuple[int, str]:
        """Call it by Gradio's own endpoint; status and text of the answer."""
        body = {
            "fn_index": self.index,
            "data": [_pointed(one, sent) for one in self.usual],
            "event_data": sent,
            "session_hash": "of-somebody-else",
            "trigger_id": self.target,
        }
        answer = browser.post("/gradio_api/run/predict", json=body, headers={"origin": ORIGIN})
        return answer.status_code, answer.text if answer.status_code != 200 else str(answer.json()["data"])


def _pointed(value: Any, sent: dict[str, Any]) -> Any:
    """A view that shows a job shows the one that is asked for."""
    return value | {"job": sent["job"]} if isinstance(value, dict) and "job" in value else value


def handlers_of(team: Team) -> list[Handler]:
    """Every handler of every page, as the application itself lists them."""
    blocks = gradio_of(team).get_blocks()
    made = []
    for index, function in blocks.fns.items():
        page = getattr(function.fn, "__self__", None)
        name = f"{type(page).__name__}.{function.fn.__name__}" if page else str(function.fn)
        values = tuple(one.get_config().get("value") for one in function.inputs)
        made.append(Handler(index, name, function.targets[0][0], values))
    return made


def until_closed(socket: Any) -> tuple[str, int]:
    """What a socket says until it is closed, and by which code it is."""
    heard = ""
    try:
        while True:
            heard += socket.receive_text()
    except WebSocketDisconnect as closed:
        return heard, closed.code
