"""Kinds that hand something on, loaded through WORKBENCH_EXTRA_KINDS."""

from __future__ import annotations

import atexit
import os
import signal
import time
from pathlib import Path

from pydantic import Field

from core.jobs.kind import AnyKind, Context, Kind, Queue, Result
from core.spec import Spec
from core.training.values import Try
from core.values import ArtifactKind, Progress

MODULE = "tests.pipeline.kinds"


class MakeSpec(Spec):
    text: str = Field("", max_length=100, description="What it adds to what it takes")
    source: str = Field("", description="The artifact that it takes")
    sources: tuple[str, ...] = Field((), description="More of them, each within a text")
    model: str = Field("", description="What it begins with")
    seconds: float = Field(0, ge=0, le=600, description="How long it works")
    log: str = Field("", description="A file to which each run is appended")
    trouble: str = Field("", description="What goes wrong: raise, kill once, or kill its worker at the end")
    prompts: tuple[str, ...] = Field((), description="What it answers at its beginning and at its end")
    resume_from: str = Field("", description="A checkpoint to go on from")


class MakeResult(Result):
    text: str
    tries: tuple[Try, ...] = ()


def make(spec: MakeSpec, context: Context) -> MakeResult:
    """Append `text` to what was taken and hand it on; stopped, leave a checkpoint."""
    _note(spec, f"begin {spec.text}{' from a checkpoint' if spec.resume_from else ''}")
    _go_wrong(spec, context)
    taken = "".join((context.open(one) / "made.txt").read_text() for one in (spec.source, spec.model) if one)
    taken += "".join((context.open(one.split(":")[-1].split(",")[0]) / "made.txt").read_text() for one in spec.sources)
    end = time.monotonic() + spec.seconds
    while time.monotonic() < end:
        if context.should_stop():
            _note(spec, f"stopped {spec.text}")
            with context.artifact(ArtifactKind.CHECKPOINT, "checkpoint-1") as folder:
                (folder / "made.txt").write_text(taken)
            return MakeResult(text="stopped")
        context.progress(Progress(message="working"))
        time.sleep(0.05)
    with context.artifact(ArtifactKind.ADAPTER, "made") as folder:
        (folder / "made.txt").write_text(taken + spec.text)
    _note(spec, f"end {spec.text}")
    tries = (
        Try(step=step, prompt=one, completion=f"{spec.text}{step}", has_ended=True)
        for step in (0, 5)
        for one in spec.prompts
    )
    return MakeResult(text=f"It made {taken}{spec.text}.", tries=tuple(tries))


def _note(spec: MakeSpec, line: str) -> None:
    if spec.log:
        with Path(spec.log).open("a") as log:
            log.write(line + "\n")


def _go_wrong(spec: MakeSpec, context: Context) -> None:
    if spec.trouble == "raise":
        raise RuntimeError("it went wrong on purpose")
    if spec.trouble == "kill once" and context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if spec.trouble == "kill its worker at the end":  # once this process has written how the job ended
        atexit.register(os.kill, os.getppid(), signal.SIGKILL)


def _kind(name: str, queue: Queue) -> AnyKind:
    return Kind(
        name=name,
        queue=queue,
        spec=MakeSpec,
        result=MakeResult,
        run=make,
        title=lambda spec: spec.text or name,
        can_pause=name == "make",
        help="Hand something on",
    )


KINDS: tuple[AnyKind, ...] = (_kind("make", Queue.BATCH), _kind("fast", Queue.INTERACTIVE))
