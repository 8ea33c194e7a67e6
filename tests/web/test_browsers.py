"""Browsers are named as people know them."""

from __future__ import annotations

import pytest

from web.browsers import browser_of

KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {KHTML} HeadlessChrome/156.0 Safari/537.36", "Chrome 156 on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {KHTML} Chrome/156.0 Safari/537.36 Edg/156.0", "Edge 156 on Windows"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {KHTML} Chrome/156.0 Safari/537.36", "Chrome 156 on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) Gecko/20100101 Firefox/150.0", "Firefox 150 on macOS"),
        (f"Mozilla/5.0 (iPhone; like Mac OS X) {KHTML} Version/26.0 Safari/604.1", "Safari 26 on iOS"),
        ("python-httpx/0.28", "python-httpx/0.28"),
        ("", "A browser"),
    ],
)
def test_a_browser_has_its_name_its_version_and_its_system(agent: str, said: str) -> None:
    assert browser_of(agent) == said
