"""The model that is trained: its base as it is asked for, and the adapter beside it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from torch import nn

from core.errors import AdapterMismatch, BadInput
from core.llm.codes import keep_codes
from core.llm.loading import LoadedModel
from core.training.fields import ALL_LINEAR, TrainFields
from core.training.plan import Plan


def peft_config(spec: TrainFields, loaded: LoadedModel) -> LoraConfig | None:
    """PEFT's settings of a new adapter; None where all weights are trained, or an adapter is trained further.

    Raises:
        BadInput: a layer that is named does not exist; the hint names those that do.
    """
    if spec.method == "full" or spec.adapter:
        return None
    targets = list(spec.target_modules)
    if targets != [ALL_LINEAR]:
        _check_targets(targets, loaded)
    return LoraConfig(
        r=spec.r,
        lora_alpha=spec.lora_alpha,
        lora_dropout=spec.lora_dropout,
        target_modules=ALL_LINEAR if targets == [ALL_LINEAR] else targets,
        use_dora=spec.use_dora,
        use_rslora=spec.use_rslora,
        task_type="CAUSAL_LM",
    )


def made_ready(spec: TrainFields, loaded: LoadedModel, adapter: Path | None) -> nn.Module:
    """The base, with the adapter that is trained further, if there is one.

    Raises:
        AdapterMismatch: that adapter was made for another base.
    """
    keep_codes(loaded.model, all_of_them=True)
    loaded.model.config.use_cache = False
    if adapter is None:
        return loaded.model
    try:
        config = PeftConfig.from_pretrained(str(adapter))
        config.inference_mode = False
        wrapped = PeftModel(loaded.model, config)
        found = wrapped.load_adapter(str(adapter), "default", is_trainable=True)
        odd = [*found.unexpected_keys, *found.missing_keys]
        reason = f"{len(odd)} of its tensors have no counterpart, such as {odd[0]}." if odd else ""
    except (RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if reason:
        raise AdapterMismatch(
            f"The adapter {spec.adapter} does not go with {loaded.source.name}: {reason[:300]}",
            "Train it further over the base that it was made for.",
        )
    return wrapped


def keep_float32(model: Any, plan: Plan) -> None:
    """What is trained stays in float32 where float16 computes.

    TRL makes adapters over packed bases bfloat16, whose gradients cannot be scaled.
    """
    if plan.mixed == "fp16":
        for one in model.parameters():
            one.data = one.data.float() if one.requires_grad else one.data


def name_base(folder: Path, model: str, revision: str | None) -> None:
    """Say in an adapter's files which base it is for, by the name that was asked for instead of a path of this machine.

    Written afterwards: PEFT would ask the Hub about a name while it saves.
    """
    path = folder / "adapter_config.json"
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        config |= {"base_model_name_or_path": model, "revision": revision}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def linear_names(model: nn.Module) -> list[str]:
    """The last names of the layers that can get an adapter, the most frequent first."""
    whole: Any = model
    head = whole.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    names = Counter(
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if module is not head and (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D")
    )
    return [name for name, _ in names.most_common()]


def dtype_of(parameters: Any) -> str:
    """The dtype of most of some weights, as torch names it without its prefix; "" for none."""
    counts: Counter[torch.dtype] = Counter()
    for one in parameters:
        counts[one.dtype] += one.numel()
    return str(counts.most_common(1)[0][0]).removeprefix("torch.") if counts else ""


def _check_targets(targets: list[str], loaded: LoadedModel) -> None:
    there = linear_names(loaded.model)
    modules = {name for name, _ in loaded.model.named_modules()}
    odd = [one for one in targets if one not in there and not any(name.endswith(f".{one}") for name in modules)]
    if odd:
        raise BadInput(
            f"target_modules: {loaded.source.name} has no layer {', '.join(odd)}.",
            f"It has {', '.join(there[:20])}; or take {ALL_LINEAR}.",
        )
