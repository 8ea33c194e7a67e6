"""Kinds of job that live in the tests alone, loaded through WORKBENCH_EXTRA_KINDS."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from pydantic import Field

from core.jobs.kind import AnyKind, Context, Kind, Queue, Result
from core.spec import Spec
from core.values import ArtifactKind, Measurement, Progress
from core.variant import ModelSpec

MODULE = "tests.kinds"


class WorkSpec(Spec):
    seconds: float = Field(0, ge=0, le=600, description="How long it works")
    log: str = Field("", description="A file to which each step is appended")
    text: str = Field("", description="What it streams, word by word")
    trouble: str = Field("", description="What goes wrong: raise, exit, grandchild or stubborn")


class WorkResult(Result):
    text: str
    steps: int
    pid: int


def work(spec: WorkSpec, context: Context) -> WorkResult:
    """Take `seconds`, in steps of 50 ms, and say so in `log`; stop when asked."""
    _note(spec, f"begin {context.attempt}")
    _trouble(spec, context)
    words, steps, end = spec.text.split(" ") if spec.text else [], 0, time.monotonic() + spec.seconds
    said: list[str] = []
    while time.monotonic() < end or len(said) < len(words):
        if context.should_stop() and spec.trouble != "stubborn":
            _note(spec, f"stopped {context.attempt}")
            break
        if len(said) < len(words):
            said.append(words[len(said)] + " ")
            context.token(said[-1])
        steps += 1
        context.progress(Progress(current=steps, message="working"))
        if spec.seconds:
            time.sleep(0.05)
    else:
        _note(spec, f"end {context.attempt}")
    context.measurement(Measurement(name="steps", value=steps, unit="steps"))
    return WorkResult(text="".join(said), steps=steps, pid=os.getpid())


def _note(spec: WorkSpec, line: str) -> None:
    if spec.log:
        with Path(spec.log).open("a") as log:
            log.write(line + "\n")


def _trouble(spec: WorkSpec, context: Context) -> None:
    match spec.trouble:
        case "raise":
            raise RuntimeError("it went wrong on purpose")
        case "exit":
            os._exit(7)
        case "grandchild":
            grandchild = subprocess.Popen(["sleep", "600"])
            _note(spec, f"grandchild {grandchild.pid}")
        case "artifact":
            with context.artifact(ArtifactKind.REPORT, "a report") as folder:
                (folder / "report.txt").write_text("measured")


class AloneResult(Result):
    text: str
    held_bytes: int


def load_alone(spec: ModelSpec, context: Context) -> AloneResult:
    """Load a model in a process of the job's own."""
    resident = context.resident(spec.variant)
    return AloneResult(text=resident.loaded.precision, held_bytes=resident.held_bytes)


class PatientSpec(ModelSpec):
    steps: int = Field(40, ge=1, description="How many steps of 50 ms it makes, over all attempts")
    until: str = Field("", description="A file whose coming ends its work at any step")


class PatientResult(Result):
    text: str
    first_step: int


def hold_a_model(spec: PatientSpec, context: Context) -> PatientResult:
    """Work beside a model in memory, and go on where the attempt before stopped."""
    context.resident(spec.variant)
    kept = context.scratch() / "steps"
    first = step = int(kept.read_text()) if kept.exists() else 0
    steps = spec.steps
    while step < steps and not context.should_stop():
        step += 1
        if spec.until and Path(spec.until).exists():
            steps = step
        kept.write_text(str(step))
        context.progress(Progress(current=step, total=spec.steps, message="working"))
        time.sleep(0.05)
    if step == steps:
        context.whole()
    return PatientResult(text="done", first_step=first)


def _kind(name: str, queue: Queue) -> Kind[WorkSpec, WorkResult]:
    return Kind(
        name=name, queue=queue, spec=WorkSpec, result=WorkResult, run=work, title=lambda spec: spec.text or name
    )


ALONE = Kind(
    name="alone", queue=Queue.BATCH, spec=ModelSpec, result=AloneResult, run=load_alone, title=lambda spec: spec.model
)
PATIENT = Kind(
    name="patient",
    queue=Queue.BATCH,
    spec=PatientSpec,
    result=PatientResult,
    run=hold_a_model,
    title=lambda spec: spec.model,
    can_pause=True,
)
KINDS: tuple[AnyKind, ...] = (_kind("quick", Queue.INTERACTIVE), _kind("long", Queue.BATCH), ALONE, PATIENT)
