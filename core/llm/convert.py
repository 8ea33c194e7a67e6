"""Makes a copy of a model with safetensors in place of pickled weights, in bounded memory, whole or not at all.

How the files are read without running any of them is in `core.llm.pickles`.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.catalog import ModelSource
from core.catalog.card import object_of
from core.catalog.source import models_folder
from core.catalog.weights import CONFIG_NAME, INDEX_NAME, Form, is_small_file, missing_files, weights_of
from core.errors import DiskFull, ModelBroken
from core.llm.pickles import read_pickled, write_safetensors
from core.values import Progress

HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output_projection)\.weight$")
MARGIN_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Converted:
    """The model that was made."""

    name: str
    folder: Path
    n_bytes: int
    n_tensors: int


def convert(
    source: ModelSource, home: Path, report: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> Converted | None:
    """A copy of `source` with safetensors, in the home's `models`; None where it was stopped, and then nothing is left.

    Raises:
        PickledWeights: a file holds more than numbers; nothing of it was run.
        ModelBroken: a file is damaged or missing, or there is nothing to convert.
        DiskFull: there is no room for the copy.
    """
    files = _pickled_files(source)
    name = source.name.strip("/").replace("/", "--") if not Path(source.name).is_absolute() else source.folder.name
    target = _free_name(models_folder(home) / _tidy(name), source)
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_room(target.parent, files, source.name)
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        n_tensors = _Conversion(source, part, files, report, should_stop).run()
        if n_tensors is None:
            return None
        part.chmod(0o755)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    n_bytes = sum(path.stat().st_size for path in target.iterdir())
    return Converted(target.name, target, n_bytes, n_tensors)


def _pickled_files(source: ModelSource) -> list[Path]:
    weights = weights_of(source.folder)
    if weights.form is not Form.PICKLED:
        raise ModelBroken(f"{source.name} has no pickled weights: there is nothing to convert.")
    if missing := missing_files(source.folder, weights):
        raise ModelBroken(f"{source.name} is incomplete: {missing[0]} is missing.")
    return [source.folder / file for file in weights.files]


def _tidy(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:200] or "model"


def _free_name(target: Path, source: ModelSource) -> Path:
    if target == source.folder or source.folder.parent == target.parent:
        target = target.with_name(f"{target.name}-safetensors")
    if target.exists():
        raise ModelBroken(
            f"{source.name} is converted already: the result is {target.name}.",
            f"Use the model {target.name}, or remove it first.",
        )
    return target


def _check_room(folder: Path, files: list[Path], name: str) -> None:
    needed, free = sum(path.stat().st_size for path in files), shutil.disk_usage(folder).free
    if needed + MARGIN_BYTES > free:
        raise DiskFull(
            f"The copy of {name} needs {needed / 1e6:,.0f} MB, and the disk of {folder} has {free / 1e6:,.0f} MB free.",
            "Remove models that are not needed.",
        )


class _Stop(Exception):
    """The work was asked to end."""


class _Conversion:
    def __init__(
        self,
        source: ModelSource,
        part: Path,
        files: list[Path],
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._source, self._part, self._files = source, part, files
        self._report, self._should_stop = report, should_stop
        self._total = sum(path.stat().st_size for path in files)
        self._done = 0
        self._is_tied = object_of(source.folder / CONFIG_NAME).get("tie_word_embeddings", True) is not False

    def run(self) -> int | None:
        """How many tensors were written; None where it was stopped."""
        for path in self._source.folder.iterdir():
            if is_small_file(path.name) and path.is_file():
                shutil.copyfile(path, self._part / path.name)
        where: dict[str, str] = {}
        try:
            for path in self._files:
                where |= dict.fromkeys(self._shard(path), _new_name(path.name))
        except _Stop:
            return None
        if len(self._files) > 1:
            index = {"metadata": {"total_size": self._done}, "weight_map": where}
            (self._part / INDEX_NAME).write_text(json.dumps(index, indent=1, sort_keys=True), encoding="utf-8")
        return len(where)

    def _shard(self, path: Path) -> list[str]:
        tensors = _own(read_pickled(path, self._source.name), self._is_tied)
        with (self._part / _new_name(path.name)).open("wb") as file:
            for tensor in write_safetensors(file, tensors):
                self._done += tensor.nbytes
                self._report(Progress(current=self._done, total=self._total, message=f"converting {path.name}"))
                if self._should_stop():
                    raise _Stop
        return list(tensors)


def _new_name(name: str) -> str:
    stem = Path(name).stem
    return f"{stem.replace('pytorch_model', 'model')}.safetensors"


def _own(tensors: dict[str, torch.Tensor], is_tied: bool) -> dict[str, torch.Tensor]:
    """The tensors to write: of a tied pair the head is left out, since the model builds it from the embedding.

    Others that share memory are written each for itself: safetensors knows no sharing.
    """
    seen = {}
    for key, tensor in tensors.items():
        if not HEAD.search(key):
            seen[_place(tensor)] = key
    return {key: t for key, t in tensors.items() if not (is_tied and HEAD.search(key) and _place(t) in seen)}


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype
