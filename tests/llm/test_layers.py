"""What quantizing did to each layer's weights: against the library itself, a known oracle and an independent count."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.abilities import choose
from core.catalog import resolve
from core.comparison.values import LayerError
from core.llm.abilities import abilities
from core.llm.codes import decoded, kinds_of, packed_layers
from core.llm.layers import difference, measure_layers, without_original
from core.llm.loading import LoadedModel, load
from core.precision import Precision
from core.variant import Variant
from tests.llm.tiny import as_loaded, prompt, tiny_model, word_tokenizer

PACKED = [one for one in Precision if one.is_quantized]
ORACLE = {"int8": 0.0083, "nf4": 0.0920, "nf4-dq": 0.0920, "fp4": 0.1219}  # rows of 2,048 normal bfloat16 weights
DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def packing() -> Any:
    """bitsandbytes, called as its own layers call it."""
    return import_module("bitsandbytes.functional")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama in bfloat16, wide enough for blocks of 64 weights."""
    return saved(tmp_path_factory.mktemp("llama"), "llama", hidden_size=64, intermediate_size=128, head_dim=16)


def saved(folder: Path, family: str, **changes: Any) -> Path:
    tiny_model(family, **changes).to(torch.bfloat16).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def loaded(folder: Path, precision: str, **fields: Any) -> LoadedModel:
    variant = Variant(str(folder), dtype=precision, **fields)
    return load(resolve(str(folder), folder), choose(variant, abilities("cpu")), device="cpu")


def by_name(found: tuple[LayerError, ...]) -> dict[tuple[int | None, str], LayerError]:
    return {(one.layer, one.module): one for one in found}


def packed_and_back(packing: Any, weight_N_K: Tensor, precision: Precision) -> Tensor:
    if precision is Precision.INT8:
        codes, scales, _ = packing.int8_vectorwise_quant(weight_N_K.half())
        return torch.Tensor(codes.float() * scales[:, None] / 127)
    kind, _, double = precision.value.partition("-")
    found: Tensor = packing.dequantize_4bit(
        *packing.quantize_4bit(weight_N_K, quant_type=kind, compress_statistics=bool(double))
    )
    return found


@pytest.mark.parametrize("precision", PACKED)
def test_each_layer_differs_from_its_file_as_the_library_packs_and_unpacks_it(
    folder: Path, packing: Any, precision: Precision
) -> None:
    found = by_name(measure_layers(loaded(folder, precision), None, 6.0))
    assert len(found) == 14
    for name, weight_N_K in load_file(folder / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            one = found[(int(name.split(".")[2]), name.split(".")[-2])]
            wanted_N_K, changed_N_K = weight_N_K.double(), packed_and_back(packing, weight_N_K, precision).double()
            error_N_K = wanted_N_K - changed_N_K
            assert one.relative == pytest.approx(float(error_N_K.norm() / wanted_N_K.norm()), rel=1e-5)
            assert one.most == pytest.approx(float(error_N_K.abs().max()), rel=1e-5)
            assert one.cosine == pytest.approx(
                float((wanted_N_K * changed_N_K).sum() / wanted_N_K.norm() / changed_N_K.norm())
            )
            assert (one.rows, one.columns) == tuple(weight_N_K.shape)
            assert one.outlier_columns is None


@pytest.mark.parametrize("precision", ORACLE)
def test_normal_weights_err_as_much_as_is_known_of_them(wide: Path, precision: str) -> None:
    found = by_name(measure_layers(loaded(wide, precision), None, 6.0))
    assert found[(0, "q_proj")].relative == pytest.approx(ORACLE[precision], rel=0.03)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of 2,048 weights from N(0, 0.3²)."""
    changes = {"hidden_size": 2048, "intermediate_size": 64, "head_dim": 64, "num_hidden_layers": 1}
    return saved(tmp_path_factory.mktemp("wide"), "llama", num_attention_heads=8, **changes)


@pytest.mark.parametrize("precision", ["int8", "nf4", "fp4"])
def test_a_layer_with_planted_outliers_lies_far_above_the_others(folder: Path, tmp_path: Path, precision: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    tensors[DOWN][:, ::64] = 6.0  # one a block and two a row, twenty times the others
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    errors, plain = (
        {key: one.relative for key, one in by_name(measure_layers(loaded(each, precision), None, 6.0)).items()}
        for each in (tmp_path, folder)
    )
    assert errors[(1, "down_proj")] > 1.5 * plain[(1, "down_proj")]
    assert {key: one for key, one in errors.items() if key != (1, "down_proj")} == {
        key: one for key, one in plain.items() if key != (1, "down_proj")
    }


def test_outlier_columns_are_those_that_the_library_keeps_in_16_bit(folder: Path) -> None:
    ours = loaded(folder, "int8", llm_int8_threshold=1.5)
    ids_1_T = torch.tensor([prompt(40, 3)])
    found = by_name(measure_layers(ours, ids_1_T, 1.5))
    with torch.inference_mode():
        ours.model(input_ids=ids_1_T)
    kept = {name: layer.state.idx for name, layer in packed_layers(ours.model)}  # the library's own, of that pass
    counted = {(int(name.split(".")[2]), name.split(".")[-1]): int(idx.numel()) for name, idx in kept.items()}
    assert {key: one.outlier_columns for key, one in found.items()} == counted
    assert max(counted.values()) > 0
    assert any(n < found[key].columns for key, n in counted.items())


def test_a_threshold_of_nothing_keeps_no_column_apart(folder: Path) -> None:
    found = measure_layers(loaded(folder, "int8", llm_int8_threshold=0.0), torch.tensor([[5, 7]]), 0.0)
    assert {one.outlier_columns for one in found} == {0}


def test_measuring_leaves_codes_and_answers_as_they_were(folder: Path) -> None:
    for precision in ("int8", "nf4-dq"):
        ours, ids_1_T = loaded(folder, precision), torch.tensor([prompt(9, 1)])
        with torch.inference_mode():
            before = ours.model(input_ids=ids_1_T).logits
        codes = {name: layer.weight.data.clone() for name, layer in packed_layers(ours.model)}
        measure_layers(ours, ids_1_T, 6.0)
        assert all(torch.equal(layer.weight.data, codes[name]) for name, layer in packed_layers(ours.model))
        with torch.inference_mode():
            assert torch.equal(ours.model(input_ids=ids_1_T).logits, before)


def test_a_precision_that_packs_nothing_has_no_errors(folder: Path) -> None:
    assert measure_layers(loaded(folder, "bfloat16"), torch.tensor([[5]]), 6.0) == ()
    assert measure_layers(as_loaded(tiny_model("llama")), None, 6.0) == ()


def test_layers_that_are_stored_the_other_way_round_and_without_their_prefix_are_found(tmp_path: Path) -> None:
    saved(tmp_path, "gpt2", n_embd=64)
    tensors = load_file(tmp_path / "model.safetensors")
    plain = {name.removeprefix("transformer."): each for name, each in tensors.items()}  # as the first GPT-2 has it
    save_file(plain, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours = loaded(tmp_path, "nf4")
    found = by_name(measure_layers(ours, None, 6.0))
    assert {module for _, module in found} == {"c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"}
    assert {layer for layer, _ in found} == {0, 1}
    assert (found[(0, "c_attn")].rows, found[(0, "c_attn")].columns) == (192, 64)
    assert all(0.05 < one.relative < 0.12 for one in found.values())
    assert without_original(ours) == ()


def test_what_the_files_hold_packed_already_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    ours = loaded(folder, "nf4")
    ours.model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    again = LoadedModel(**{
        name: getattr(ours, name) for name in LoadedModel.__slots__} | {"source": resolve(str(tmp_path), tmp_path)}
    )  # fmt: skip
    assert measure_layers(again, None, 6.0) == ()
    assert "model.layers.0.mlp.down_proj" in without_original(again)


def test_codes_in_the_order_of_a_newer_processor_decode_to_the_same(packing: Any) -> None:
    layers = import_module("bitsandbytes.nn")
    torch.manual_seed(0)
    layer = layers.Linear4bit(128, 64, bias=False, quant_type="nf4", compress_statistics=True)
    layer.weight = layers.Params4bit(torch.randn(64, 128).bfloat16(), quant_type="nf4").to("cpu")
    before_N_K = decoded(layer).float()
    layer.weight.data, layer.weight.quant_state = packing._convert_weight_packed_for_cpu(
        layer.weight.data, layer.weight.quant_state
    )
    codes = layer.weight.data.clone()
    assert decoded(layer).float().sub(before_N_K).norm() < 0.004 * before_N_K.norm()  # its scales are in bfloat16
    assert torch.equal(layer.weight.data, codes)


def test_equal_and_empty_weights_do_not_differ() -> None:
    assert difference(torch.zeros(3, 4), torch.zeros(3, 4)).relative == 0
    assert difference(torch.ones(3, 4), torch.ones(3, 4)) == difference(torch.ones(9, 4), torch.ones(9, 4))


def test_kinds_of_modules_have_the_shortest_name_that_tells_them_apart() -> None:
    names = [
        "h.0.attn.c_proj",
        "h.1.attn.c_proj",
        "h.0.mlp.c_proj",
        "h.0.attn.c_attn",
        "base_model.model.h.2.fc.base_layer",
    ]
    assert list(kinds_of(names).values()) == ["attn.c_proj", "attn.c_proj", "mlp.c_proj", "c_attn", "fc"]
    assert not list(packed_layers(nn.Linear(2, 2)))
