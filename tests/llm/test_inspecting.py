"""One layer looked at: what is said of it agrees with the library, with the files and with the model itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.abilities import choose
from core.catalog import ModelSource, resolve
from core.comparison.inspected import Coded, Head, Inspected
from core.errors import BadInput, ModelBroken
from core.llm.abilities import abilities
from core.llm.engine import Engine
from core.llm.inspecting import Question, check_can_inspect, find_module, inspect_layer
from core.llm.loading import LoadedModel, load
from core.llm.one_head import by_blocks, growth, shrunk
from core.variant import Variant
from tests.llm.tiny import prompt, tiny_model, word_tokenizer

WORDS = " ".join(f"w{token}" for token in prompt(21, 4))
WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}


@pytest.fixture(scope="module")
def of_builtin(builtin: LoadedModel) -> Inspected:
    """The usual layer of the built-in model."""
    engine = Engine(builtin)
    try:
        return inspect_layer(engine, Question(prompt="The sky is blue because air scatters short waves of light most."))
    finally:
        engine.close()


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., Path]:
    """A tiny model of a family, as it lies on a disk."""

    def make(family: str, **changes: Any) -> Path:
        tiny_model(family, **changes).to(torch.bfloat16).save_pretrained(tmp_path)
        word_tokenizer().save_pretrained(tmp_path)
        return tmp_path

    return make


def loaded(folder: Path, **fields: Any) -> LoadedModel:
    choice = choose(Variant(str(folder), **fields), abilities("cpu"))
    return load(resolve(str(folder), folder), choice, device="cpu")


def looked_at(model: LoadedModel, **fields: Any) -> Inspected:
    engine = Engine(model)
    try:
        return inspect_layer(engine, Question(**{"prompt": WORDS, **fields}))
    finally:
        engine.close()


def test_the_usual_layer_is_the_widest_two_thirds_of_the_way(of_builtin: Inspected) -> None:
    assert (of_builtin.module, of_builtin.block) == ("model.layers.20.mlp.down_proj", 20)
    assert (of_builtin.rows, of_builtin.columns, of_builtin.stored_as) == (576, 1536, "bfloat16")
    assert [(one.kind, one.rows, one.columns, len(one.blocks)) for one in of_builtin.modules] == [
        ("q_proj", 576, 576, 30), ("k_proj", 192, 576, 30), ("v_proj", 192, 576, 30), ("o_proj", 576, 576, 30),
        ("gate_proj", 1536, 576, 30), ("up_proj", 1536, 576, 30), ("down_proj", 576, 1536, 30),
    ]  # fmt: skip
    assert of_builtin.modules[0].pattern == "model.layers.{}.self_attn.q_proj"


def test_all_of_it_fits_a_row_of_the_store(of_builtin: Inspected) -> None:
    assert len(of_builtin.model_dump_json()) < 60_000


def test_histograms_count_every_weight(of_builtin: Inspected) -> None:
    for histogram in (of_builtin.weights, of_builtin.int8_errors, of_builtin.nf4_errors):
        assert histogram
        assert sum(histogram.counts) + histogram.n_beyond == 576 * 1536
    assert of_builtin.deviation == pytest.approx(0.1918, rel=1e-3)


def test_int8_codes_are_rounded_multiples_of_the_row_s_scale(of_builtin: Inspected) -> None:
    assert of_builtin.int8_scale
    scale = of_builtin.int8_scale.value
    for one in of_builtin.int8:
        assert one.scaled == pytest.approx(one.weight * 127 / scale, rel=1e-4)
        assert abs(one.code - one.scaled) <= 0.51
        assert one.decoded == pytest.approx(one.code * scale / 127, rel=1e-4)


def test_nf4_codes_name_the_nearest_of_sixteen_levels(of_builtin: Inspected) -> None:
    levels, where = of_builtin.levels, of_builtin.nf4_scale
    assert where
    assert list(levels) == pytest.approx(
        import_module("bitsandbytes.functional").get_4bit_type("nf4", "cpu").tolist(), abs=1e-6
    )
    assert abs(of_builtin.nf4[0].weight) == pytest.approx(where.value)  # the largest of its block comes first
    for one in of_builtin.nf4:
        assert one.scaled == pytest.approx(one.weight / where.value, rel=1e-4)
        assert one.code == min(range(16), key=lambda code: abs(levels[code] - one.scaled))
        assert one.decoded == pytest.approx(levels[one.code] * where.value, rel=0.01)  # kept in bfloat16
    assert [one.column for one in of_builtin.int8] == [one.column for one in of_builtin.nf4]


def test_the_shown_weights_are_those_of_the_file(builtin: LoadedModel, of_builtin: Inspected) -> None:
    weight_N_K = load_file(builtin.source.folder / "model.safetensors")[f"{of_builtin.module}.weight"]
    where = of_builtin.nf4_scale
    assert where
    shown: tuple[Coded, ...] = of_builtin.nf4
    assert [one.weight for one in shown] == pytest.approx(
        [float(weight_N_K[where.row, one.column]) for one in shown], rel=1e-5
    )
    assert all(where.column <= one.column < where.column + where.length for one in shown)


def test_larger_blocks_lose_more_and_cost_less(of_builtin: Inspected) -> None:
    assert [one.size for one in of_builtin.block_sizes] == [32, 64, 128, 256, 512, 1024, 2048, 4096]
    errors, bits = [one.nf4 for one in of_builtin.block_sizes], [one.bits for one in of_builtin.block_sizes]
    assert errors == sorted(errors)
    assert bits == sorted(bits, reverse=True)
    by_name = {one.name: one for one in of_builtin.precisions}
    assert by_name["nf4"].relative == pytest.approx(errors[1], rel=1e-4)
    assert by_name["nf4"].bits == 4.5
    assert by_name["nf4-dq"].bits < 4.5 < by_name["int8"].bits
    assert by_name["int8"].relative < by_name["nf4"].relative < by_name["fp4"].relative


def test_an_outlier_costs_its_neighbours_their_codes(of_builtin: Inspected) -> None:
    for worst, typical in (
        (of_builtin.worst_block, of_builtin.typical_block),
        (of_builtin.worst_row, of_builtin.typical_row),
    ):
        assert worst
        assert typical
        assert worst.relative > typical.relative
        assert worst.codes_used < typical.codes_used
        assert worst.share_zero > typical.share_zero
        assert sum(worst.counts) == worst.where.length


def test_the_product_goes_as_the_library_s_and_changes_no_code(of_builtin: Inspected) -> None:
    for one in of_builtin.forward:
        assert one.differs < 1e-3
        assert one.before == one.after
        assert all(step.reads > 0 and step.seconds.value > 0 and step.seconds.n == 5 for step in one.steps)
    int8, nf4 = of_builtin.forward
    assert [step.name for step in int8.steps] == ["input", "multiply", "rescale", "outliers"]
    assert [step.name for step in nf4.steps] == ["decode", "multiply"]
    assert int8.weight_bytes == 576 * 1536 + 4 * 576
    assert nf4.weight_bytes == 576 * 1536 // 2 + 4 * 576 * 1536 // 64
    assert 0 < int8.relative < nf4.relative < 0.2


def test_the_result_is_what_a_packed_layer_gives_for_this_input(of_builtin: Inspected, builtin: LoadedModel) -> None:
    assert of_builtin.outliers
    packing, inputs = import_module("bitsandbytes.nn"), []
    module = builtin.model.get_submodule(of_builtin.module)
    handle = module.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0]))
    ids = builtin.tokenizer("The sky is blue because air scatters short waves of light most.")["input_ids"]
    with torch.inference_mode():
        builtin.model(input_ids=torch.tensor([ids]))
        handle.remove()
        layer = packing.Linear8bitLt(1536, 576, bias=False, has_fp16_weights=False, threshold=6.0)
        layer.weight = packing.Int8Params(module.weight.bfloat16(), requires_grad=False).to("cpu")
        result_T_N = layer.eval()(inputs[0].bfloat16()).float()
        exact_T_N = inputs[0] @ module.weight.T
    assert of_builtin.forward[0].relative == pytest.approx(
        float((result_T_N - exact_T_N).norm() / exact_T_N.norm()), rel=0.02
    )
    columns = (inputs[0].bfloat16().abs() >= 6).any(0).nonzero().flatten().tolist()
    assert list(of_builtin.outliers.columns) == columns[: len(of_builtin.outliers.columns)]
    assert of_builtin.outliers.n_columns == len(columns) > 0
    assert (of_builtin.outliers.relative_without or 0) > of_builtin.forward[0].relative


FAMILIES = (("llama", "sdpa"), ("llama", "eager"), ("mistral", "sdpa"), ("gpt2", "sdpa"), ("qwen3", "sdpa"))


@pytest.mark.parametrize(("family", "implementation"), FAMILIES)
def test_the_head_is_the_model_s_own(folder_of: Callable[..., Path], family: str, implementation: str) -> None:
    changes = {"n_embd": 64} if family == "gpt2" else WIDE
    model = loaded(folder_of(family, **changes), attn_implementation=implementation)
    before = model.model.config._attn_implementation
    head = looked_at(model, head=3).head
    assert head
    assert model.model.config._attn_implementation == before
    assert head.differs_from_plain < 1e-5
    assert head.differs_from_model < 1e-5
    model.model.set_attn_implementation("eager")
    with torch.inference_mode():
        made = model.model(input_ids=torch.tensor([prompt(21, 4)]), output_attentions=True)
    own_T_T = made.attentions[head.block][0, 3]
    for row, weights in enumerate(head.matrix):
        assert list(weights) == pytest.approx(own_T_T[row, : row + 1].tolist(), abs=1e-3)


@pytest.mark.parametrize("family", ["bloom", "mpt", "gpt_oss", "falcon with alibi"])
def test_a_head_that_is_no_plain_one_is_not_shown_as_one(folder_of: Callable[..., Path], family: str) -> None:
    changes = {"d_model": 64} if family == "mpt" else {"hidden_size": 64}
    if family.startswith("falcon"):
        with pytest.raises(BadInput, match="linear layers are of a class of their own"):
            looked_at(loaded(folder_of(family, **changes)))
        return
    found = looked_at(loaded(folder_of(family, **changes)))
    assert found.head is None
    assert found.head_why_not
    assert found.forward[0].before == found.forward[0].after


def test_a_head_with_a_soft_cap_is_not_shown_as_a_plain_one(folder_of: Callable[..., Path]) -> None:
    found = looked_at(loaded(folder_of("gemma2", **WIDE), attn_implementation="eager"))
    assert found.head_why_not == "its attention changes the scores before the softmax"


def test_looking_leaves_the_model_as_it_was(folder_of: Callable[..., Path]) -> None:
    model, ids_1_T = loaded(folder_of("llama", **WIDE)), torch.tensor([prompt(9, 1)])
    with torch.inference_mode():
        before = model.model(input_ids=ids_1_T).logits
        looked_at(model)
        assert torch.equal(model.model(input_ids=ids_1_T).logits, before)
    assert not any(module._forward_pre_hooks for module in model.model.modules())


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize(("n_tokens", "size"), [(1, 2), (7, 2), (16, 4), (33, 8), (40, 64)])
def test_attention_by_blocks_equals_the_whole_matrix(n_tokens: int, size: int, window: int | None) -> None:
    torch.manual_seed(n_tokens)
    query, key, value = (3 * torch.randn(n_tokens, 8) for _ in range(3))
    apart = torch.arange(n_tokens)[:, None] - torch.arange(n_tokens)
    allowed = (apart >= 0) & (apart < (window or n_tokens))
    scores = (query @ key.T / sqrt(8)).masked_fill(~allowed, float("-inf"))
    output, trace, n_skipped = by_blocks(query, key, value, 1 / sqrt(8), size, window)
    assert torch.allclose(output, scores.softmax(-1) @ value, atol=1e-5)
    last = scores[-1]
    assert trace[-1].running_max == pytest.approx(float(last.max()), rel=1e-4)
    assert trace[-1].running_sum == pytest.approx(float((last - last.max()).exp().sum()), rel=1e-4)
    edge = -(-n_tokens // size)
    assert n_skipped >= edge * (edge - 1) // 2
    assert window or n_skipped == edge * (edge - 1) // 2


def test_a_large_matrix_is_shrunk_to_its_largest_values() -> None:
    weights = torch.eye(6) + 0.5 * torch.eye(6).roll(-3, 1)
    assert shrunk(weights, 2) == ((1.0,), (0.5, 1.0), (0.5, 0.5, 1.0))
    assert growth(2)[0].plain == 2 * 512 * 512 * 6
    assert growth(2)[0].blocks == 2 * (512 * 4 + 64 * 64 * 4)


NAMES = {
    f"model.layers.{n}.{end}": "" for n in range(3) for end in ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj")
}


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("", "model.layers.2.mlp.down_proj"),
        (" model.layers.0.mlp.up_proj ", "model.layers.0.mlp.up_proj"),
        ("1 q_proj", "model.layers.1.self_attn.q_proj"),
        ("block 1 q_proj", "model.layers.1.self_attn.q_proj"),
        ("0.mlp.down_proj", "model.layers.0.mlp.down_proj"),
    ],
)
def test_a_module_is_found_by_name_or_by_block_and_kind(wanted: str, name: str) -> None:
    assert find_module(NAMES, wanted) == name


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("model.layers.0.mlp.dwn_proj", "Did you mean model.layers.0.mlp.down_proj"),
        ("model.layers.9.mlp.down_proj", "Did you mean model.layers."),
        ("9 nothing", "There are: q_proj, up_proj, down_proj of blocks 0 to 2."),
        ("<b>" * 90, "There are: "),
    ],
)
def test_a_module_that_is_not_there_is_told_the_nearest(wanted: str, hint: str) -> None:
    with pytest.raises(BadInput) as found:
        find_module(NAMES, wanted)
    assert found.value.hint.startswith(hint)
    assert len(found.value.message) < 200


def test_files_without_plain_weights_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a GGUF file"):
        check_can_inspect(ModelSource("x", tmp_path, None, "x.gguf"))
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    with pytest.raises(BadInput, match="stored in gptq already"):
        check_can_inspect(ModelSource("x", tmp_path, None))


def test_a_prompt_without_a_token_and_one_that_is_too_long(folder_of: Callable[..., Path]) -> None:
    model = loaded(folder_of("llama", **WIDE))
    with pytest.raises(BadInput, match="no token"):
        looked_at(model, prompt=" ")
    found = looked_at(model, prompt=WORDS * 20)
    assert found.notes[0] == f"The prompt was cut to its first {found.n_tokens} tokens."
    assert isinstance(found.head, Head)
    assert len(found.head.matrix) <= 40


def test_a_layer_of_zeros_has_no_error(folder_of: Callable[..., Path]) -> None:
    folder = folder_of("llama", **WIDE)
    change(folder, "model.layers.1.mlp.down_proj.weight", 0.0)
    found = looked_at(loaded(folder))
    assert [one.relative for one in found.precisions] == [0, 0, 0, 0]
    assert found.largest == 0
    assert Inspected.model_validate_json(found.model_dump_json()) == found


def test_weights_that_are_no_numbers_are_said(folder_of: Callable[..., Path]) -> None:
    folder = folder_of("llama", **WIDE)
    change(folder, "model.layers.1.mlp.down_proj.weight", float("nan"))
    with pytest.raises(ModelBroken, match="computes no numbers"):
        looked_at(loaded(folder))


def change(folder: Path, name: str, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = torch.full_like(tensors[name], value)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_blocks_that_do_not_fill_a_row_are_looked_at_too(folder_of: Callable[..., Path]) -> None:
    found = looked_at(loaded(folder_of("llama", **(WIDE | {"intermediate_size": 90}))), block_size=128)
    assert found.columns == 90
    assert found.nf4
    assert found.worst_block
    assert found.worst_block.where.length == 128
