"""Which model is meant and how it is loaded: today's words, older ones, and what cannot run."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from core.abilities import Abilities, check_can_run, choose, why_nowhere
from core.errors import BadInput
from core.precision import Precision, parse_precision
from core.spec import parse_spec
from core.variant import Attention, AttentionChoice, Dtype, ModelSpec, Variant

RUNS = dict.fromkeys([*Precision], "")
T4 = Abilities(
    device="T4",
    precisions=RUNS,
    attentions={"flash_attention_2": "flash-attn is not installed"},
    auto_precision=Precision.FLOAT16,
    compute_dtype="float16",
)
HOST = Abilities(
    device="a processor",
    precisions=RUNS | {"int8": "bitsandbytes is not installed"},
    attentions={"flash_attention_2": "it needs an NVIDIA card"},
    auto_precision=Precision.FLOAT32,
    compute_dtype="bfloat16",
)


def test_the_spec_offers_every_precision_and_attention_and_auto() -> None:
    assert get_args(Dtype) == ("auto", *Precision)
    assert get_args(AttentionChoice) == ("auto", *Attention)


@pytest.mark.parametrize(
    ("fields", "dtype", "words"),
    [
        ({"dtype": "fp32"}, "float32", ()),
        ({"dtype": "torch.bfloat16"}, "bfloat16", ()),
        ({"dtype": "NF4_DQ"}, "nf4-dq", ()),
        ({"torch_dtype": "float16"}, "float16", ("torch_dtype was taken as dtype=float16, its name today.",)),
        ({"load_in_8bit": True}, "int8", ("load_in_8bit was taken as dtype=int8, its name today.",)),
        ({"load_in_4bit": True}, "nf4", ("load_in_4bit was taken as dtype=nf4, its name today.",)),
        (
            {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": True},
            "fp4-dq",
            ("load_in_4bit was taken as dtype=fp4-dq, its name today.",),
        ),
        ({"load_in_8bit": False}, "auto", ("load_in_8bit asks for nothing: leave it out.",)),
        (
            {"load_in_8bit": True, "dtype": "nf4"},
            "nf4",
            ("load_in_8bit was left out, since dtype says nf4.",),
        ),
    ],
)
def test_older_spellings_are_understood_and_said(fields: dict[str, Any], dtype: str, words: tuple[str, ...]) -> None:
    assert parse_spec(ModelSpec, fields).dtype == dtype
    assert ModelSpec.understand(fields)[1] == words


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="dtype: input should be 'auto', 'float32'"):
        parse_spec(ModelSpec, {"dtype": "int3"})
    with pytest.raises(BadInput, match="There is no precision 'int3'"):
        parse_precision("int3")


def test_auto_is_what_suits_the_card() -> None:
    assert choose(Variant("m"), T4).precision is Precision.FLOAT16
    assert choose(Variant("m"), HOST).precision is Precision.FLOAT32


def test_a_card_without_fast_bfloat16_computes_in_float16_beside_packed_weights() -> None:
    assert choose(Variant("m", dtype="nf4"), T4).compute_dtype == "float16"
    assert choose(Variant("m", dtype="nf4"), HOST).compute_dtype == "bfloat16"
    assert choose(Variant("m", dtype="float32"), T4).compute_dtype == "float32"


def test_auto_takes_the_best_attention_that_runs_and_that_the_model_has() -> None:
    with_flash = T4.model_copy(update={"attentions": {"flash_attention_2": "", "flash_attention_3": "no"}})
    assert choose(Variant("m"), with_flash).attention == "flash_attention_2"
    assert choose(Variant("m"), with_flash, ["eager", "sdpa"]).attention == "sdpa"
    assert choose(Variant("m"), T4, ["eager"]).attention == "eager"


def test_what_no_worker_can_run_is_refused_with_the_reason_that_the_form_shows() -> None:
    with pytest.raises(BadInput, match="int8 cannot run here: bitsandbytes is not installed"):
        check_can_run([Variant("m", dtype="int8")], [HOST])
    check_can_run([Variant("m", dtype="int8")], [HOST, T4])
    check_can_run([Variant("m", dtype="int8")], [])
    assert why_nowhere([HOST])["int8"] == "bitsandbytes is not installed"
    assert "int8" not in why_nowhere([HOST, T4])
    assert "flash_attention_2" in why_nowhere([HOST, T4])


def test_adapters_share_a_load_key_and_precisions_do_not() -> None:
    assert Variant("m", adapter="a").load_key == Variant("m", adapter="b").load_key
    keys = {Variant("m", dtype=str(one)).load_key for one in Precision}
    assert len(keys) == len(Precision)
    assert Variant("m", dtype="int8").load_key != Variant("m", dtype="int8", llm_int8_threshold=1).load_key
