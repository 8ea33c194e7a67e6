"""The web application: our own routes, Gradio's pages mounted beside them, and the doors around both."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp

from core.accounts import Accounts
from core.client import Workbench
from core.ids import is_id
from core.modes import Mode
from web import assets, files, recorded, sign_in, uploads
from web.access import SIGN_IN, Doors
from web.askers import Members, askers
from web.by_kind import ByKind
from web.head import Head
from web.live import sockets
from web.live.hub import Hub
from web.pages.artifacts import Artifacts
from web.pages.cards import Cards
from web.pages.closed import Closed
from web.pages.compare import Compare
from web.pages.data import Data
from web.pages.fit import Fit
from web.pages.frame import ASIDE, MODE, PAGES
from web.pages.learn import Learn
from web.pages.models import Models
from web.pages.pipelines import Pipelines
from web.pages.playground import Playground
from web.pages.recorded import Recorded
from web.pages.runs import Runs
from web.pages.side_by_side import SideBySide
from web.pages.train import Train
from web.theme import theme
from web.train_kinds import SFT, TRAIN_KINDS, TrainKind

THREADS = 64
BY_KIND = {"/train": {one.name: "/train" if one is SFT else f"/train-{one.name}" for one in TRAIN_KINDS}}


def build_app(client: Workbench) -> ASGIApp:
    """Everything that a browser can reach, behind its doors."""
    hub, door = Hub(client), SIGN_IN if client.settings.mode is Mode.TEAM else ""
    heads = {page.path: assets.head(page.scripts, door) for page in (*PAGES, *ASIDE)}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        yield
        await hub.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.hub = hub
    app.add_middleware(CORSMiddleware, allow_origins=[])  # else Gradio's own lets every origin in
    of_kinds = {inner: heads[path] for path, pages in BY_KIND.items() for inner in pages.values()}
    app.add_middleware(Head, pages=heads | of_kinds)
    app.add_middleware(ByKind, pages=BY_KIND)  # the last one is the outermost
    app.include_router(sockets.router)
    app.include_router(files.router(client))
    app.include_router(uploads.router(client))
    app.include_router(recorded.router(client))
    app.mount("/ui", assets.Files(directory=assets.FOLDER))
    app.get("/healthz", response_class=PlainTextResponse)(_healthz)
    app.get("/j/{job_id}")(_short)
    accounts = Accounts(client.settings, client.store)
    who_asks = askers(client.settings, accounts)
    if isinstance(who_asks, Members):
        app.include_router(sign_in.router(client, accounts, who_asks))
    _mount(app, client)
    return Doors(app, client.settings, heads, who_asks)


def _mount(app: FastAPI, client: Workbench) -> None:
    kept = client.settings.home / "run" / "gradio"
    os.environ["GRADIO_TEMP_DIR"] = str(_private(kept))
    MODE.set(client.settings.mode)
    with gr.Blocks(title="LLM Workbench", analytics_enabled=False, delete_cache=(3600, 3600)) as pages:
        Playground(client, pages)
    for title, path, make in _routes(client):
        with pages.route(title, path):
            make(client)
    pages.max_threads = THREADS
    pages.queue(default_concurrency_limit=None, max_size=1_000, api_open=True)
    warnings.filterwarnings("ignore", message="SSR mode is not supported")  # said of every app with pages
    gr.mount_gradio_app(
        app,
        pages,
        path="",
        theme=theme(),
        show_error=False,  # an exception's words may hold a path or a secret
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        footer_links=[],
        enable_monitoring=False,
        blocked_paths=[str(client.settings.home)],
        max_file_size=1,
    )


def _routes(client: Workbench) -> Iterator[tuple[str, str, Callable[[Workbench], object]]]:
    """Title, address and maker of every page but the first; what the mode keeps shut has a page that says so."""
    settings = client.settings
    for kind in TRAIN_KINDS:
        yield kind.title, BY_KIND["/train"][kind.name], _unless(settings.training, "/train", _train(kind))
    yield "Compare", "/compare", Compare
    yield "Pipelines", "/pipelines", _unless(settings.training, "/pipelines", Pipelines)
    yield "Runs", "/runs", Runs
    yield "Models", "/models", _unless(not settings.only_builtin, "/models", Models)
    yield "Cards", "/cards", Cards
    yield "Will it fit?", "/fit", Fit
    yield "What quantization does", "/learn", Learn
    yield "Data", "/data", _unless(settings.uploads, "/data", Data)
    yield "Artifact", "/artifacts", Artifacts
    yield "Recorded runs", "/recorded", lambda _client: Recorded()
    yield "Side by side", "/side-by-side", SideBySide


def _train(kind: TrainKind) -> Callable[[Workbench], object]:
    return lambda client: Train(client, kind)


def _unless(is_open: bool, path: str, page: Callable[[Workbench], object]) -> Callable[[Workbench], object]:
    return page if is_open else lambda client: Closed(client, path)


def _healthz() -> str:
    return "ok"


def _short(job_id: str) -> RedirectResponse:
    return RedirectResponse(f"/runs?job={job_id}" if is_id(job_id.upper()) else "/runs")


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder
