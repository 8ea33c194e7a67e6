"""What tests of the pages with models need: workers with models, some of them in memory, without a model anywhere."""

from __future__ import annotations

import time
from typing import Any

from core.client import Workbench
from core.store.holdings import Holding
from core.store.workers import WorkerInfo
from core.values import ModelInfo, Origin, Role

PLACE, WORKER, CARD = "atlas:/srv/wb", "atlas/interactive/1", "card-1"
SMALL, LARGE, TUNED = "Qwen/Qwen2.5-0.5B", "mosaicml/mpt-7b", "ana/poems-lora"
PACKING = "bitsandbytes is not installed"
ABILITIES: dict[str, Any] = {
    "device": "NVIDIA T4",
    "precisions": {"float32": "", "bfloat16": "", "float16": "", "int8": PACKING, "nf4": PACKING},
    "attentions": {"eager": "", "sdpa": "", "flash_attention_2": "flash-attn is not installed"},
    "auto_precision": "float16",
    "compute_dtype": "float16",
}
MODELS = (
    ModelInfo(
        name=SMALL, revision="060db6499f32faf8b98477b0a26969ef7d8b9987", origin=Origin.HUB, role=Role.CAUSAL,
        n_bytes=988_000_000, model_type="qwen2", architecture="Qwen2ForCausalLM", parameters=494_032_768,
        context_length=32_768, stored_as="bfloat16", licence="apache-2.0", has_chat_template=True,
    ),
    ModelInfo(
        name=LARGE, revision="ada218f9a93b5f1c6dce48a4cc9ff01fcba431e7", origin=Origin.HUB, role=Role.CAUSAL,
        n_bytes=13_300_000_000, model_type="mpt", architecture="MPTForCausalLM", parameters=6_649_286_656,
        context_length=2_048, problem="Its weights are pickled: convert it once.", way_out="convert",
    ),
    ModelInfo(
        name=TUNED, origin=Origin.FOLDER, role=Role.ADAPTER, n_bytes=4_900_000, architecture="PEFT adapter",
        stored_as="float32", base=SMALL,
    ),
)  # fmt: skip


def worker(**fields: Any) -> WorkerInfo:
    """A worker on a card of 15.6 GB."""
    usual: dict[str, Any] = {
        "id": WORKER, "queue": "interactive", "host": "atlas", "pid": 1, "device": "NVIDIA T4", "memory_kind": "gpu",
        "memory_total": 15.6e9, "memory_free": 9.2e9, "slots": 4, "card": CARD, "place": PLACE, "abilities": ABILITIES,
    }  # fmt: skip
    return WorkerInfo(**usual | fields)


def held(**fields: Any) -> Holding:
    """A model in its memory."""
    usual: dict[str, Any] = {
        "worker": WORKER, "key": "/srv/wb/models/secret nf4 sdpa", "card": CARD, "model": SMALL, "revision": None,
        "precision": "nf4", "attention": "sdpa", "n_bytes": 467_000_000, "is_loading": False, "users": (),
        "used_at": time.time() - 900,
    }  # fmt: skip
    return Holding(**usual | fields)


def fill(workbench: Workbench, models: tuple[ModelInfo, ...] = MODELS, holdings: tuple[Holding, ...] = ()) -> None:
    """Let a worker report all this."""
    workbench.store.report_worker(worker(), 60)
    workbench.store.report_models(PLACE, models)
    workbench.store.report_holdings(WORKER, holdings)
