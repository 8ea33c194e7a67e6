"""A worker of the batch queue that trains without a model, a step when it may: paused and stopped as a real one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping

from core.client import artifact_folder
from core.ids import new_id
from core.settings import Settings, read_settings
from core.states import State
from core.store.claims import Claim, Kept
from core.values import ArtifactKind, ArtifactRef, Measurement, Progress
from tests.web import rewarded, scored, trainings
from tests.web.fake_worker import FakeWorker

MADE_UP = {"sft": trainings, "reward": scored, "rlhf": rewarded}
ADAPTER = {"adapter_model.safetensors": "{}", "adapter_config.json": "{}"}
REWARD = {"model.safetensors": "{}", "config.json": '{"id2label": {"0": "negative", "1": "positive"}}'}
STATE = {"trainer_state.json": "{}"}


class FakeTrainer(FakeWorker):
    """Trains `max_steps` steps (60 unless told). With `waits` each ten steps need a release of `further`."""

    queue = "batch"

    def __init__(self, settings: Settings, pause_s: float = 0.0) -> None:
        super().__init__(settings, pause_s, name="fake-trainer")
        self.home = settings.home
        self.waits = False
        self.further = threading.Semaphore(0)
        self._done: dict[str, int] = {}

    def work(self, claim: Claim) -> None:
        if claim.kind in MADE_UP:
            self.train(claim)
        else:
            self.store.finish(claim.job_id, claim.attempt, State.CANCELLED, None, Kept())

    def train(self, claim: Claim) -> None:
        job, attempt, total = claim.job_id, claim.attempt, claim.spec.get("max_steps") or trainings.TOTAL
        self._begin(claim)
        for step in range(self._done.get(job, 0) + 1, total + 1):
            if self._has_left(claim, step - 1, total):
                return
            self._step(claim, step, total)
            if self.waits and step % 10 == 0 and step < total:
                self._wait(claim)
            time.sleep(self.pause_s)
        if claim.kind == "reward":
            self._keep(claim, ArtifactKind.REWARD, REWARD)
        else:
            self._keep(claim, ArtifactKind.ADAPTER, ADAPTER)
        body = MADE_UP[claim.kind].result(total, total).model_dump(mode="json")
        peak = Measurement(name="peak_bytes", value=1.33e9, unit="bytes", predicted=1.29e9)
        self.store.finish(job, attempt, State.SUCCEEDED, body, Kept(measurements=[peak]))

    def _begin(self, claim: Claim) -> None:
        done = self._done.get(claim.job_id, 0)
        tried = trainings.result().preflight
        assert tried
        kind, facts = ("went_on", {"step": done}) if done else ("preflight", tried.model_dump(mode="json"))
        self.store.add_event(claim.job_id, claim.attempt, kind, facts)

    def _step(self, claim: Claim, step: int, total: int) -> None:
        job, attempt = claim.job_id, claim.attempt
        made_up = MADE_UP[claim.kind]
        logged = [one.model_copy(update={"at": time.time()}) for one in made_up.metrics(step, step, total)]
        self.store.keep(job, attempt, Kept(metrics=logged))
        if step % 10 == 0 or step == 1:
            self.store.keep_result(job, attempt, made_up.result(step, total).model_dump(mode="json"))
        if step % 20 == 0:
            self.store.add_event(job, attempt, "saved", {"step": step, "n_bytes": 58_900_000})
        self._done[job] = step
        said = Progress(current=step, total=total, message="training", eta_s=1.9 * (total - step))
        self.store.set_progress(job, attempt, said)
        self.ring(job)

    def _wait(self, claim: Claim) -> None:
        """Until it may go on, or somebody asks it to stop or to pause."""
        while self.waits and not self._stop_asked.is_set() and not self.further.acquire(timeout=0.05):
            pulse = self.store.pulse([(claim.job_id, claim.attempt)])[claim.job_id]
            if pulse.is_cancel_requested or pulse.is_pause_requested:
                return

    def _has_left(self, claim: Claim, step: int, total: int) -> bool:
        pulse = self.store.pulse([(claim.job_id, claim.attempt)])[claim.job_id]
        if pulse.is_pause_requested:
            self._keep(claim, ArtifactKind.CHECKPOINT, STATE)
            self.store.give_back(claim.job_id, claim.attempt, "paused")
            return True
        if pulse.is_cancel_requested or self._stop_asked.is_set():
            self._keep(claim, ArtifactKind.CHECKPOINT, STATE)
            body = MADE_UP[claim.kind].result(step, total).model_dump(mode="json")
            self.store.finish(claim.job_id, claim.attempt, State.CANCELLED, body, Kept())
            return True
        return False

    def _keep(self, claim: Claim, kind: ArtifactKind, files: Mapping[str, str]) -> None:
        made = ArtifactRef(id=new_id(), kind=kind, name=f"{kind} of reviews", n_bytes=19_600_000)
        folder = artifact_folder(self.home, made.id)
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        self.store.add_artifact(claim.job_id, claim.attempt, made)


if __name__ == "__main__":
    trainer = FakeTrainer(read_settings(), float(sys.argv[1]) if len(sys.argv) > 1 else 0.2)
    trainer.start()
    trainer.join()
