"""The entry of a public Space, `python app.py`: all parts of a workbench in public mode, in one container.

It needs no rights: it writes below its home and the temporary folder alone. What a Space says of itself comes from the
environment; everything that is set there by the name of a setting stays.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SPACE_PORT = "7860"


def settings_of_a_space(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a public workbench that are not set yet.

    Without WORKBENCH_SECRET each start has a secret of its own: who was there before then is somebody else, which
    costs a visitor the history of a day.
    """
    home = Path(environment.get("HOME") or tempfile.gettempdir()) / "workbench"
    found = {
        "WORKBENCH_MODE": "public",
        "WORKBENCH_HOST": "0.0.0.0",  # noqa: S104 - the container's only door, behind the proxy of the Space
        "WORKBENCH_PORT": SPACE_PORT,
        "WORKBENCH_PROXIES": "1",
        "WORKBENCH_HOME": str(home),
        "WORKBENCH_SECRET": secrets.token_urlsafe(32),
        "WORKBENCH_SLOTS": "8",
    }
    if host := environment.get("SPACE_HOST", "").strip():
        found["WORKBENCH_URL"] = f"https://{host}"
    return {name: value for name, value in found.items() if not environment.get(name)}


def main() -> int:
    """Run everything until a signal; the exit code."""
    here = str(Path(__file__).resolve().parent)  # nothing is installed: the parts are found beside this file
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    os.environ.update(settings_of_a_space(os.environ))
    from core.cli import run

    return run(["up"])


if __name__ == "__main__":
    sys.exit(main())
