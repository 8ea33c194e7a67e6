"""How variants are written, named and expanded."""

from __future__ import annotations

import pytest

from core.comparison.variants import LADDER, Asked, expand, names_of, read_variant
from core.errors import BadInput
from core.jobs.compare import CompareSpec
from core.spec import as_command, parse_spec
from core.variant import Variant


def test_a_variant_is_a_precision_an_attention_and_words() -> None:
    assert read_variant("bf16") == Asked(dtype="bfloat16")
    assert read_variant("nf4-dq+eager") == Asked(dtype="nf4-dq", attention="eager")
    assert read_variant("flash") == Asked(attention="flash_attention_2")
    assert read_variant("int8+threshold=4.5") == Asked(dtype="int8", threshold=4.5)
    assert read_variant("fp32+adapter=my/lora+name=mine") == Asked(dtype="float32", adapter="my/lora", name="mine")


@pytest.mark.parametrize("text", ["bf16", "nf4-dq+eager", "int8+threshold=4.5", "float32+adapter=a/b+name=c"])
def test_its_usual_spelling_is_read_as_the_same(text: str) -> None:
    asked = read_variant(text)
    assert read_variant(asked.text) == asked


@pytest.mark.parametrize(
    ("text", "said"),
    [("fp33", "neither a precision"), ("nf4+colour=red", "means nothing"), ("int8+threshold=many", "0 to 1,000")],
)
def test_what_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_variant(text)


def test_sets_and_commas_are_spelled_out() -> None:
    assert expand(["ladder"]) == LADDER
    assert expand(["fp32, nf4", "int8"]) == ("fp32", "nf4", "int8")
    assert expand(["before-after"], adapter="a", merged="m") == (
        "auto+name=base",
        "auto+adapter=a+name=adapter",
        "auto+merged=m+name=merged",
    )


def test_a_variant_is_named_by_what_sets_it_apart() -> None:
    def named(*lines: str) -> tuple[str, ...]:
        return names_of([read_variant(line) for line in lines])

    assert named("fp32", "nf4") == ("float32", "nf4")
    assert named("fp32") == ("float32",)
    assert named("eager", "sdpa") == ("eager", "sdpa")
    assert named("bf16+eager", "nf4+sdpa") == ("bfloat16 eager", "nf4 sdpa")
    assert named("int8", "int8+threshold=3") == ("threshold 6", "threshold 3")
    assert named("bf16", "bf16+adapter=me/poet") == ("bfloat16", "bfloat16 adapter poet")
    assert named("bf16", "bf16+name=again") == ("bfloat16", "again")


def test_the_same_twice_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match="bfloat16 is there twice") as refused:
        names_of([read_variant("bf16"), read_variant("bfloat16")])
    assert refused.value.hint == "Give one another name: bfloat16+name=again."


def test_a_merged_model_stands_for_model_and_revision() -> None:
    spec = parse_spec(CompareSpec, {"model": "org/base", "revision": "abc", "variants": "bf16,bf16+merged=M"})
    assert spec.loads == (Variant("org/base", "abc", "bfloat16"), Variant("M", None, "bfloat16"))


def test_a_spec_reads_what_a_command_line_and_a_report_hold() -> None:
    spec = parse_spec(CompareSpec, {"variants": "fp32,nf4", "context_lengths": "64,128", "reference": "fp32"})
    assert (spec.variants, spec.context_lengths, spec.reference) == (("float32", "nf4"), (64, 128), "float32")
    assert parse_spec(CompareSpec, {"context_lengths": 128}).context_lengths == (128,)  # as a command line reads it
    report = {"kind": "compare", "job": "X", "result": {}, "spec": spec.model_dump(mode="json")}
    assert parse_spec(CompareSpec, report) == spec
    assert parse_spec(CompareSpec, report | {"seed": 7}).seed == 7
    assert "--prompt" in as_command("compare", parse_spec(CompareSpec, {"prompts": ["Hello"]}))


@pytest.mark.parametrize("fields", [{"context_lengths": "64,many"}, {"variants": 5}, {"batch_sizes": []}])
def test_odd_fields_are_refused_in_a_sentence(fields: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        parse_spec(CompareSpec, fields)
