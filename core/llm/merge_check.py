"""Holds a merged model against base + adapter: kept logits and divergences, and what both answer. Never both at once.

`Gate` is given base + adapter first, and keeps its logits and log-probabilities on disk; whatever is given after it,
alone in memory, is measured from them. By which rule it passes is in `core.comparison.merged`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.comparison.merged import Distance
from core.comparison.texts import EvaluationText
from core.comparison.values import Text
from core.errors import AdapterMismatch, BadInput, WorkbenchError
from core.llm.encode import check_tokens, encode_question
from core.llm.engine import Engine, Request
from core.llm.loading import LoadedModel
from core.llm.memory_error import as_workbench_error
from core.llm.merging_adapter import adapter_config
from core.llm.quality import Told, quality_of, score
from core.llm.sampling import resolve_sampling
from core.llm.scores import Scores
from core.llm.windows import Windows, cut

LOG_PROBABILITIES, LOGITS = "log_probabilities.npy", "logits.npy"
BYTES_A_LOGIT = 2 + 4  # log-probabilities in 16 bit, logits in float32
NOISE_BATCH = 2
SHORTEST_WINDOW = 16


@dataclass(frozen=True)
class Exam:
    """What both models are asked."""

    text: EvaluationText
    prompts: tuple[str, ...]
    eval_tokens: int
    window: int
    max_new_tokens: int
    seed: int


class GateStopped(BaseException):
    """The check was asked to end. No library may catch it by `except Exception`."""


class Gate:
    """One check: `reference` first, then `distance` of others; `answers` last, since it takes the model over.

    Args:
        folder: for what is kept meanwhile.
        tell: hears how many windows are scored, and how many there are.
    """

    def __init__(self, folder: Path, exam: Exam, tell: Told, should_stop: Callable[[], bool]) -> None:
        self._folder, self._exam = folder, exam
        self._tell, self._should_stop = tell, should_stop
        self._windows: Windows | None = None
        self._scores: Scores | None = None
        self._asked: list[tuple[int, ...] | str] = []

    def prepare(self, loaded: LoadedModel) -> int:
        """Make tokens of text and prompts, the same for every model; gives the bytes that will be kept on disk.

        Raises:
            BadInput: the text is too short.
        """
        self._windows = self._cut(loaded)
        self._asked = [self._encoded(loaded, prompt) for prompt in self._exam.prompts]
        model: Any = loaded.model
        head = model.get_output_embeddings()
        return self._windows.ids_W_T.numel() * int(head.weight.shape[0]) * BYTES_A_LOGIT

    def reference(self, loaded: LoadedModel) -> Distance:
        """Keep how base + adapter predict the text; how far they are from themselves, several windows at once.

        Raises:
            GateStopped: asked to end meanwhile.
            NotANumber: they compute NaN or infinity.
            DiskFull: there is no room for what is kept.
        """
        with _Logits(self._folder / LOGITS).kept(loaded.model, self._cuts):
            self._scores = self._score(loaded, keep=self._folder / LOG_PROBABILITIES)
        return self.distance(loaded, batch=min(NOISE_BATCH, self._cuts.n_windows))

    def distance(self, loaded: LoadedModel, batch: int = 1) -> Distance:
        """How far a model is from the reference.

        Raises:
            GateStopped: asked to end meanwhile.
            BadInput: its vocabulary has another size.
        """
        logits = _Logits(self._folder / LOGITS)
        with logits.compared(loaded.model):
            scores = self._score(loaded, against=self._folder / LOG_PROBABILITIES, batch=batch)
        quality = quality_of(scores, self._cuts, self._scores, self._exam.seed)
        return Distance(quality=quality, logit_difference=logits.difference, logit_most=logits.most)

    def answers(self, loaded: LoadedModel) -> list[tuple[str, str]]:
        """What a model answers to each prompt, always the likeliest token; or "" and why not."""
        engine = Engine(loaded)
        try:
            return [self._answer(engine, asked) for asked in self._asked]
        finally:
            engine.close()

    def as_text(self) -> Text:
        """What was read, as a result keeps it."""
        return self._cuts.as_text((self._folder / LOG_PROBABILITIES).stat().st_size)

    @property
    def _cuts(self) -> Windows:
        assert self._windows, "prepare comes first"
        return self._windows

    def _cut(self, loaded: LoadedModel) -> Windows:
        exam = self._exam
        window = min(exam.window, exam.eval_tokens)
        while True:
            try:
                windows = cut(
                    loaded.tokenizer, exam.text, window=window, eval_tokens=exam.eval_tokens,
                    context_length=loaded.context_length,
                )  # fmt: skip
            except BadInput:  # a short text is enough for a shorter window
                window //= 2
                if window < SHORTEST_WINDOW:
                    raise
            else:
                check_tokens(loaded, windows.ids_W_T.flatten().tolist())
                return windows

    def _encoded(self, loaded: LoadedModel, prompt: str) -> tuple[int, ...] | str:
        try:
            ids = tuple(encode_question(loaded, prompt))
            resolve_sampling(loaded, {}, len(ids), 0)
        except WorkbenchError as error:
            return f"{error.message} {error.hint}".strip()
        return ids or "The prompt is of zero tokens."

    def _score(self, loaded: LoadedModel, **given: Any) -> Scores:
        scores = score(loaded.model, self._cuts, tell=self._tell, should_stop=self._should_stop, **given)
        if scores is None:
            raise GateStopped
        return scores

    def _answer(self, engine: Engine, asked: tuple[int, ...] | str) -> tuple[str, str]:
        if isinstance(asked, str):
            return "", asked
        sampling = resolve_sampling(
            engine.loaded,
            {"temperature": 0.0, "max_new_tokens": self._exam.max_new_tokens, "repetition_penalty": 1.0},
            len(asked),
            self._exam.seed,
        )
        found = []
        for chunk in engine.submit(Request(asked, sampling)):
            found.append(chunk.text)
            if self._should_stop():
                raise GateStopped
        return "".join(found).replace("\0", "\ufffd"), ""


class _Logits:
    """The logits of one pass in a file; `difference` and `most` are those of the last pass that was held against it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._window = 0
        self.difference = self.most = 0.0

    @contextmanager
    def kept(self, model: Any, windows: Windows) -> Iterator[None]:
        """Inside the `with` block what the model computes is written, (windows, tokens, vocabulary) in float32."""
        with self._path.open("wb") as file:

            def write(logits_B_T_V: torch.Tensor) -> None:
                if not file.tell():
                    shape = (*windows.ids_W_T.shape, logits_B_T_V.shape[-1])
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(logits_B_T_V.float().cpu().contiguous().numpy().data)

            with _heard(model, write):
                yield

    @contextmanager
    def compared(self, model: Any) -> Iterator[None]:
        """Inside the `with` block what the model computes is held against what was kept."""
        rows: Any = np.load(self._path, mmap_mode="r")

        def compare(logits_B_T_V: torch.Tensor) -> None:
            for logits_T_V in logits_B_T_V:
                kept_T_V = torch.from_numpy(np.array(rows[self._window]))
                if kept_T_V.shape[-1] != logits_T_V.shape[-1]:
                    return  # said by the scores
                apart_T_V = (logits_T_V.float().cpu() - kept_T_V).abs_().nan_to_num_(0.0, 0.0)  # both minus infinity
                self.difference = max(self.difference, float(apart_T_V.max()))
                self.most = max(self.most, float(kept_T_V[kept_T_V.isfinite()].abs().max()))
                self._window += 1

        with _heard(model, compare):
            yield


@contextmanager
def _heard(model: Any, hear: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Inside the `with` block `hear` gets the logits of every pass."""
    handle = model.register_forward_hook(lambda _module, _given, output: hear(output.logits))
    try:
        yield
    finally:
        handle.remove()


def put_on(loaded: LoadedModel, adapter: Path) -> None:
    """Put an adapter on a model that nobody else uses, by PEFT's own way: what is merged is held against that.

    Raises:
        AdapterMismatch: it does not go with this base.
    """
    from peft import LoraConfig, PeftModel  # seconds, and only a check needs it

    adapter_config(adapter)
    try:
        config = LoraConfig.from_pretrained(str(adapter))
        config.init_lora_weights, config.inference_mode = True, True  # what it begins with is read over at once
        wrapped = PeftModel(loaded.model, config, adapter_name="default")
        found = wrapped.load_adapter(str(adapter), adapter_name="default", torch_device=loaded.device)
        if found.unexpected_keys or found.missing_keys:
            odd = [*found.unexpected_keys, *found.missing_keys]
            raise ValueError(f"{len(odd)} of its tensors have no counterpart, such as {odd[0]}.")
        wrapped.eval()
    except Exception as error:
        known = as_workbench_error(error)
        if isinstance(known, WorkbenchError):
            raise known from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AdapterMismatch(
            f"The adapter {adapter.name} does not go with {loaded.source.name}: {reason[:300]}",
            "Use the base model that it was trained on.",
        ) from error
