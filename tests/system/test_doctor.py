"""`workbench doctor`: what it says of a machine where all is well, where nothing runs, and where something is wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import eventually
from tests.system.house import House

PARTS = {"Python", "Packages", "Home", "Database", "Redis", "Model", "Device", "Doors", "Page", "Workers"}


def examine(house: House) -> tuple[int, dict[str, dict[str, Any]]]:
    done = house.run("doctor", "--json")
    found = json.loads(done.stdout)
    assert found["is_well"] == (done.returncode == 0)
    return done.returncode, {check["part"]: check for check in found["checks"]}


def test_all_is_well_where_everything_runs(running: House) -> None:
    code, checks = examine(running)
    assert code == 0, checks
    assert checks.keys() == PARTS
    assert {check["status"] for check in checks.values()} == {"ok"}, checks
    assert running.address in checks["Page"]["sentence"]


def test_what_nobody_has_started_is_no_problem(house: House) -> None:
    code, checks = examine(house)
    assert code == 0, checks
    assert {checks[part]["status"] for part in ("Database", "Redis", "Page", "Workers")} == {"not running"}
    assert [path.name for path in house.home.iterdir()] == ["models"]  # it looks, and leaves nothing


def test_each_problem_is_a_sentence_with_a_way_to_mend_it(build: Callable[..., House], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        port = listener.getsockname()[1]
        house = build("file/home", redis_url=f"redis://127.0.0.1:{port}/0", port=port)
        code, checks = examine(house)
    assert code == 3
    for part in ("Home", "Redis", "Page"):
        assert checks[part]["status"] == "problem", checks[part]
        assert checks[part]["sentence"]
        assert checks[part]["mend"]


def test_tables_of_an_older_version_are_a_problem(house: House) -> None:
    (house.home / "workbench.db").touch()
    code, checks = examine(house)
    assert code == 3
    assert "workbench migrate" in checks["Database"]["mend"]


def test_a_page_that_hangs_is_a_problem(house: House) -> None:
    house.start(until="Page")
    web = next(process for process in house.processes() if process.cmdline()[-1] == "web")
    web.suspend()
    code, checks = examine(house)
    assert code == 3
    assert checks["Page"]["status"] == "problem"
    web.resume()
    eventually(lambda: examine(house)[1]["Page"]["status"] == "ok")
