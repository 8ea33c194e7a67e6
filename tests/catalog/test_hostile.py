"""Whatever a stranger's files hold, the list of models is made, and each name is one model or one sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.catalog import ModelSource, resolve
from core.catalog.describe import describe
from core.errors import ModelNotFound
from tests.catalog.making import CONFIG, make_folder, make_gguf

KEYS = [*CONFIG, "text_config", "quantization_config", "layer_types", "num_key_value_heads", "head_dim", "torch_dtype",
        "tie_word_embeddings", "is_encoder_decoder", "max_position_embeddings", "vision_config"]  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner)
)
CONFIGS = st.dictionaries(st.sampled_from(KEYS), VALUES)


@settings(max_examples=150, deadline=2000)
@given(CONFIGS, st.sampled_from(["config.json", "tokenizer_config.json", "model.safetensors.index.json"]))
def test_no_json_keeps_the_list_from_being_made(found: dict[str, Any], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = make_folder(Path(folder))
        (model / name).write_text(json.dumps(CONFIG | found if name == "config.json" else found))
        assert "\n" not in describe(ModelSource("one", model, None)).problem


@settings(max_examples=150, deadline=2000)
@given(st.data())
def test_no_bytes_keep_the_list_from_being_made(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = make_folder(Path(folder))
        packed = make_gguf(model / "one.gguf")
        path = data.draw(st.sampled_from([model / "model.safetensors", model / "README.md", packed]))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content))
        for file in (None, packed.name):
            assert "\n" not in describe(ModelSource("one", path.parent, None, file)).problem


@settings(max_examples=300, deadline=500)
@given(st.text(max_size=60) | st.from_regex(r"[\w./~-]{1,40}", fullmatch=True), st.none() | st.text(max_size=20))
def test_any_name_is_one_sentence(name: str, revision: str | None) -> None:
    home = Path("/nonexistent")  # so that any name is that of nothing
    with pytest.raises(ModelNotFound) as caught:
        resolve(name, home, revision, home / "cache")
    assert "\n" not in caught.value.message + caught.value.hint
