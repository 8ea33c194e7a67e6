"""Scoring texts with classifiers of several families: transformers' own numbers, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, pipeline

from core.abilities import Choice
from core.catalog import ModelSource, resolve
from core.catalog.describe import describe
from core.errors import BadInput, ModelBroken, NotACausalModel, NotAClassifier, PickledWeights
from core.llm.classifier import Classifier, load_classifier, prove_classifier, reward_of
from core.llm.heads import head_modules, load_with_head
from core.llm.loading import load
from core.precision import Precision
from core.values import Role
from tests.llm.tiny import CLASSIFIERS, keep_classifier, tiny_model, word_tokenizer

DENSE = Choice(Precision.FLOAT32, "sdpa", "float32", 0.0, may_fall_back=True)
TEXTS = ["w5 w6 w7", "w9 " * 60 + "w3", "w2", "w17 w4"]


def source_of(folder: str | Path) -> ModelSource:
    return resolve(str(folder), Path("/nowhere"))


@pytest.fixture(params=sorted(CLASSIFIERS))
def classifier(request: pytest.FixtureRequest, tmp_path: Path) -> Classifier:
    return load_classifier(source_of(keep_classifier(tmp_path / "model", request.param)), DENSE)


def test_scores_are_those_of_transformers_own_pipeline(classifier: Classifier) -> None:
    theirs: Any = pipeline(
        "text-classification",
        model=classifier.loaded.model,
        tokenizer=classifier.loaded.tokenizer,
        top_k=None,
        function_to_apply="none",
    )
    found = classifier.score(TEXTS)
    assert classifier.labels == ("negative", "positive")
    assert found.dtype == torch.float32
    for text, scores in zip(TEXTS, found, strict=True):
        said = {one["label"]: one["score"] for one in theirs([text])[0]}
        assert scores.tolist() == pytest.approx([said[label] for label in classifier.labels], abs=1e-4)
    prove_classifier(classifier)


def test_of_a_long_text_the_end_is_read(classifier: Classifier) -> None:
    length = classifier.loaded.context_length
    words = [f"w{index % 150 + 2}" for index in range(3 * length)]
    whole, end = classifier.score([" ".join(words), " ".join(words[-length:])])
    assert whole.tolist() == pytest.approx(end.tolist(), abs=1e-5)
    assert classifier.score([]).shape == (0, 2)
    assert bool(torch.isfinite(classifier.score(["", "w5"])).all())


def test_one_number_a_text_on_three_scales() -> None:
    logits, labels = torch.tensor([[1.0, 3.0, 0.0], [2.0, -1.0, 0.5]]), ("a", "b", "c")
    assert reward_of(logits, labels, "b", "logit").tolist() == [3.0, -1.0]
    odds = reward_of(logits, labels, "b")
    assert odds.tolist() == pytest.approx(
        [3.0 - math.log(math.e + 1), -1.0 - math.log(math.exp(2.0) + math.exp(0.5))], abs=1e-5
    )
    shares = reward_of(logits, labels, "b", "probability")
    assert torch.sigmoid(odds).tolist() == pytest.approx(shares.tolist(), abs=1e-5)
    two = torch.tensor([[0.5, 2.0]])
    assert reward_of(two, ("no", "yes"), "yes").tolist() == [1.5]
    assert reward_of(torch.tensor([[0.7]]), ("reward",), "").tolist() == pytest.approx([0.7])
    with pytest.raises(BadInput, match="no label d") as refused:
        reward_of(logits, labels, "d")
    assert "a, b, c" in refused.value.hint
    with pytest.raises(BadInput, match="must be chosen"):
        reward_of(logits, labels, "")


def test_a_classifier_is_found_listed_and_refused_as_a_language_model(tmp_path: Path) -> None:
    source = source_of(keep_classifier(tmp_path / "model", "llama"))
    assert describe(source).role is Role.CLASSIFIER
    with pytest.raises(NotACausalModel, match="cannot continue a text"):
        load(source, DENSE)


def test_a_reward_model_has_one_number_and_no_label(tmp_path: Path) -> None:
    found = load_classifier(source_of(keep_classifier(tmp_path / "model", "llama", ("reward",))), DENSE)
    assert found.is_reward_model
    assert found.score(TEXTS).shape == (4, 1)
    prove_classifier(found)


def test_what_cannot_score_is_refused_in_a_sentence(tmp_path: Path) -> None:
    causal = tmp_path / "causal"
    tiny_model("llama").save_pretrained(causal)
    word_tokenizer().save_pretrained(causal)
    with pytest.raises(NotAClassifier, match="no sequence classifier"):
        load_classifier(source_of(causal), DENSE)
    pickled = Path(keep_classifier(tmp_path / "pickled", "bert"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(PickledWeights, match="pickled"):
        load_classifier(source_of(pickled), DENSE)
    cut = Path(keep_classifier(tmp_path / "cut", "gpt_neox"))
    weights = load_file(cut / "model.safetensors")
    weights.pop("score.weight")
    save_file(weights, cut / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelBroken, match=r"score\.weight"):
        load_classifier(source_of(cut), DENSE)
    odd = tmp_path / "odd"
    keep_classifier(odd, "bert")
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps(config | {"architectures": ["ViTModel"], "model_type": "vit"}))
    with pytest.raises(NotAClassifier, match="gets no head"):
        load_classifier(source_of(odd), DENSE)


def test_one_that_cannot_be_trusted_does_not_pass(tmp_path: Path) -> None:
    found = load_classifier(source_of(keep_classifier(tmp_path / "model", "llama")), DENSE)
    found.loaded.model.config.pad_token_id = 7  # padding would be taken for text
    prove_classifier(found)
    model: Any = found.loaded.model
    head = model.score.weight
    kept = head.data.clone()
    head.data.zero_()
    with pytest.raises(ModelBroken, match="the same scores"):
        prove_classifier(found)
    head.data.copy_(kept * math.nan)
    with pytest.raises(ModelBroken, match="no numbers"):
        prove_classifier(found)
    head.data.copy_(kept)

    class Blind(torch.nn.Module):
        """Takes the last place of each row, padding or not."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner, self.config, self.device, self.dtype = inner, inner.config, inner.device, inner.dtype

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
            hidden = self.inner.model(input_ids).last_hidden_state[:, -1]
            return SimpleNamespace(logits=self.inner.score(hidden))

    blinded: Any = Blind(model)
    blind = replace(found, loaded=replace(found.loaded, model=blinded))
    with pytest.raises(ModelBroken, match="padding for text"):
        prove_classifier(blind)


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gpt2"])
def test_a_language_model_gets_a_head_that_its_seed_decides(family: str, tmp_path: Path) -> None:
    tiny_model(family).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    heads = [load_with_head(source_of(tmp_path), DENSE, ("bad", "good"), seed) for seed in (1, 1, 2)]
    assert heads[0].labels == ("bad", "good")
    assert heads[0].new == ("score",)
    assert head_modules(heads[0].loaded.model) == ["score"]
    models: list[Any] = [head.loaded.model for head in heads]
    one, same, other = (model.score.weight for model in models)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_an_encoder_gets_a_pooler_too_and_a_classifier_keeps_its_head(tmp_path: Path) -> None:
    name, fields = CLASSIFIERS["bert"]
    assert name == "BertConfig"
    BertForMaskedLM(BertConfig(**fields)).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    made = load_with_head(source_of(tmp_path), DENSE, ("a", "b", "c"), 0)
    assert set(made.new) == {"classifier", "pooler"}
    kept = source_of(keep_classifier(tmp_path / "kept", "bert"))
    again = load_with_head(kept, DENSE, ("positive", "negative"), 0)
    assert again.new == ()
    assert again.labels == ("negative", "positive")
    assert load_with_head(kept, DENSE, ("a", "b", "c"), 0).new == ("classifier",)
    assert load_with_head(kept, DENSE, (), 0).loaded.model.config.num_labels == 1
