from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from core.client import Workbench
from core.settings import Settings
from web.access import MAX_BODY, Doors, asker
from web.askers import Owner

SOCKET = "ws://localhost:7860/ws/jobs"
PATH = "/gradio_api/run/predict"
NO_ROUTER = APIRouter()
CROSS = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.send_text(asker(socket).name)
        await socket.close()
        return
    request = Request(scope, receive, send)
    body = await request.body()
    await PlainTextResponse(f"{asker(request).name} {len(body)}")(scope, receive, send)


@pytest.fixture
def doors(settings: Settings) -> TestClient:
    named = settings.model_copy(update={"allowed_hosts": "bench.example, other.example", "host": "192.0.2.7"})
    return TestClient(Doors(_echo, named, ["/", "/runs"], Owner(named)), base_url="http://localhost:7860")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:1", 200), ("127.0.0.1:7860", 200), ("[::1]:7860", 200), ("192.0.2.7", 200),
        ("bench.example:80", 200), ("evil.example", 421), ("localhost.evil.example", 421), ("", 421),
        ("127.0.0.1.evil.example:7860", 421), ("evil.example@localhost.evil", 421), ("[::1", 421), ("0.0.0.0", 421),
    ],
)  # fmt: skip
def test_only_names_that_are_ours_are_answered(doors: TestClient, host: str, status: int) -> None:
    assert doors.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:7860"}, 200),
        ({"origin": "http://localhost:7860", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://localhost:7860"}, 200),  # a proxy in front of us speaks https
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
    ],
)
def test_a_change_must_come_from_a_page_of_ours(doors: TestClient, headers: dict[str, str], status: int) -> None:
    assert doors.post(PATH, headers=headers, content=b"x").status_code == status


def test_a_link_on_another_site_may_lead_here_but_its_scripts_read_nothing(doors: TestClient) -> None:
    assert doors.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200
    assert doors.get("/config", headers=CROSS).status_code == 403
    assert doors.get("/ui/live.js", headers=CROSS | {"sec-fetch-mode": "no-cors"}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "is_open"),
    [
        ({}, True),
        ({"origin": "http://localhost:7860"}, True),
        ({"origin": "http://localhost:7861"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"cookie": "session=1"}, False),  # only a browser sends one, and a browser says where it comes from
        ({"sec-fetch-site": "cross-site"}, False),
        ({"host": "evil.example"}, False),
    ],
)
@pytest.mark.parametrize("address", [SOCKET, "ws://localhost:7860/ws/models"])
def test_a_socket_must_come_from_a_page_of_ours(
    doors: TestClient, address: str, headers: dict[str, str], is_open: bool
) -> None:
    if is_open:
        with doors.websocket_connect(address, headers=headers) as socket:
            assert socket.receive_text() == "me"
        return
    with pytest.raises(WebSocketDisconnect), doors.websocket_connect(address, headers=headers):
        pass


def test_a_body_that_is_too_long_is_refused_by_what_it_says(doors: TestClient) -> None:
    assert doors.post(PATH, content=b"x" * MAX_BODY).text == f"me {MAX_BODY}"
    assert doors.post(PATH, content=b"x" * (MAX_BODY + 1)).status_code == 413
    assert doors.post(PATH, content=b"x", headers={"content-length": "-1"}).status_code == 413


def test_a_body_that_says_nothing_of_its_length_is_counted_as_it_comes(doors: TestClient) -> None:
    def pieces(n: int) -> Iterator[bytes]:
        for _ in range(n):
            yield b"x" * 100_000

    assert doors.post(PATH, content=pieces(10)).status_code == 200
    assert doors.post(PATH, content=pieces(11)).status_code == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"), ("GET", "/gradio_api/upload_progress"),
        ("GET", "/gradio_api/file=/etc/passwd"), ("GET", "/gradio_api/file/etc/passwd"), ("GET", "/file=/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://localhost:1/"), ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/queue/join"), ("GET", "/gradio_api/queue/data?session_hash=x"),
        ("GET", "/gradio_api/queue/status"), ("POST", "/gradio_api/call/predict"), ("POST", "/gradio_api/api/predict"),
        ("POST", "/gradio_api/cancel"), ("POST", "/gradio_api/reset"), ("GET", "/gradio_api/heartbeat/x"),
        ("GET", "/gradio_api/info"), ("GET", "/gradio_api/openapi.json"), ("GET", "/gradio_api/app_id"),
        ("GET", "/gradio_api/runs"), ("POST", "/gradio_api/run-history/connect"), ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/startup-events"), ("GET", "/monitoring"), ("POST", "/gradio_api/mcp/"),
        ("GET", "/gradio_api/mcp/schema"), ("POST", "/login"), ("GET", "/logout"), ("GET", "/gradio_api/token"),
        ("POST", "/gradio_api/stream/x"), ("GET", "/svelte/x"), ("GET", "/docs"), ("GET", "/openapi.json"),
    ],
)  # fmt: skip
def test_what_gradio_opens_and_our_pages_do_not_use_is_shut(doors: TestClient, method: str, path: str) -> None:
    answer = doors.request(method, path)
    assert answer.status_code == 404
    assert answer.text == "There is nothing here."


def test_of_all_routes_that_gradio_mounts_only_few_are_open(app: ASGIApp, web: TestClient) -> None:
    assert isinstance(app, Doors)
    assert isinstance(app._app, FastAPI)
    gradio: Any = next(route.app for route in app._app.routes if isinstance(route, Mount) and route.path == "")
    included = [route for part in gradio.routes for route in getattr(part, "original_router", NO_ROUTER).routes]
    paths = {str(getattr(route, "path", "/")) for route in gradio.routes}
    paths |= {f"/gradio_api{str(getattr(route, 'path', '')).removeprefix('/gradio_api')}" for route in included}
    filled = {re.sub(r"{[^}]*}", "x", path) for path in paths}
    shut = {path for path in filled if web.head(path).headers.get("content-length") == "22"}
    assert len(filled) > 40
    assert filled - shut <= {
        "/", "/runs", "/models", "/fit", "/compare", "/learn", "/side-by-side", "/train", "/data", "/artifacts",
        "/pipelines", "/cards", "/recorded",
        "/config", "/config/",
        "/theme.css", "/favicon.ico", "/manifest.json", "/static/x", "/assets/x", "/gradio_api/run/x",
        "/gradio_api/run/x/",
    }  # fmt: skip


def test_pages_and_their_files_are_open_and_carry_security_headers(web: TestClient) -> None:
    for path in ("/", "/runs", "/config", "/theme.css", "/ui/live.js", "/healthz"):
        answer = web.get(path)
        assert answer.status_code == 200, path
        assert "connect-src 'self'" in answer.headers["content-security-policy"]
        assert "img-src 'self' data: blob:" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


def test_no_other_origin_is_let_in_by_cors_headers(settings: Settings, workbench: Workbench) -> None:
    from web.app import build_app

    named = Workbench(settings.model_copy(update={"allowed_hosts": "bench.example"}), workbench.store)
    with TestClient(build_app(named), base_url="http://bench.example") as client:
        answer = client.get("/config", headers={"origin": "http://bench.example"})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
        asked = client.options(
            "/config", headers={"origin": "http://evil.example", "access-control-request-method": "GET"}
        )
        assert asked.status_code == 403


def test_an_error_of_ours_says_nothing_of_its_cause_to_the_browser(web: TestClient) -> None:
    answer = web.post(PATH, json={"data": [], "fn_index": 0, "trigger_id": 1})
    assert answer.status_code >= 400
    assert "Traceback" not in answer.text
    assert "/" not in str(answer.json().get("error") or "")


def test_pages_name_neither_another_host_nor_a_font_of_one(web: TestClient) -> None:
    page = web.get("/").text
    assert page.index("/ui/workbench.css?v=") < page.index('<script type="module"')
    assert "fonts.googleapis" not in page


def test_the_doors_stand_around_everything(app: ASGIApp) -> None:
    assert isinstance(app, Doors)
