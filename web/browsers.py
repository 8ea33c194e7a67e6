"""A browser in words, by what it says of itself."""

from __future__ import annotations

import re

# in this order: most say the names of others too
BROWSERS = {
    r"Edg\w*/(\d+)": "Edge",
    r"OPR/(\d+)": "Opera",
    r"Firefox/(\d+)": "Firefox",
    r"Chrom\w+/(\d+)": "Chrome",
    r"Version/(\d+)\S* .*Safari/": "Safari",
}
SYSTEMS = {"Android": "Android", "iPhone|iPad": "iOS", "Windows": "Windows", "Mac OS": "macOS", "Linux": "Linux"}


def browser_of(agent: str) -> str:
    """Name, version and system, as far as they are known; else as it says."""
    matches = ((name, re.search(pattern, agent)) for pattern, name in BROWSERS.items())
    browser = next((f"{name} {match[1]}" for name, match in matches if match), "")
    system = next((name for pattern, name in SYSTEMS.items() if re.search(pattern, agent)), "")
    if not browser:
        return agent or "A browser"
    return f"{browser} on {system}" if system else browser
