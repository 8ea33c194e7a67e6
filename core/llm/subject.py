"""A variant in a process of its own, measured on request: the other end of `core.comparison.subject`.

One JSON object a line comes in, `{"do": …}` with arguments; for each, lines of progress and then a value or a trouble
go out. What can be asked for are the methods of `Subject` that ASKED names.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from core.comparison.prospects import PROMPT_TOKENS
from core.comparison.texts import EvaluationText
from core.comparison.values import Decode, Output, Prefill, Said
from core.errors import BadInput, WorkbenchError
from core.libraries import prepare_libraries
from core.llm.bench import open_bench
from core.llm.encode import check_tokens, encode_chat, encode_text
from core.llm.engine import Request
from core.llm.facts import facts_of
from core.llm.layers import measure_layers
from core.llm.memory_error import as_workbench_error
from core.llm.quality import noise_of, quality_of, score
from core.llm.resident import release_memory
from core.llm.sampling import resolve_sampling
from core.llm.scores import Scores
from core.llm.speed import copy_bytes_per_s, read_prompt, time_to_first_token_s, tokens_per_s
from core.llm.windows import Windows, cut
from core.memory import estimate
from core.memory.formula import size
from core.tether import die_with_parent
from core.values import Message, Progress, Trouble
from core.variant import Variant

ASKED = (
    "load", "memory", "curves", "bandwidth", "first_token_s", "tokens_per_s", "samples", "score_reference", "score",
    "layers",
)  # fmt: skip
TIMED = ("first_token_s", "tokens_per_s")
DEAD = "worker_lost"
LOG_PROBABILITIES = "log_probabilities.npy"
NOISE_BATCH = 2
SAY_S = 0.5


class Subject:
    """One variant, loaded once and measured many times.

    Args:
        tell: hears how far a long answer is.
    """

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._said_s = 0.0
        self._is_warm: set[tuple[str, int]] = set()
        self._adapter: str | None = None

    def load(self, home: str, variant: Mapping[str, Any], trusted_code: str) -> dict[str, Any]:
        """Bring the variant into memory; what is known of it then."""
        asked = Variant(**variant)
        self._home = Path(home)
        self._bench = open_bench(self._home, asked, trusted_code, self._hear_bytes)
        if asked.adapter:
            self._adapter = asked.adapter
            self._apply(asked.adapter)
        return facts_of(self._bench, asked.adapter)

    def memory(
        self, contexts: list[int], batches: list[int], n_tokens: int, usable_bytes: int
    ) -> dict[str, list[dict[str, Any]]]:
        """The peaks of reading a prompt of each length, and of making tokens in each batch."""
        attention = self._bench.resident.loaded.attention
        prefill = [self._prefill(n, attention, usable_bytes) for n in self._said(contexts, "prompts")]
        decode = [self._decode(batch, n_tokens, usable_bytes) for batch in self._said(batches, "batches")]
        return {"prefill": [_plain(one) for one in prefill], "decode": [_plain(one) for one in decode]}

    def curves(self, contexts: list[int], usable_bytes: int) -> list[dict[str, Any]]:
        """The peak of reading a prompt by its length, with each attention that runs."""
        model, found = self._bench.resident.loaded.model, []
        before = self._bench.resident.loaded.attention
        try:
            for attention in self._said(self._bench.attentions, "attention implementations"):
                model.set_attn_implementation(attention)
                points = [_plain(self._prefill(n, attention, usable_bytes)) for n in contexts]
                found.append({"attention": str(attention), "points": points})
        finally:
            model.set_attn_implementation(before)
        return found

    def bandwidth(self) -> float:
        """Bytes that the device copies in a second, read and written."""
        return copy_bytes_per_s(self._bench.resident.loaded.device)

    def first_token_s(self, context: int) -> float:
        """One repeat, warmed up: seconds until the next token of a prompt of that length is known."""
        model = self._bench.resident.loaded.model
        if self._is_cold("prefill", context):
            time_to_first_token_s(model, context)
        return time_to_first_token_s(model, context)

    def tokens_per_s(self, batch: int, n_tokens: int) -> float:
        """One repeat, warmed up: tokens of all rows a second."""
        model = self._bench.resident.loaded.model
        if self._is_cold("decode", batch):
            tokens_per_s(model, batch, min(n_tokens, 4))
        return tokens_per_s(model, batch, n_tokens)

    def samples(
        self, prompts: list[str], mode: str, max_new_tokens: int, temperature: float, seed: int
    ) -> list[dict[str, Any]]:
        """What it answers to each prompt, by itself: the likeliest tokens, and sampled ones beside them."""
        found = [self._sample(prompt, mode, max_new_tokens, temperature, seed) for prompt in prompts]
        self._apply(self._adapter)
        return [_plain(one) for one in found]

    def _sample(self, prompt: str, mode: str, max_new_tokens: int, temperature: float, seed: int) -> Output:
        loaded, engine, running = self._bench.resident.loaded, self._bench.resident.engine, []
        try:
            ids = tuple(self._encode(prompt, mode))
            for at in (0.0, temperature):
                asked = {"temperature": at, "max_new_tokens": max_new_tokens}
                sampling = resolve_sampling(loaded, asked, len(ids), seed)
                running.append(engine.submit(Request(ids, sampling, self._adapter)))
            greedy, sampled = (_text(one) for one in running)
        except WorkbenchError as error:
            for one in running:
                one.cancel()
            why = f"{error.message} {error.hint}".strip()
            return Output(prompt=prompt, greedy="", sampled="", why_not=why)
        return Output(prompt=prompt, greedy=greedy, sampled=sampled)

    def score_reference(self, text: Mapping[str, str], window: int, eval_tokens: int, folder: str) -> dict[str, Any]:
        """How it predicts the text, its log-probabilities kept in the folder, and how far it is from itself."""
        windows, model, kept = self._cut(text, window, eval_tokens), self._model, Path(folder) / LOG_PROBABILITIES
        scores = score(model, windows, keep=kept, tell=self._hear_windows)
        batch = min(NOISE_BATCH, windows.n_windows)
        again = score(model, windows, batch=batch, against=kept, tell=self._hear_windows)
        assert scores
        assert again
        scores.save(Path(folder))
        return {
            "quality": _plain(quality_of(scores, windows, None)),
            "noise": _plain(noise_of(scores, again, batch)),
            "evaluation": _plain(windows.as_text(kept.stat().st_size)),
        }

    def score(self, text: Mapping[str, str], window: int, eval_tokens: int, folder: str | None) -> dict[str, Any]:
        """How it predicts the text beside the reference, whose scores lie in the folder; None: alone."""
        windows, why = self._cut(text, window, eval_tokens), ""
        reference = Scores.load(Path(folder)) if folder else None
        if reference and reference.tokens_sha256 != windows.tokens_sha256:
            reference, why = None, "Its tokenizer makes other tokens of the text than the reference's."
        against = Path(folder) / LOG_PROBABILITIES if folder and reference else None
        try:
            scores = score(self._model, windows, against=against, tell=self._hear_windows)
        except BadInput as error:  # another vocabulary: what it is alone can still be told
            scores, reference, why = score(self._model, windows, tell=self._hear_windows), None, error.message
        assert scores
        quality = quality_of(scores, windows, reference)
        return {"quality": _plain(quality), "why_not": why, "evaluation": _plain(windows.as_text())}

    def layers(self, text: Mapping[str, str] | None, window: int, threshold: float) -> list[dict[str, Any]]:
        """What quantizing did to each layer's weights; with a text, how many columns int8 keeps in 16 bit on it."""
        ids_1_T = None
        with contextlib.suppress(BadInput):  # too short a text: the weights can be compared without one
            ids_1_T = self._cut(text, window, window).ids_W_T[:1] if text else None
        loaded = self._bench.resident.loaded
        return [_plain(one) for one in measure_layers(loaded, ids_1_T, threshold)]

    @property
    def _model(self) -> Any:
        return self._bench.resident.loaded.model

    def _cut(self, text: Mapping[str, str], window: int, eval_tokens: int) -> Windows:
        loaded = self._bench.resident.loaded
        whole = Path(text["path"]).read_bytes().decode()  # read as text it would lose carriage returns
        read = EvaluationText(text["name"], whole, text["sha256"])
        windows = cut(
            loaded.tokenizer, read, window=window, eval_tokens=eval_tokens, context_length=loaded.context_length
        )
        check_tokens(loaded, windows.ids_W_T.flatten().tolist())
        return windows

    def _encode(self, prompt: str, mode: str) -> list[int]:
        loaded = self._bench.resident.loaded
        if mode == "chat" and loaded.tokenizer.chat_template:
            return encode_chat(loaded, [Message(role="user", content=prompt)])
        ids = encode_text(loaded, prompt)
        if not ids:
            raise BadInput("The prompt is of zero tokens.")
        return ids

    def _apply(self, adapter: str | None) -> None:
        from core.catalog import resolve

        engine = self._bench.resident.engine
        if adapter:
            engine.add_adapter(adapter, resolve(adapter, self._home).folder)
        engine.apply_adapter(adapter)

    def _prefill(self, context: int, attention: str, usable_bytes: int) -> Prefill:
        loaded = self._bench.resident.loaded
        predicted = self._predicted(context, 1, attention)
        work = lambda: read_prompt(loaded.model, context)  # noqa: E731
        measured, why = self._peak(work, predicted, usable_bytes, self._why_too_long(context))
        self._is_warm.add(("prefill", context))
        return Prefill(context=context, peak_bytes=Said(predicted=predicted, measured=measured), why_not=why)

    def _decode(self, batch: int, n_tokens: int, usable_bytes: int) -> Decode:
        loaded = self._bench.resident.loaded
        whole = PROMPT_TOKENS + n_tokens
        predicted = self._predicted(whole, batch, loaded.attention)
        work = lambda: tokens_per_s(loaded.model, batch, n_tokens)  # noqa: E731
        measured, why = self._peak(work, predicted, usable_bytes, self._why_too_long(whole))
        self._is_warm.add(("decode", batch))
        return Decode(batch=batch, peak_bytes=Said(predicted=predicted, measured=measured), why_not=why)

    def _why_too_long(self, n_tokens: int) -> str:
        most = self._bench.resident.loaded.context_length
        return f"the model reads at most {most:,} tokens" if n_tokens > most else ""

    def _predicted(self, context: int, batch: int, attention: str) -> int | None:
        bench = self._bench
        if bench.model is None or attention not in bench.model.attentions:
            return None
        precision, on_host = bench.resident.loaded.precision, not bench.on_card
        return estimate(
            bench.model, precision=precision, context=context, batch=batch, attention=attention, on_host=on_host
        ).total_bytes

    def _peak(
        self, work: Callable[[], object], predicted: int | None, usable_bytes: int, why: str
    ) -> tuple[int | None, str]:
        if not why and predicted is not None and predicted > usable_bytes:
            why = f"it needs {size(predicted)}, and {size(usable_bytes)} can be used"
        if why:
            return None, why
        try:
            return self._bench.peak_bytes(work), ""
        except Exception as error:  # a card that is full, a class that takes other arguments: this figure alone is lost
            trouble = _trouble(error)
            if trouble.code == DEAD:
                raise
            return None, trouble.message[:300]

    def _is_cold(self, what: str, how_many: int) -> bool:
        is_cold = (what, how_many) not in self._is_warm
        self._is_warm.add((what, how_many))
        return is_cold

    def _said(self, things: list[Any], what: str) -> Iterator[Any]:
        for n, thing in enumerate(things, 1):
            self._tell(Progress(current=n - 1, total=len(things), message=f"memory: {what}"))
            yield thing

    def _hear_windows(self, done: int, total: int) -> None:
        self._tell(Progress(current=done, total=total, message="quality"))

    def _hear_bytes(self, read: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s > SAY_S:
            self._said_s = now_s
            self._tell(Progress(current=read, total=total, message="loading"))


def _text(generation: Any) -> str:
    """All of an answer; a database takes no NUL."""
    return "".join(chunk.text for chunk in generation).replace("\0", "\ufffd")


def _plain(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = value.model_dump(mode="json")
    return found


def answer(subject: Any, line: str) -> dict[str, Any]:
    """What one line asks for, as what is to be said: a value, or why there is none."""
    asked = json.loads(line)
    what = asked.pop("do")
    try:
        if what not in ASKED:
            raise BadInput(f"There is nothing named {what} to measure.")
        return {"value": getattr(subject, what)(**asked)}
    except Exception as error:  # the edge of this process: whoever asked goes on with the other variants
        return {"trouble": _plain(_trouble(error))}
    finally:
        if what not in TIMED:  # the next repeat of a speed finds what it needs; all else is given back to the others
            release_memory()


def _trouble(error: Exception) -> Trouble:
    """What went wrong, and no longer the frames of it, which hold the tensors that did not fit."""
    known = as_workbench_error(error)
    if isinstance(known, WorkbenchError):
        trouble = Trouble(code=known.code, message=known.message, hint=known.hint)
    else:
        is_over = "CUDA error" in str(error)  # after one of these nothing works in this process any more
        logging.getLogger(__name__).error("measuring failed", exc_info=error)
        message = f"{type(error).__name__}: {error}"[:500]
        trouble = Trouble(code=DEAD if is_over else "bug", message=message)
    for each in (error, known):
        traceback.clear_frames(each.__traceback__)
    release_memory()
    return trouble


def main() -> None:
    """Answer until nothing more is asked."""
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the whole group gets it; our parent decides what becomes of us
    prepare_libraries()
    logging.disable(logging.WARNING)  # bitsandbytes warns once a layer and step
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not come between our lines
    subject = Subject(lambda progress: _say(out, {"progress": _plain(progress)}))
    for line in sys.stdin:
        said = answer(subject, line)
        _say(out, said)
        if said.get("trouble", {}).get("code") == DEAD:
            sys.exit(1)


def _say(out: TextIO, said: Mapping[str, Any]) -> None:
    out.write(json.dumps(said) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
