"""Verdicts, reach and advice: what fits where, and what other tools get wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.errors import BadInput
from core.memory import (
    Precision,
    Training,
    Verdict,
    estimate,
    largest_batch,
    largest_context,
    parse_precision,
    read_model,
)
from core.memory.advice import recommend
from core.memory.cards import KNOWN_CARDS
from core.memory.compare import COMPARED, smallest_card
from core.memory.fit import judge
from tests.memory.support import configs, truth

T4 = KNOWN_CARDS[0].usable_bytes


def test_the_worked_example_mpt_7b_on_a_t4() -> None:
    model = read_model(configs()["mosaicml/mpt-7b"])
    assert model.attentions == ("eager",)  # so that its memory grows with the square of the context
    asked = estimate(model, precision=Precision.FLOAT16, context=2048)
    assert asked.fit(T4).verdict is Verdict.EXCEEDS
    longest = largest_context(asked, T4)
    assert 1600 < longest < 1750
    assert estimate(model, precision=Precision.FLOAT16, context=longest).fit(T4).verdict is Verdict.TIGHT
    assert estimate(model, precision=Precision.FLOAT16, context=longest + 1).fit(T4).verdict is Verdict.EXCEEDS
    assert largest_context(estimate(model, precision=Precision.NF4), T4) > 4096


def test_eager_attention_grows_with_the_square_and_the_others_do_not() -> None:
    model = read_model(configs()["meta-llama/Llama-2-7b-hf"])

    def prefill(context: int, attention: str) -> int:
        parts = estimate(model, context=context, attention=attention).parts
        return next(one.n_bytes for one in parts if one.name == "prefill")

    assert prefill(16_384, "eager") > 3.9 * prefill(8192, "eager")
    assert prefill(16_384, "sdpa") == 2 * prefill(8192, "sdpa")
    assert prefill(8192, "flash_attention_2") == prefill(8192, "sdpa")


@pytest.mark.parametrize(
    ("context", "attention", "measured_gb"),
    [(4096, "eager", 7.7), (8192, "eager", 26.2), (4096, "sdpa", 2.6), (8192, "sdpa", 5.1)],
)
def test_the_peak_over_the_weights_is_near_what_one_h100_measured(
    context: int, attention: str, measured_gb: float
) -> None:
    asked = estimate(configs()["meta-llama/Llama-2-7b-hf"], context=context, attention=attention)
    weights = asked.parts[0].n_bytes
    measured = weights + measured_gb * 1e9
    assert 0.98 * measured < asked.total_bytes < 1.05 * measured


@pytest.mark.parametrize("name", truth())
def test_a_packed_precision_that_does_not_shrink_a_model_is_never_recommended(name: str) -> None:
    model = read_model(configs()[name])
    sizes = estimate(model).as_json()["weights_bytes"]
    for gigabytes in range(1, 200, 3):
        verdicts = {one: estimate(model, precision=one, context=64).fit(gigabytes * 10**9).verdict for one in COMPARED}
        chosen = recommend(model.table, verdicts, model.packing).precision
        if chosen is not None and chosen.is_quantized:
            assert sizes[chosen] < 0.9 * sizes["bfloat16"]
            assert verdicts[chosen] is not Verdict.EXCEEDS


def test_fused_experts_and_odd_linears_are_said_to_stay_as_they_are() -> None:
    mixtral = estimate(configs()["mistralai/Mixtral-8x7B-v0.1"], precision=Precision.NF4).notes
    assert any("90.19 GB of 91.48 GB stay in 16 bit" in note for note in mixtral)
    falcon = estimate(configs()["tiiuae/falcon-7b"], precision=Precision.INT8).notes
    assert any("int8 does not shrink this model" in note for note in falcon)
    verdicts = dict.fromkeys(COMPARED, Verdict.EXCEEDS)
    model = read_model(configs()["tiiuae/falcon-7b"])
    assert "does not shrink" in recommend(model.table, verdicts).reason


def test_embeddings_and_head_are_said_to_stay_in_16_bit() -> None:
    notes = estimate(configs()["google/gemma-3-1b-it"], precision=Precision.NF4).notes
    assert any("Embeddings and head stay in 16 bit: 301.99 M numbers" in note for note in notes)


def test_a_verdict_leaves_room_for_the_allocator_but_not_twice_for_the_framework() -> None:
    assert judge(100, 110).verdict is Verdict.FITS
    assert judge(100, 109).verdict is Verdict.TIGHT
    assert judge(100, 102).verdict is Verdict.EXCEEDS
    assert judge(100, 105, framework_bytes=50).verdict is Verdict.FITS
    assert judge(100, 90).spare_bytes == -10


def test_the_smallest_card_is_the_one_with_the_least_memory_that_holds_it() -> None:
    found = smallest_card(estimate(configs()["meta-llama/Llama-2-7b-hf"]), KNOWN_CARDS)
    assert found is not None
    assert found.name == "L4 24 GB"
    assert smallest_card(estimate(configs()["mistralai/Mixtral-8x7B-v0.1"]), KNOWN_CARDS) is None


def test_on_a_host_the_heap_keeps_a_cache_that_was_left_and_the_tokenizer_counts() -> None:
    asked = estimate(configs()["HuggingFaceTB/SmolLM2-135M"], precision=Precision.FLOAT32, context=2048, on_host=True)
    parts = {one.name: one.n_bytes for one in asked.parts}
    assert parts["heap"] == parts["KV cache"]
    assert 10**7 < parts["tokenizer"] < asked.load.n_bytes
    packed = estimate(configs()["HuggingFaceTB/SmolLM2-135M"], precision=Precision.INT8, context=2048, on_host=True)
    holes = {one.name: one.n_bytes for one in packed.parts}
    assert holes["heap"] == holes["KV cache"] + 30 * 2**20


def test_while_it_trains_the_heap_keeps_part_of_what_comes_and_goes() -> None:
    config, training = configs()["HuggingFaceTB/SmolLM2-135M"], Training("lora")
    asked = estimate(config, precision=Precision.FLOAT32, context=512, training=training, on_host=True)
    parts = {one.name: one.n_bytes for one in asked.parts}
    assert parts["heap"] == (parts["activations"] + parts["logits and loss"]) * 55 // 100


def test_context_and_batch_reach_further_in_fewer_bits() -> None:
    model = read_model(configs()["meta-llama/Llama-3.1-8B"])
    reach = [largest_context(estimate(model, precision=one), 24 * 10**9) for one in COMPARED]
    assert reach == sorted(reach)
    assert reach[0] == 0
    rows = [largest_batch(estimate(model, precision=one, context=1024), 24 * 10**9) for one in COMPARED]
    assert rows == sorted(rows)


def test_loading_packed_weights_counts_what_is_in_flight() -> None:
    asked = estimate(configs()["meta-llama/Llama-2-7b-hf"], precision=Precision.INT8)
    assert asked.load.formula.startswith("a first trial: 540 tokens × 524,288 bytes")
    assert asked.load_peak_bytes == asked.as_json()["weights_bytes"]["int8"] + 540 * 524_288


def test_what_cannot_be_had_is_refused_in_a_sentence() -> None:
    config = configs()["mosaicml/mpt-7b"]
    with pytest.raises(BadInput, match="mpt has no 'sdpa' attention"):
        estimate(config, attention="sdpa")
    with pytest.raises(BadInput, match="context must lie between"):
        estimate(config, context=0)
    with pytest.raises(BadInput, match="no precision 'int3'"):
        parse_precision("int3")


def test_the_short_names_of_precisions_are_understood() -> None:
    assert [parse_precision(one) for one in ("fp32", "BF16", "fp16", "nf4_dq")] == [
        Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16, Precision.NF4_DQ,
    ]  # fmt: skip


def test_importing_the_estimator_imports_no_torch() -> None:
    look = "import sys, core.memory, core.memory.files; print(*sorted({'torch', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
