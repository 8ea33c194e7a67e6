"""A folder either loads or fails with one clear sentence; prompts become the tokens that the model expects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from core.catalog import ModelSource
from core.errors import BadInput, ModelBroken, ModelError, ModelNotFound, NotACausalModel, PickledWeights
from core.llm.encode import encode_chat, encode_text
from core.llm.loading import LoadedModel, load
from core.precision import Precision
from core.values import Message
from tests.llm.tiny import CONTEXT_LENGTH, tiny_model, word_tokenizer

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 200,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole tiny model as it lies on a disk."""
    tiny_model("llama").save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def loaded_from(folder: Path) -> LoadedModel:
    return load(ModelSource("the model", folder, None), device="cpu")


def test_a_whole_folder_loads_in_float32_with_its_figures(folder: Path) -> None:
    loaded = loaded_from(folder)
    assert loaded.precision is Precision.FLOAT32
    assert loaded.model.dtype == torch.float32
    assert loaded.context_length == CONTEXT_LENGTH
    assert loaded.weights_bytes >= sum(each.nbytes for each in loaded.model.parameters())
    assert loaded.load_s > 0
    assert loaded.device_name
    assert encode_text(loaded, "w5 w7") == [5, 7]


def drop_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{not json")


def make_config_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def name_an_unknown_family(folder: Path) -> None:
    change_config(folder, model_type="never_heard_of")


def drop_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def keep_only_a_pickle(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    drop_weights(folder)


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def fill_weights_with_noise(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 5000)


def drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def claim_another_size(folder: Path) -> None:
    change_config(folder, hidden_size=64)


def drop_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def spoil_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def claim_to_be_quantized(folder: Path) -> None:
    change_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})


def ask_for_code_of_its_own(folder: Path) -> None:
    change_config(folder, model_type="mine", auto_map={"AutoConfig": "mine.Config"})
    (folder / "mine.py").write_text("raise SystemExit('code from the folder ran')")


def become_a_classifier(folder: Path) -> None:
    AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).save_pretrained(folder)


def become_an_encoder(folder: Path) -> None:
    BertForMaskedLM(BertConfig.from_dict(SMALL)).save_pretrained(folder)


def become_an_encoder_decoder(folder: Path) -> None:
    config = T5Config(vocab_size=200, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8)
    T5ForConditionalGeneration(config).save_pretrained(folder)


def change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (drop_config, ModelNotFound, "no config.json"),
        (spoil_config, ModelBroken, "config.json"),
        (make_config_a_list, ModelBroken, "config.json"),
        (name_an_unknown_family, ModelBroken, "never_heard_of"),
        (drop_weights, ModelBroken, "safetensors"),
        (keep_only_a_pickle, PickledWeights, "pickled"),
        (cut_weights, ModelBroken, "cannot be loaded"),
        (fill_weights_with_noise, ModelBroken, "cannot be loaded"),
        (drop_a_tensor, ModelBroken, "up_proj"),
        (claim_another_size, ModelBroken, "cannot be loaded"),
        (drop_tokenizer, ModelBroken, "cannot be loaded"),
        (spoil_tokenizer, ModelBroken, "cannot be loaded"),
        (claim_to_be_quantized, ModelBroken, "GPTQ quantized model requires"),
        (ask_for_code_of_its_own, ModelBroken, "cannot be loaded"),
        (become_a_classifier, NotACausalModel, "LlamaForSequenceClassification"),
        (become_an_encoder, NotACausalModel, "BertForMaskedLM"),
        (become_an_encoder_decoder, NotACausalModel, "T5ForConditionalGeneration"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_broken_folder_fails_with_a_sentence(
    folder: Path, spoil: Callable[[Path], None], error: type[ModelError], words: str
) -> None:
    spoil(folder)
    with pytest.raises(error, match=words) as caught:
        loaded_from(folder)
    assert type(caught.value) is error
    assert caught.value.message.startswith(("the model", "The "))


def test_a_model_without_a_chat_template_says_so(folder: Path) -> None:
    with pytest.raises(BadInput, match="no chat template"):
        encode_chat(loaded_from(folder), [Message(role="user", content="w5")])


def test_a_template_that_refuses_a_conversation_says_why(folder: Path) -> None:
    loaded = loaded_from(folder)
    loaded.tokenizer.chat_template = "{{ raise_exception('only the user may speak') }}"
    with pytest.raises(BadInput, match="only the user may speak"):
        encode_chat(loaded, [Message(role="system", content="w5")])


def test_the_tokenizer_s_end_counts_only_where_the_model_names_none(folder: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.eos_token = "w9"
    tokenizer.save_pretrained(folder)
    assert loaded_from(folder).eos_ids == {9}
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 4]}))
    assert loaded_from(folder).eos_ids == {3, 4}
