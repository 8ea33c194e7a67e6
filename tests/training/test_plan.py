"""What `auto` makes of a training on cards that people have, and what the published recipes take there."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from core.jobs.sft import SftSpec
from core.memory import Model, read_model
from core.precision import Precision
from core.training.plan import Plan, plan_for
from core.training.presets import BY_NAME

T4, RTX_4090 = 16e9, 24e9


def spec_of(**fields: Any) -> SftSpec:
    return SftSpec.model_validate_json(json.dumps(fields))


def config_of(name: str) -> Model:
    return read_model(json.loads((files("core.memory") / "configs" / f"{name}.json").read_text()))


def plan_of(spec: SftSpec, name: str, precision: Precision, usable: float, **machine: bool) -> Plan:
    given = {"on_card": True, "has_fast_bfloat16": True} | machine
    return plan_for(spec, precision, spec.max_length, config_of(name), usable_bytes=int(usable), **given)


def test_the_published_20b_recipe_fits_one_card_of_24_gb() -> None:
    spec = spec_of(**BY_NAME["neox-int8-lora"].fields)
    plan = plan_of(spec, "EleutherAI--gpt-neox-20b", Precision.INT8, RTX_4090)
    assert plan.has_checkpointing
    assert 20e9 < plan.predicted_bytes < RTX_4090


def test_the_published_7b_recipe_takes_less_than_10_gb() -> None:
    spec = spec_of(**BY_NAME["llama-2-qlora"].fields)
    plan = plan_of(spec, "meta-llama--Llama-2-7b-hf", Precision.NF4, T4)
    assert 4e9 < plan.predicted_bytes < 10e9


def test_without_fast_bfloat16_it_computes_in_float16_with_adapters_in_float32_and_says_so() -> None:
    plan = plan_of(spec_of(), "meta-llama--Llama-2-7b-hf", Precision.FLOAT16, T4, has_fast_bfloat16=False)
    assert plan.mixed == "fp16"
    assert any("adapters stay in float32" in reason for reason in plan.reasons)
    assert plan_of(spec_of(), "meta-llama--Llama-2-7b-hf", Precision.BFLOAT16, RTX_4090).mixed == "bf16"
    assert (
        plan_of(spec_of(mixed_precision="off"), "meta-llama--Llama-2-7b-hf", Precision.BFLOAT16, RTX_4090).mixed == ""
    )


def test_activations_are_kept_where_memory_is_plenty() -> None:
    name, spec = "HuggingFaceTB--SmolLM2-135M-Instruct", spec_of(max_length=64)
    rich = plan_of(spec, name, Precision.FLOAT32, 20e9, on_card=False)
    poor = plan_of(spec, name, Precision.FLOAT32, 2e9, on_card=False)
    assert (rich.has_checkpointing, poor.has_checkpointing) == (False, True)
    assert poor.predicted_bytes < rich.predicted_bytes
    asked = plan_of(spec_of(max_length=64, gradient_checkpointing="on"), name, Precision.FLOAT32, 20e9, on_card=False)
    assert asked.has_checkpointing
    assert asked.predicted_bytes == poor.predicted_bytes


@pytest.mark.parametrize(
    ("name", "on_card", "is_fused"),
    [
        ("meta-llama--Llama-3.1-8B", True, True),  # 128,256 words
        ("meta-llama--Llama-2-7b-hf", True, False),
        ("meta-llama--Llama-3.1-8B", False, False),
    ],
)
def test_tiles_are_taken_where_a_large_vocabulary_meets_a_card(name: str, on_card: bool, is_fused: bool) -> None:
    assert plan_of(spec_of(), name, Precision.BFLOAT16, 80e9, on_card=on_card).is_fused is is_fused


def test_what_is_unknown_is_not_predicted() -> None:
    plan = plan_for(
        spec_of(), Precision.BFLOAT16, 512, None, on_card=True, has_fast_bfloat16=True, usable_bytes=24_000_000_000
    )
    assert plan.predicted_bytes == 0
    assert plan.has_checkpointing
