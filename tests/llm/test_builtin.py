"""The real built-in model: what is unpacked, and that the engine says what plain `generate` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from core.catalog import BUILTIN_NAME, BUILTIN_REVISION, builtin_folder, builtin_is_ready
from core.llm.encode import encode_chat, encode_text
from core.llm.engine import Engine, Request
from core.llm.loading import LoadedModel
from core.llm.sampling import resolve_sampling
from core.values import Message

QUESTIONS = ["What is the capital of France?", "Name three animals.", "Write a line about the sea, please."]
N_NEW = 24


def chat(loaded: LoadedModel, question: str) -> list[int]:
    return encode_chat(loaded, [Message(role="user", content=question)])


def generated(loaded: LoadedModel, token_ids: list[int]) -> str:
    ids = torch.tensor([token_ids])
    model: Any = loaded.model
    made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=N_NEW)
    return str(loaded.tokenizer.decode(made[0, len(token_ids) :], skip_special_tokens=True))


def request(loaded: LoadedModel, token_ids: list[int], **asked: Any) -> Request:
    return Request(tuple(token_ids), resolve_sampling(loaded, asked, len(token_ids), seed=asked.pop("seed", 0)))


def test_the_folder_holds_all_that_others_need(models_home: Path) -> None:
    folder = builtin_folder(models_home)
    assert builtin_is_ready(models_home)
    assert json.loads((folder / "config.json").read_text())["max_position_embeddings"] == 8192
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == 2
    assert "<|im_start|>" in (folder / "chat_template.jinja").read_text()
    assert not list(folder.parent.glob("*.part"))


def test_the_page_can_count_tokens_without_torch(models_home: Path, builtin: LoadedModel) -> None:
    tokenizer = Tokenizer.from_file(str(builtin_folder(models_home) / "tokenizer.json"))
    text = "Grüße! In 1984  3 people met.\n\n 12"
    assert tokenizer.encode(text).ids == encode_text(builtin, text)


def test_each_digit_is_a_token_and_the_spaces_before_it_are_not_split(builtin: LoadedModel) -> None:
    assert builtin.tokenizer.convert_ids_to_tokens(encode_text(builtin, "a  12")) == ["a", "ĠĠ", "1", "2"]


def test_a_chat_begins_with_the_model_s_own_system_turn_and_ends_where_the_answer_begins(builtin: LoadedModel) -> None:
    text = builtin.tokenizer.decode(chat(builtin, "Hello"))
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert text.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    assert builtin.tokenizer.convert_tokens_to_ids("<|im_end|>") in builtin.eos_ids


def test_it_is_loaded_as_what_it_is(builtin: LoadedModel) -> None:
    assert (builtin.source.name, builtin.source.revision) == (BUILTIN_NAME, BUILTIN_REVISION)
    assert builtin.context_length == 8192
    assert builtin.weights_bytes == 134_515_008 * 4


def test_questions_together_get_the_answers_that_generate_gives_each_alone(
    builtin: LoadedModel, engine_of: Callable[..., Engine]
) -> None:
    engine = engine_of(builtin)
    prompts = [chat(builtin, question) for question in QUESTIONS]
    asked = [engine.submit(request(builtin, each, temperature=0, max_new_tokens=N_NEW)) for each in prompts]
    answers = ["".join(chunk.text for chunk in generation) for generation in asked]
    assert answers == [generated(builtin, each) for each in prompts]
    assert "Paris" in answers[0]
    assert asked[0].finish_reason == "stop"
    assert max(generation.shared_with for generation in asked) == 2


def test_a_seed_makes_an_answer_again(builtin: LoadedModel, engine_of: Callable[..., Engine]) -> None:
    engine = engine_of(builtin)
    texts = []
    for seed in (11, 11, 12):
        generation = engine.submit(request(builtin, chat(builtin, QUESTIONS[2]), seed=seed, max_new_tokens=16))
        texts.append("".join(chunk.text for chunk in generation))
    assert texts[0] == texts[1] != texts[2]


def test_a_request_is_told_its_own_share_of_the_cache(builtin: LoadedModel, engine_of: Callable[..., Engine]) -> None:
    token_ids = chat(builtin, QUESTIONS[0])
    generation = engine_of(builtin).submit(request(builtin, token_ids, max_new_tokens=4, temperature=0.0))
    n_tokens = len(token_ids) + sum(chunk.n_tokens for chunk in generation)
    # 30 layers, 3 heads of keys and of values, 64 numbers each, four bytes a number
    assert generation.cache_bytes == n_tokens * 30 * 2 * 3 * 64 * 4
