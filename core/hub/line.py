"""A connection to the Hub that gives up soon and can be cut by another thread, whatever it is waiting for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from huggingface_hub.utils._http import hf_raise_for_status

from core import __version__
from core.errors import SetupError
from core.hub.access import Access
from core.hub.trouble import Stopped, away, explained, offline

CONNECT_S = 4.0  # names are looked up and all addresses tried within this
ANSWER_S = 20.0  # the Hub needs seconds to list a repository of many files
STALL_S = 15.0  # a file that brings no byte for so long counts as cut off


class Line:
    """A client of one Hub for one job. Use it in a `with` block; `cut` may be called by any thread."""

    def __init__(self, access: Access) -> None:
        self.access = access
        # the library's own headers name the program that started us, for which it first asks the Hub for a list of such
        self._headers = {"User-Agent": f"llm-workbench/{__version__}"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        timeout = httpx2.Timeout(STALL_S, connect=CONNECT_S)
        try:
            self._client = httpx2.Client(follow_redirects=True, timeout=timeout)
        except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
            raise SetupError(
                "The proxy or certificate settings of this worker cannot be used.",
                "Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE.",  # their values may hold a password
            ) from error
        self._sockets: list[socket.socket] = []
        self._is_cut = threading.Event()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def is_cut(self) -> bool:
        """Whether the work on this line is to end."""
        return self._is_cut.is_set()

    def cut(self) -> None:
        """End whatever goes on: a read that waits for bytes returns at once."""
        self._is_cut.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # not TLS's own, which would wait for the other side

    def wait(self, seconds: float) -> None:
        """Wait before another try.

        Raises:
            Stopped: the line was cut meanwhile.
        """
        if self._is_cut.wait(seconds):
            raise Stopped

    def ask(self, path: str, what: str, patience_s: float = ANSWER_S, **parameters: str | int) -> Any:
        """The JSON answer to a question below `/api/`; `what` is the repository that it is about.

        Raises:
            HubAway: no connection within seconds, or no answer.
            HubRefused: the Hub does not give it.
            ModelNotFound: there is no such repository or revision.
            Stopped: the line was cut.
        """
        return self._soon(lambda: self._answer(path, what, parameters), patience_s)

    def _answer(self, path: str, what: str, parameters: dict[str, str | int]) -> Any:
        with self._explaining(what):
            url = f"{self.access.endpoint}/api/{path}"
            response = self._client.get(url, params=parameters, headers=self._headers, extensions={"trace": self._note})
            hf_raise_for_status(response)
            return response.json()

    @contextmanager
    def stream(self, url: str, begin: int, what: str) -> Iterator[httpx2.Response]:
        """A file from its byte `begin` on. Not decoded: a compressed answer has no ranges.

        Raises:
            HubAway, HubRefused, ModelNotFound, Stopped: as `ask` does.
        """
        headers = {**self._headers, "Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        with (
            self._explaining(what),
            self._client.stream("GET", url, headers=headers, extensions={"trace": self._note}) as response,
        ):
            hf_raise_for_status(response)
            yield response

    @contextmanager
    def _explaining(self, what: str) -> Iterator[None]:
        if self.access.is_offline:
            raise offline(what)
        if self.is_cut:
            raise Stopped
        try:
            yield
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            if self.is_cut:
                raise Stopped from error
            raise explained(error, what, self.access) from error

    def _note(self, name: str, info: dict[str, Any]) -> None:
        """Remember each socket, so that it can be shut; called by the client at each step."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            found = info["return_value"].get_extra_info("socket")
            if found is not None:
                self._sockets.append(found)
        if self.is_cut:
            raise Stopped

    def _soon(self, call: Callable[[], Any], patience_s: float) -> Any:
        """What `call` gives, from a thread that is left alone when it takes too long.

        Neither the look-up of a name nor trying one address after another heeds a time-out as a whole.
        """
        answers: list[Any] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                answers.append(call())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work, daemon=True)
        begun = time.monotonic()
        thread.start()
        while thread.is_alive():
            thread.join(0.05)
            elapsed = time.monotonic() - begun
            if self.is_cut:
                raise Stopped
            if thread.is_alive() and elapsed > (patience_s if self._sockets else CONNECT_S):
                raise away(self.access)
        if failures:
            raise failures[0]
        return answers[0]
