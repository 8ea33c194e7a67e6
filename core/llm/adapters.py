"""Adapters beside the weights of a resident model: each is loaded once, and any is applied over the same base."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import AdapterMismatch, PickledWeights, WorkbenchError
from core.llm.loading import LoadedModel
from core.llm.memory_error import as_workbench_error

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

WEIGHTS = "adapter_model.safetensors"
MOST, KEPT_S = 16, 300.0  # with more than so many, those that nobody has used for so long go
OF_THE_BASE = ("modules_to_save", "trainable_token_indices", "layer_replication")
PLAIN_BEGINNINGS = (True, False, "gaussian", "orthogonal")  # any other writes into the weights of the base


class Adapters:
    """The adapters of one model, of which at most one is applied at a time. For the thread that owns the model."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._wrapped: PeftModel | None = None
        self._used_s: dict[str, float] = {}
        self._applied: str | None = None

    def add(self, name: str, folder: Path, in_use: Collection[str | None] = ()) -> None:
        """Load an adapter, unless it is there.

        Raises:
            AdapterMismatch: it was made for another base, or it is none that leaves the base as it is.
            PickledWeights: its weights could run code.
        """
        if name not in self._used_s:
            if not (folder / WEIGHTS).is_file():
                raise PickledWeights(f"The adapter {folder.name} has no {WEIGHTS}.", "Save it with save_pretrained.")
            self._drop_oldest(in_use)
            self._try(name, folder)
        self._used_s[name] = time.monotonic()

    def use(self, name: str | None) -> None:
        """Apply this adapter, or none, from now on.

        Raises:
            AdapterMismatch: it is not here any more.
        """
        if name is not None and name not in self._used_s:
            raise AdapterMismatch("The adapter was put away meanwhile.", "Ask again.")
        if name != self._applied:
            self._apply(name)
        if name is not None:
            self._used_s[name] = time.monotonic()

    def _try(self, name: str, folder: Path) -> None:
        try:
            self._load(name, folder)
            self._apply(None)
        except Exception as error:
            self._forget(name)
            self._apply(None)
            raise self._explained(error, folder.name) from error

    def _load(self, name: str, folder: Path) -> None:
        from peft import PeftModel  # seconds, and only who uses an adapter needs it

        config = _checked(folder)
        if self._wrapped is None:
            # made empty first: what fails while weights are read can then be taken away again
            self._wrapped = PeftModel(self._loaded.model, config, adapter_name=_key(name))
        else:
            self._wrapped.add_adapter(_key(name), config)
        found = self._wrapped.load_adapter(str(folder), adapter_name=_key(name), torch_device=self._loaded.device)
        if found.unexpected_keys or found.missing_keys:
            odd = [*found.unexpected_keys, *found.missing_keys]
            raise ValueError(f"{len(odd)} of its tensors have no counterpart, such as {odd[0]}.")

    def _apply(self, name: str | None) -> None:
        if self._wrapped is not None:
            tuner: Any = self._wrapped.base_model  # its type hides what it is behind torch's Module
            tuner.set_adapter([_key(name)] if name else [], inference_mode=True)
        self._applied = name

    def _drop_oldest(self, in_use: Collection[str | None]) -> None:
        now_s = time.monotonic()
        idle = [name for name, used_s in self._used_s.items() if name not in in_use and now_s - used_s > KEPT_S]
        for name in sorted(idle, key=lambda one: self._used_s[one])[: max(len(self._used_s) - MOST + 1, 0)]:
            del self._used_s[name]
            self._forget(name)

    def _forget(self, name: str) -> None:
        if self._wrapped is not None and _key(name) in self._wrapped.peft_config:
            self._wrapped.delete_adapter(_key(name))

    def _explained(self, error: Exception, name: str) -> WorkbenchError:
        known = as_workbench_error(error)
        if isinstance(known, WorkbenchError):
            return known
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return AdapterMismatch(
            f"The adapter {name} does not go with {self._loaded.source.name}: {reason[:300]}",
            "Use the base model that it was trained on.",
        )


def _checked(folder: Path) -> LoraConfig:
    """The settings of an adapter that changes nothing but what it adds.

    Raises:
        AdapterMismatch: it is of another sort. Those that write into the base would change every other job's answers.
    """
    from peft import LoraConfig, PeftConfig

    config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise AdapterMismatch(f"The adapter {folder.name} is of another kind than LoRA ({config.peft_type}).")
    changes = [name for name in OF_THE_BASE if getattr(config, name, None)]
    changes += ["bias"] if config.bias != "none" else []
    changes += ["init_lora_weights"] if config.init_lora_weights not in PLAIN_BEGINNINGS else []
    if changes:
        raise AdapterMismatch(
            f"The adapter {folder.name} changes its base itself ({', '.join(changes)}), which others use meanwhile.",
            "Merge it into its base and load the merged model.",
        )
    config.init_lora_weights = True
    config.inference_mode = True
    return config


def _key(name: str) -> str:
    """PEFT makes module names of adapters' names: no dot may be in them, nor may they be a part of its own words."""
    return f"adapter-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
