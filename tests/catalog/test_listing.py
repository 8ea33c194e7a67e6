"""Every model on the machine is listed with what its files tell, a broken one with what is wrong with it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy
from numpy import zeros

from core.catalog import BUILTIN_NAME, BUILTIN_REVISION
from core.catalog.listing import Catalogue, list_models
from core.ids import new_id
from core.values import ModelInfo, Origin, Role
from tests.catalog.making import make_adapter, make_folder, make_gguf, make_snapshot


def listed(home: Path, cache: Path) -> dict[str, ModelInfo]:
    return {model.name: model for model in list_models(home, cache) if model.origin is not Origin.BUILTIN}


def test_a_folder_tells_what_it_is(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "mine")
    assert listed(home, cache)["mine"] == ModelInfo(
        name="mine",
        origin=Origin.FOLDER,
        role=Role.CAUSAL,
        n_bytes=sum(path.stat().st_size for path in (home / "models" / "mine").iterdir()),
        model_type="llama",
        architecture="LlamaForCausalLM",
        parameters=100,
        context_length=128,
        stored_as="float32",
        licence="mit",
        has_chat_template=True,
    )


def test_everything_that_can_be_named_is_listed(home: Path, cache: Path, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "model")
    commits = {make_snapshot(cache, "org/model", model, commit=each * 40, branch=each) for each in "ab"}
    make_snapshot(cache, "org/half", make_folder(tmp_path / "half", weights=None))
    make_gguf(home / "models" / "tiny.gguf")
    job_model, job_adapter, job_report = new_id(), new_id(), new_id()
    make_folder(home / "artifacts" / job_model)
    make_adapter(home / "artifacts" / job_adapter, "org/model")
    (home / "artifacts" / job_report).mkdir()
    (home / "artifacts" / job_report / "report.txt").write_text("measured")
    models = [each for each in list_models(home, cache) if each.origin is not Origin.BUILTIN]
    assert {each.revision for each in models if each.name == "org/model"} == commits
    assert {each.name for each in models} == {"org/model", "tiny.gguf", job_model, job_adapter}
    found = listed(home, cache)
    assert (found[job_adapter].role, found[job_adapter].base) == (Role.ADAPTER, "org/model")
    assert found[job_adapter].origin is Origin.ARTIFACT
    packed = found["tiny.gguf"]
    assert (packed.parameters, packed.context_length, packed.licence) == (4096, 512, "mit")
    assert (packed.stored_as, packed.has_chat_template, packed.problem) == ("gguf F32", True, "")


def test_the_built_in_model_is_listed_before_it_is_unpacked_and_after(
    home: Path, cache: Path, models_home: Path
) -> None:
    packed, dense = list_models(home, cache)[0], list_models(models_home, cache)[0]
    for each in (packed, dense):
        assert (each.name, each.revision, each.origin) == (BUILTIN_NAME, BUILTIN_REVISION, Origin.BUILTIN)
        assert (each.parameters, each.context_length, each.role) == (134_515_008, 8192, Role.CAUSAL)
    assert (dense.stored_as, packed.stored_as) == ("bfloat16", "gguf Q4_1")


def test_an_adapter_beside_a_copy_of_its_bases_settings_is_an_adapter(home: Path, cache: Path) -> None:
    make_adapter(home / "models" / "tuned", "org/base")
    make_folder(home / "models" / "tuned", weights=None)
    found = listed(home, cache)["tuned"]
    assert (found.role, found.base, found.parameters, found.problem) == (Role.ADAPTER, "org/base", 32, "")


@pytest.mark.parametrize(
    ("config", "role"),
    [
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, Role.CAUSAL),
        ({"architectures": ["LlamaForSequenceClassification"]}, Role.CLASSIFIER),
        ({"architectures": ["BertModel"], "model_type": "bert"}, Role.OTHER),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True}, Role.OTHER),
        ({"architectures": None}, Role.CAUSAL),
        ({"architectures": None, "model_type": "clip"}, Role.OTHER),
    ],
)
def test_a_model_has_a_role(home: Path, cache: Path, config: dict[str, Any], role: Role) -> None:
    make_folder(home / "models" / "one", **config)
    assert listed(home, cache)["one"].role is role


def test_a_tied_head_that_is_stored_all_the_same_counts_once(home: Path, cache: Path) -> None:
    folder = make_folder(home / "models" / "one", tie_word_embeddings=True)
    tensors = {"model.embed_tokens.weight": zeros((64, 16)), "lm_head.weight": zeros((64, 16))}
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    assert listed(home, cache)["one"].parameters == 64 * 16


def test_a_quantized_one_says_how_and_counts_its_real_parameters(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "one", quantization_config={"quant_method": "gptq", "bits": 4})
    found = listed(home, cache)["one"]
    assert found.stored_as == "gptq 4 bit"
    assert found.parameters is not None
    assert found.parameters > 100


def test_pickled_weights_are_a_problem_with_a_way_out(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "old", weights="pytorch_model.bin")
    found = listed(home, cache)["old"]
    assert "pickled" in found.problem
    assert found.way_out == "convert"


def _broken(folder: Path, how: str) -> None:
    make_folder(folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    match how:
        case "is cut off":
            weights.write_bytes(weights.read_bytes()[:-40])
        case "holds no weights":
            weights.unlink()
        case "no valid JSON":
            config.write_text("{ not json")
        case "holds no object":
            config.write_text("[1]")
        case "is damaged":
            weights.write_bytes(b"\x10\0\0\0\0\0\0\0" + b"not json at all!")
        case "would have":
            weights.write_bytes(b"\xff" * 100)
        case "is missing":
            weights.rename(folder / "model-00001-of-00002.safetensors")
            index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        case "must lie between":
            config.write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 10**12, "hidden_size": 16,
                                          "num_attention_heads": -4, "vocab_size": 10**15}))  # fmt: skip


HOWS = ["is cut off", "holds no weights", "no valid JSON", "holds no object", "is damaged", "would have", "is missing",
        "must lie between"]  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_broken_folder_is_listed_with_what_is_wrong(home: Path, cache: Path, how: str) -> None:
    _broken(home / "models" / "broken", how)
    begun = time.monotonic()
    found = listed(home, cache)["broken"]
    assert time.monotonic() - begun < 0.2
    assert how in found.problem
    assert "\n" not in found.problem


def test_hostile_numbers_of_a_type_that_nobody_knows_are_a_problem(home: Path, cache: Path) -> None:
    make_folder(home / "models" / "strange", model_type="strange", num_hidden_layers=10**12)
    make_folder(home / "models" / "odd", model_type={"a": []}, architectures={"x": 1}, max_position_embeddings="many")
    found = listed(home, cache)
    assert "num_hidden_layers" in found["strange"].problem
    assert found["odd"].role is Role.OTHER


def test_a_gguf_file_that_is_cut_off_is_a_problem(home: Path, cache: Path) -> None:
    path = make_gguf(home / "models" / "tiny.gguf")
    data = path.read_bytes()
    for n_bytes, words in (
        (len(data) // 2, "cut off"),
        (100, "ends inside its header"),
        (3, "ends inside"),
        (0, "ends"),
    ):
        path.write_bytes(data[:n_bytes])
        assert words in listed(home, cache)["tiny.gguf"].problem


def test_a_home_that_is_not_there_has_no_models(cache: Path, tmp_path: Path) -> None:
    assert listed(tmp_path / "nothing", cache) == {}


def test_fifty_models_are_listed_in_time_and_again_in_no_time(home: Path, cache: Path, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "model")
    layers = {f"model.layers.{nth}.mlp.up_proj.weight": zeros((4, 4), "float16") for nth in range(300)}
    safetensors.numpy.save_file(layers, model / "model.safetensors")
    for nth in range(25):
        make_snapshot(cache, f"org/model-{nth}", model)
        make_folder(home / "models" / f"model-{nth}")
    catalogue = Catalogue(home, cache)
    catalogue.models()  # imports, and the packed built-in model's header
    cold, begun = Catalogue(home, cache), time.process_time()
    assert len(cold.models()) >= 50
    first_s = time.process_time() - begun  # processor time: others compute beside this
    begun = time.process_time()
    cold.models()
    again_s = time.process_time() - begun
    assert (first_s < 0.3, again_s < 0.1) == (True, True), (first_s, again_s)


def test_what_changes_is_read_again(home: Path, cache: Path) -> None:
    catalogue = Catalogue(home, cache)
    make_folder(home / "models" / "one")
    assert not catalogue.models()[-1].problem
    (home / "models" / "one" / "model.safetensors").unlink()
    assert "no weights" in catalogue.models()[-1].problem
    make_folder(home / "models" / "two")
    assert [each.name for each in catalogue.models()][-2:] == ["one", "two"]
