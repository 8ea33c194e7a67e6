"""What is known of a variant as soon as it is loaded: what it is, what it took, what a token of it reads."""

from __future__ import annotations

from typing import Any

from core.comparison.values import Said
from core.llm.bench import Bench
from core.llm.loading import LoadedModel
from core.llm.measure import versions
from core.recipe import as_code


def facts_of(bench: Bench, adapter: str | None) -> dict[str, Any]:
    """As plain JSON: fields of `VariantResult`, below `variant`, and further ones of the comparison beside them."""
    resident = bench.resident
    loaded = resident.loaded
    choice = resident.choice
    return {
        "variant": {
            "model": loaded.source.name,
            "revision": loaded.source.revision,
            "adapter": adapter,
            "precision": str(loaded.precision),
            "attention": loaded.attention,
            "compute_dtype": loaded.compute_dtype,
            "code": as_code(choice, loaded.source, loaded.device, resident.may_run_code),
            "parameters": loaded.weight.parameters,
            "weights_bytes": _weights(bench),
            "load_peak_bytes": _said(bench, "load_peak_bytes"),
            "held_bytes": _said(bench, "requested_bytes" if bench.on_card else "held_bytes"),
            "load_s": loaded.load_s,
        },
        "device": loaded.device_name,
        "memory_kind": "gpu" if bench.on_card else "host",
        "versions": versions(),
        "notes": list(resident.notes),
        "framework_bytes": resident.framework_bytes,
        "token_bytes": bytes_a_token(loaded),
        "vocabulary": _vocabulary(loaded),
        "context_length": loaded.context_length,
    }


def bytes_a_token(loaded: LoadedModel) -> int | None:
    """The bytes of weights that one token of a batch of one reads; None for a mixture of experts, which reads some.

    Of a table of embeddings that is not the head too only one row is read.
    """
    model: Any = loaded.model
    if any(parameter.ndim == 3 for parameter in model.parameters()):
        return None
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    is_head_too = head is not None and head.weight.data_ptr() == table.data_ptr()
    return loaded.weights_bytes - (0 if is_head_too else int(table.nbytes))


def _vocabulary(loaded: LoadedModel) -> int:
    model: Any = loaded.model
    head = model.get_output_embeddings()
    return int(head.weight.shape[0]) if head is not None else int(model.config.vocab_size)


def _weights(bench: Bench) -> dict[str, Any]:
    needs, weight = bench.resident.needs, bench.resident.loaded.weight
    predicted = needs.weights_bytes + needs.state_bytes if needs else None
    return Said(predicted=predicted, measured=weight.total_bytes).model_dump(mode="json")


def _said(bench: Bench, name: str) -> dict[str, Any]:
    found = next((one for one in bench.resident.figures if one.name == name), None)
    return Said(predicted=found.predicted, measured=found.value).model_dump(mode="json") if found else {}
