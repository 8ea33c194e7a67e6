"""What a loaded model holds and what a card says of it: counted, never guessed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from core.llm.load_figures import CardMemory
from core.llm.own import mapped_bytes
from core.llm.weigh import weigh
from core.memory.layout import packed_bytes
from core.memory.needs import Needs
from core.precision import Precision
from tests.llm.tiny import tiny_model

OF_AN_ALLOCATOR = {
    "requested_bytes.all.current": 1_000, "allocated_bytes.all.current": 1_024, "reserved_bytes.all.current": 2_097_152,
}  # fmt: skip


def test_tied_weights_and_passing_buffers_count_as_what_they_are() -> None:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    model[1].weight = model[0].weight
    model.register_buffer("table", torch.zeros(100), persistent=False)
    assert (weigh(model).parameters, weigh(model).total_bytes) == (64, 256)


@pytest.mark.parametrize("precision", [Precision.NF4, Precision.NF4_DQ, Precision.FP4, Precision.FP4_DQ])
def test_a_packed_layer_weighs_what_its_layout_says(precision: Precision) -> None:
    packing: Any = import_module("bitsandbytes")
    kind, _, double = precision.value.partition("-")
    layer = packing.nn.Linear4bit(128, 96, bias=False, quant_type=kind, compress_statistics=bool(double)).to("cpu")
    weights, state = packed_bytes(precision, 128 * 96, 96)
    weight = weigh(layer)
    assert (weight.parameters, weight.weights_bytes, weight.state_bytes) == (128 * 96, sum(weights), sum(state))


def test_a_model_made_in_memory_lies_in_no_file() -> None:
    assert mapped_bytes(tiny_model("llama").parameters()) == 0


def test_a_card_tells_what_a_load_took_of_it() -> None:
    before = CardMemory.of({}, driver_bytes=300_000_000)  # nothing was allocated yet: context and libraries alone
    after = CardMemory.of(OF_AN_ALLOCATOR, driver_bytes=302_097_152)
    took = before.growth(after)
    assert (took.requested_bytes, took.allocated_bytes) == (1_000, 1_024)
    assert (took.reserved_bytes, took.driver_bytes) == (2_097_152, 2_097_152)
    assert after.framework_bytes == 300_000_000
    needs = Needs(1, 900, 100, 1_200, 0, 0)
    figures = {one.name: (one.value, one.predicted) for one in took.figures(needs)}
    assert figures["requested_bytes"] == (1_000, 1_000)
    assert figures["driver_bytes"] == (2_097_152, None)


def test_a_host_has_no_card_to_tell_of() -> None:
    assert CardMemory.now("cpu") == CardMemory()
