"""`python -m core.demo`: the main job as one command that ends. It starts a whole workbench in a throwaway home, uses
it as a person would, stops it, and looks whether anything is left. A kind of job adds its step to STEPS.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from core.catalog import builtin_folder, builtin_is_ready
from core.errors import SetupError, WorkbenchError
from core.preflight import running_up
from core.settings import read_settings

PROMPT = "What is a job queue? Answer in two sentences."
TEXT = """
A queue is a promise that work will be done, and a record of who was promised what. When somebody hands over a job they
need not wait until it is finished: they may close the door, go home, and read in the morning what became of it. What
makes such a promise worth something is not speed. It is that the job is written down before anybody is told that it was
taken, that whoever takes it says so, and that the next one takes it up where the last one fell. A machine that stops in
the middle of the night then costs an hour and not a week, and nobody has to be called. The same holds for a kitchen, a
court and a post office, which knew it long before there were machines that could forget.
"""
FIGURES = {"time_to_first_token_s", "tokens_per_s", "peak_bytes"}
START_PATIENCE_S = 300.0  # a first start unpacks the model
STOP_PATIENCE_S = 12.0
COMMAND = str(Path(sys.executable).with_name("workbench"))


@dataclass
class Stage:
    """What the steps share."""

    home: Path
    env: dict[str, str]
    up: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def workbench(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one command, shown as it is typed.

        Raises:
            SetupError: it ends with another code than 0.
        """
        print(f"$ workbench {' '.join(json.dumps(word) if ' ' in word else word for word in arguments)}", flush=True)
        done = subprocess.run([COMMAND, *arguments], env=self.env, text=True, check=False, **options)
        require(done.returncode == 0, f"`workbench {arguments[0]}` ended with {done.returncode}. {done.stderr or ''}")
        return done


def require(holds: object, otherwise: str) -> None:
    """Fail the step with a reason.

    Raises:
        SetupError: it does not hold.
    """
    if not holds:
        raise SetupError(otherwise.strip())


def start(stage: Stage) -> None:
    """Start everything, and wait until the workers are there."""
    log = stage.home / "up.log"
    print("$ workbench up", flush=True)
    with log.open("wb") as out:
        # a session of its own: a Ctrl-C here must reach it once, from us, and not twice
        stage.up.append(
            subprocess.Popen([COMMAND, "up"], env=stage.env, stdout=out, stderr=out, start_new_session=True)
        )
    shown, end = 0, time.monotonic() + START_PATIENCE_S
    while "Ready." not in (said := log.read_text()):
        require(stage.up[0].poll() is None, f"`workbench up` ended with {stage.up[0].poll()}: {said[shown:]}")
        require(time.monotonic() < end, f"`workbench up` was not ready in {START_PATIENCE_S:.0f} s.")
        shown = _show(said, shown)
        time.sleep(0.05)
    _show(said, shown)


def examine(stage: Stage) -> None:
    """Have every part checked."""
    stage.workbench("doctor")


def generate(stage: Stage) -> None:
    """Ask the built-in model, its answer streamed to this terminal."""
    stage.workbench("submit", "generate", "--prompt", PROMPT, "--max-new-tokens", "80", "--seed", "1", "--wait")


def generate_for_a_program(stage: Stage) -> None:
    """Ask again, and read the answer as a program does."""
    words = ("submit", "generate", "--prompt", PROMPT, "--max-new-tokens", "16", "--temperature", "0")
    job = json.loads(stage.workbench(*words, "--wait", "--json", capture_output=True).stdout)
    require(job["state"] == "succeeded" and job["result"]["text"], f"The job is {job['state']}: {job['error']}")
    missing = FIGURES - {measured["name"] for measured in job["measurements"]}
    require(not missing, f"Its figures lack {', '.join(sorted(missing))}.")
    print(f"{job['result']['text']!r}, {job['result']['completion_tokens']} tokens", flush=True)


def compare(stage: Stage) -> None:
    """Compare two precisions of it, on a text of a few lines."""
    words = ("submit", "compare", "--variants", "fp32,nf4", "--prompt", PROMPT, "--max-new-tokens", "16")
    quick = (
        "--window",
        "64",
        "--eval-tokens",
        "128",
        "--context-lengths",
        "128",
        "--batch-sizes",
        "1",
        "--repeats",
        "2",
    )
    stage.workbench(*words, *quick, "--eval-own", TEXT, "--wait")


def pipeline(stage: Stage) -> None:
    """Teach it in a pipeline: sft, merge, reward, rlhf and compare, each in a few steps."""
    words = ("submit", "pipeline", "--preset", "smoke", "--wait", "--json")
    job = json.loads(stage.workbench(*words, capture_output=True).stdout)
    steps = {step["name"]: step["seconds"] for step in job["result"]["steps"]}
    require(job["state"] == "succeeded", f"The pipeline is {job['state']}: {job['error']}")
    require(len(job["result"]["answers"]["stages"]) == len(steps) - 1, "A stage has answered nothing.")
    print(", ".join(f"{name} {seconds:.0f} s" for name, seconds in steps.items()), flush=True)


def look_at_the_page(stage: Stage) -> None:
    """Fetch the page once."""
    up = running_up(stage.home / "run")
    require(up and up.address, "Nobody says where the page is.")
    assert up is not None
    with urllib.request.urlopen(up.address, timeout=30) as answer:  # noqa: S310 - our own address
        body = answer.read()
    require(b"Workbench" in body, f"{up.address} is not our page.")
    print(f"{up.address}: {len(body):,} bytes", flush=True)


def stop(stage: Stage) -> None:
    """Stop everything as Ctrl-C does, and see that nothing is left."""
    code = _end(stage.up.pop())
    require(code == 0, f"`workbench up` ended with {code}.")
    left = [str(process.pid) for process in psutil.process_iter() if _is_of(process, stage.home)]
    require(not left, f"Processes are left: {', '.join(left)}.")
    files = [path.name for path in (stage.home / "run").iterdir() if not path.is_dir()]
    require(not files, f"Files are left: {', '.join(files)}.")
    print("Everything has stopped; no process, lock or socket is left.", flush=True)


STEPS: tuple[Callable[[Stage], None], ...] = (
    start,
    examine,
    generate,
    generate_for_a_program,
    compare,
    pipeline,
    look_at_the_page,
    stop,
)


def main() -> int:
    """All steps in turn; 1, with the reason, where one fails."""
    began = time.monotonic()
    with _stage() as stage:
        for step in STEPS:
            print(f"\n— {(step.__doc__ or '').strip()}", flush=True)
            try:
                step(stage)
            except (WorkbenchError, OSError, ValueError, KeyError) as error:
                print(f"\nThe demo failed at `{step.__name__}`: {error}", file=sys.stderr)
                return 1
    print(f"\nThe demo went well, in {time.monotonic() - began:.0f} s.")
    return 0


@contextmanager
def _stage() -> Iterator[Stage]:
    real_home = read_settings().home
    with tempfile.TemporaryDirectory(prefix="workbench-demo-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        _lend_model(real_home, home)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
        stage = Stage(home, clean | {"WORKBENCH_HOME": folder, "WORKBENCH_PORT": "0"})
        try:
            yield stage
        finally:
            for process in stage.up:
                _end(process)


def _lend_model(real_home: Path, home: Path) -> None:
    """Let the throwaway home use the model that setup has unpacked; where there is none, `up` unpacks one."""
    if not builtin_is_ready(real_home):
        return
    folder = builtin_folder(home)
    folder.parent.mkdir(parents=True)
    try:
        shutil.copytree(builtin_folder(real_home), folder, copy_function=os.link)
    except (OSError, shutil.Error):  # another disk
        shutil.rmtree(folder, ignore_errors=True)
        folder.symlink_to(builtin_folder(real_home))


def _end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _show(said: str, shown: int) -> int:
    end = said.rfind("\n") + 1
    print(said[shown:end], end="", flush=True)
    return max(shown, end)


def _is_of(process: psutil.Process, home: Path) -> bool:
    try:
        is_ours = process.environ().get("WORKBENCH_HOME") == str(home) or str(home) in " ".join(process.cmdline())
        return is_ours and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
