"""Every figure of the 29 models is equal to the last digit."""

from __future__ import annotations

import pytest

from core.memory import Precision, estimate, read_model
from core.memory.cache import kv_bytes, kv_bytes_per_token
from core.memory.tensors import Kind
from core.memory.weights import allocated_weights_bytes, weights_bytes
from tests.memory.support import configs, truth

BYTES = {
    "fp32_bytes": Precision.FLOAT32,
    "bf16_bytes": Precision.BFLOAT16,
    "int8_bytes": Precision.INT8,
    "nf4_bytes": Precision.NF4,
    "nf4dq_bytes": Precision.NF4_DQ,
}
ALLOCATED = {
    "bf16_alloc": Precision.BFLOAT16,
    "int8_alloc": Precision.INT8,
    "nf4_alloc": Precision.NF4,
    "nf4dq_alloc": Precision.NF4_DQ,
}


@pytest.mark.parametrize("name", truth())
def test_the_figures_equal_those_of_transformers_and_bitsandbytes(name: str) -> None:
    table = read_model(configs()[name]).table
    packed = sum(one.n_elements for one in table.linears)
    found = {
        "params": table.parameters,
        "n_param_tensors": len(table.tensors),
        "quantised_linears": len(table.linears),
        "params_quantised": packed,
        "params_left": table.parameters - packed,
        "params_in_fused_3d_experts": table.count(Kind.FUSED_EXPERT),
        "kv_bytes_per_token_bf16": kv_bytes_per_token(table, 2),
        "kv_constant_bytes": kv_bytes(table, 0, 1, 2),
        "kv_bytes_at_8192": kv_bytes(table, 8192, 1, 2),
        **{column: weights_bytes(table, precision) for column, precision in BYTES.items()},
        **{column: allocated_weights_bytes(table, precision) for column, precision in ALLOCATED.items()},
    }
    assert found == {column: int(truth()[name][column]) for column in found}


@pytest.mark.parametrize("name", truth())
def test_the_answer_for_programs_says_the_same(name: str) -> None:
    row, said = truth()[name], estimate(configs()[name]).as_json()
    assert said["parameters"] == int(row["params"])
    assert said["weights_bytes"]["nf4-dq"] == int(row["nf4dq_bytes"])
    assert said["kv_cache_bytes_per_token"] == int(row["kv_bytes_per_token_bf16"])
    assert said["total_bytes"] == sum(one["n_bytes"] for one in said["parts"])
    assert all(one["formula"] and one["source"] for one in said["parts"])


def test_the_parts_of_the_weights_add_up_in_every_precision() -> None:
    for config in configs().values():
        model = read_model(config)
        for precision in Precision:
            parts = estimate(model, precision=precision, context=1).parts
            weights = [one for one in parts if one.name not in ("KV cache", "prefill", "logits")]
            assert sum(one.n_bytes for one in weights) == weights_bytes(model.table, precision)
