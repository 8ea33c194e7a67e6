"""How long `workbench up` takes to a page that can be used, cold and warm, and what its parts hold when idle.

    python -m benchmarks.startup --home ~/.local/share/workbench --repeats 5

Cold drops the file cache first, where this process may. Usable: the page's document is served.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.figures import line
from benchmarks.stage import free_port
from core.client import Workbench
from core.settings import Settings
from tests.support import environment, eventually, kill_tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a home in which the built-in model is unpacked")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    _once(arguments.home)  # writes the compiled files
    if _drop_file_cache():
        print(line("up to a usable page, cold", [_once(arguments.home)], "s", 1))
    print(line("up to a usable page, warm", [_once(arguments.home) for _ in range(arguments.repeats)], "s", 1))
    _once(arguments.home, look_at_memory=True)


def _once(model_home: Path, look_at_memory: bool = False) -> float:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(model_home / "models")
        settings = Settings(home=Path(folder), port=free_port())
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", "from core.cli import run; run(['up'])"],
            env=environment(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(lambda: _page(settings))
            taken = time.perf_counter() - begin
            if look_at_memory:
                _print_memory(process.pid, settings)
            process.terminate()
            process.wait(timeout=20)
        finally:
            kill_tree(process)
    return taken


def _page(settings: Settings) -> bool:
    try:
        return b"gradio_config" in urllib.request.urlopen(f"http://127.0.0.1:{settings.port}/", timeout=5).read()
    except OSError:
        return False


def _print_memory(pid: int, settings: Settings) -> None:
    """Once the workers are there: their interactive side keeps the built-in model resident."""
    workbench = Workbench.open(settings)
    eventually(lambda: any(not held.is_loading for held in workbench.holdings()))
    time.sleep(3)
    for child in psutil.Process(pid).children(recursive=True):
        print(f"{' '.join(child.cmdline())[-60:]:62} {child.memory_info().rss / 1e6:7.0f} MB")


def _drop_file_cache() -> bool:
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
