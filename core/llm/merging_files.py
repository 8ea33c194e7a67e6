"""The small files of a merged model: its settings, its tokenizer, and the card that says what it was made of."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.catalog import BUILTIN_NAME, ModelSource
from core.catalog.card import licence_of, object_of
from core.catalog.weights import CONFIG_NAME, is_small_file
from core.comparison.merged import MergeAsked, MergeReport, card_lines
from core.llm.merging_adapter import Adapter
from core.llm.merging_plan import Plan
from core.training.lineage import FILE, write_lineage

CARD_NAME, BEGAN = "README.md", "began"
UNFINISHED = ".partial"  # of a folder that has not got its name yet
TOKENIZER = re.compile(
    r"(tokenizer.*|special_tokens_map\.json|added_tokens\.json|chat_template.*|vocab\.(json|txt)|merges\.txt|.*\.model)"
)
PACKED_NAME = re.compile(r"(bnb|4-?bit|8-?bit|int8|int4|nf4|gptq|awq)", re.IGNORECASE)
PACKED = ("int8", "nf4", "nf4-dq", "fp4", "fp4-dq")
BUILTIN_LICENCE = "apache-2.0"


def begin(scratch: Path, folder: Path) -> None:
    """Note which folder is being filled, for the attempt after one that is killed meanwhile."""
    (scratch / BEGAN).write_text(str(folder), encoding="utf-8")


def clear(scratch: Path) -> None:
    """Remove what a killed attempt had written of the merged model: it may be most of a disk."""
    began = scratch / BEGAN
    if began.exists() and (left := Path(began.read_text(encoding="utf-8"))).suffix == UNFINISHED:
        shutil.rmtree(left, ignore_errors=True)


def write_small_files(source: ModelSource, adapter: Adapter, plan: Plan, folder: Path) -> None:
    """Settings with the new dtype, and all else that belongs to a model; the adapter's tokenizer where it has one."""
    for path in _copied(source.folder, adapter.folder):
        shutil.copyfile(path, folder / path.name)
    config = object_of(source.folder / CONFIG_NAME)
    (folder / CONFIG_NAME).write_text(json.dumps(_settings(config, plan), indent=2) + "\n", encoding="utf-8")


def small_bytes(source: ModelSource, adapter: Adapter) -> int:
    """What these files take, about."""
    return sum(path.stat().st_size for path in _copied(source.folder, adapter.folder)) + 100_000


def own_tokenizer(adapter: Path) -> bool:
    """Whether an adapter comes with a whole tokenizer: it was trained with that one."""
    return all((adapter / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))


def licence(source: ModelSource) -> str:
    """The licence of a base, as far as its files say it."""
    return licence_of(source.folder) or (BUILTIN_LICENCE if source.name == BUILTIN_NAME else "")


def trained_over(adapter: Adapter) -> str:
    """What the base was packed in while the adapter was trained, as far as its files tell; "" where they do not."""
    dtype = str(object_of(adapter.folder / FILE).get("base_dtype", ""))
    if dtype in PACKED:
        return dtype
    found = PACKED_NAME.search(adapter.base.rpartition("/")[2])
    return found[0] if found else ""


def sign(folder: Path, asked: MergeAsked, report: MergeReport, adapter: Adapter, job_id: str) -> None:
    """Say what the merged model was made of: in README.md for people, the Hub and the catalog, and as its lineage."""
    front = {"license": report.licence, "base_model": report.base}
    said = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in front.items() if value]
    top = ["---", *said, "library_name: transformers", "pipeline_tag: text-generation", "---"]
    text = "\n".join([*top, "", f"# {report.model}", "", *card_lines(report, job_id), ""])
    (folder / CARD_NAME).write_text(text, encoding="utf-8")
    facts: dict[str, Any] = {
        "base": report.base,
        "revision": report.revision,
        "licence": report.licence,
        "base_dtype": report.dtype,
    }
    facts |= {"verdict": report.verdict, "adapter": object_of(adapter.folder / FILE)}
    write_lineage(folder, job_id, "merge", asdict(asked), **facts)


def _copied(base: Path, adapter: Path) -> Iterator[Path]:
    """The base's small files, then those of the adapter that take their place."""
    for path in sorted(base.iterdir()):
        if path.is_file() and is_small_file(path.name) and path.name not in (CONFIG_NAME, CARD_NAME, FILE):
            yield path
    if own_tokenizer(adapter):
        yield from (path for path in sorted(adapter.iterdir()) if path.is_file() and TOKENIZER.fullmatch(path.name))


def _settings(config: dict[str, Any], plan: Plan) -> dict[str, Any]:
    left_out = ("torch_dtype", "dtype", "_name_or_path")
    found = {name: value for name, value in config.items() if name not in left_out} | {"dtype": plan.dtype}
    if plan.is_untied:
        found["tie_word_embeddings"] = False
    for name in ("text_config", "language_config"):
        if isinstance(found.get(name), dict):
            found[name] = _settings(found[name], plan)
    return found
