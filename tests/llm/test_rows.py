"""A row's tokens and what is trained of them are TRL's own, for every format."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from datasets import Dataset  # type: ignore[import-untyped]
from transformers import AutoTokenizer
from trl.chat_template_utils import get_training_chat_template, has_generation_markers
from trl.data_utils import is_conversational
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from core.catalog import builtin_folder
from core.data.chat_templates import CHAT_TEMPLATES
from core.data.values import Row
from core.errors import BadInput
from core.llm.rows import Encoded, RowWarning, encode_row, set_chat_template, warnings_of
from tests.data.making import OTHER, TALK

TEXTS = [{"text": "A first text."}, {"text": "Ends by itself.<|im_end|>"}, {"text": " Lines\n\nof ünïcode 🙂\n"}]
PAIRS = [{"prompt": "The sky is", "completion": " blue."}, {"prompt": "Merge", "completion": "d at the border."}]
SPOKEN = [{"prompt": TALK[:1], "completion": TALK[1:]}, {"prompt": OTHER[:1], "completion": OTHER[1:]}]
SYSTEM = {"role": "system", "content": "Be short."}
TALKS = [{"messages": TALK}, {"messages": [SYSTEM, *TALK, *OTHER]}]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def tokenizer(models_home: Path) -> Any:
    return AutoTokenizer.from_pretrained(builtin_folder(models_home), local_files_only=True)


def trls(
    rows: list[dict[str, Any]], tokenizer: Any, completion_only: bool | None, assistant_only: bool
) -> list[Encoded]:
    """What TRL's own trainer prepares of the rows, from what its constructor finds out of them."""
    args = SFTConfig(max_length=None, assistant_only_loss=assistant_only, report_to=[], use_cpu=True, bf16=False)
    sample = rows[0]
    usual = "prompt" in sample and "completion" in sample
    patched = assistant_only and not has_generation_markers(tokenizer.chat_template)
    trainer = SimpleNamespace(
        _tokenizer=tokenizer,
        chat_template=get_training_chat_template(tokenizer) if patched else None,
        completion_only_loss=usual if completion_only is None else completion_only,
    )
    prepare = cast(Any, SFTTrainer._prepare_dataset)
    made = prepare(trainer, Dataset.from_list(rows), tokenizer, args, False, None, "test")
    return [Encoded(tuple(each["input_ids"]), tuple(one != -100 for one in each["labels"])) for each in made]


@pytest.mark.parametrize("completion_only", [None, True, False])
@pytest.mark.parametrize("rows", [TEXTS, PAIRS, SPOKEN, TALKS])
def test_rows_are_encoded_as_trl_does(rows: list[dict[str, Any]], completion_only: bool | None, tokenizer: Any) -> None:
    ours = [encode_row(Row(1, fields), tokenizer, completion_only) for fields in rows]
    assert ours == trls(rows, tokenizer, completion_only, assistant_only=False)


@pytest.mark.parametrize("rows", [SPOKEN, TALKS])
def test_what_the_assistant_says_is_marked_as_trl_does(rows: list[dict[str, Any]], tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    assert is_conversational(rows[0])
    ours = [encode_row(Row(1, fields), tokenizer, None, assistant_only=True) for fields in rows]
    assert ours == trls(rows, tokenizer, None, assistant_only=True)
    assert any(ours[0].trained)
    assert not all(ours[0].trained)


def test_labels_are_text_and_preferences_are_the_chosen_answer(tokenizer: Any) -> None:
    labelled = encode_row(Row(1, {"text": "Fine.", "label": 1, "rating": 2.0}), tokenizer)
    assert labelled == encode_row(Row(1, {"text": "Fine."}), tokenizer)
    preferred = encode_row(Row(1, {"prompt": "I am", "chosen": " well.", "rejected": " ill."}), tokenizer)
    assert preferred == encode_row(Row(1, {"prompt": "I am", "completion": " well."}), tokenizer)
    assert tokenizer.decode([token for token in preferred.labels if token != -100]) == " well.<|im_end|>"


def test_a_conversation_without_a_template_is_refused_with_a_way_out(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(BadInput, match="has no chat template") as caught:
        encode_row(Row(1, TALKS[0]), tokenizer)
    assert "Name one by chat_template: chatml, llama-2, plain. Use prompt and completion" in caught.value.hint


def test_a_template_that_refuses_says_so(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('only two roles') }}"
    with pytest.raises(BadInput, match="refuses this conversation: only two roles"):
        encode_row(Row(1, TALKS[0]), tokenizer)


def test_the_assistant_alone_needs_a_conversation_and_a_template_that_marks_it(tokenizer: Any) -> None:
    with pytest.raises(BadInput, match="takes conversations"):
        encode_row(Row(1, TEXTS[0]), tokenizer, assistant_only=True)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    with pytest.raises(BadInput, match="TRL knows none for this model"):
        encode_row(Row(1, TALKS[0]), tokenizer, assistant_only=True)
    tokenizer.chat_template = "{% if false %}{% generation %}x{% endgeneration %}{% endif %}y"
    with pytest.raises(BadInput, match="finds nothing that the assistant says"):
        encode_row(Row(1, TALKS[0]), tokenizer, assistant_only=True)


def test_a_tokenizer_without_an_end_is_refused(tokenizer: Any) -> None:
    tokenizer.eos_token = None
    with pytest.raises(BadInput, match="no end-of-text token"):
        encode_row(Row(1, TEXTS[0]), tokenizer)


def test_it_warns_where_a_row_teaches_no_end_or_nothing(tokenizer: Any) -> None:
    end = frozenset([tokenizer.eos_token_id])
    pair = encode_row(Row(1, {"prompt": "one two three four", "completion": " five six"}), tokenizer)
    size, n_prompt = len(pair.input_ids), pair.trained.index(True)
    assert warnings_of(pair, end) == warnings_of(pair, end, size) == ()
    assert warnings_of(pair, end, size - 1) == (RowWarning.CUT_OFF, RowWarning.NO_END)
    assert warnings_of(pair, end, n_prompt) == (RowWarning.CUT_OFF, RowWarning.ALL_CUT)
    assert warnings_of(Encoded(pair.input_ids, (False,) * size), end) == (RowWarning.ALL_MASKED,)
    assert warnings_of(pair, frozenset([0])) == (RowWarning.NO_END,)


def bare(tokenizer: Any, *, bos: str | None = None) -> Any:
    """A tokenizer without a template, and with an end that no template spells out."""
    tokenizer.chat_template, tokenizer.eos_token, tokenizer.bos_token = None, "<|endoftext|>", bos
    return tokenizer


SAID = {
    "chatml": "<|im_start|>system\nBe short.<|endoftext|>\n<|im_start|>user\nWhy is the sky blue?<|endoftext|>\n"
    "<|im_start|>assistant\nIt scatters light.<|endoftext|>\n",
    "llama-2": "[INST] <<SYS>>\nBe short.\n<</SYS>>\n\nWhy is the sky blue? [/INST] It scatters light. <|endoftext|>",
    "plain": "System: Be short.\nUser: Why is the sky blue?\nAssistant: It scatters light.<|endoftext|>\n",
}


@pytest.mark.parametrize("name", list(CHAT_TEMPLATES))
@pytest.mark.parametrize("rows", [SPOKEN, TALKS])
@pytest.mark.parametrize("assistant_only", [False, True])
def test_a_named_template_makes_what_trl_makes_of_it(
    name: str, rows: list[dict[str, Any]], assistant_only: bool, tokenizer: Any
) -> None:
    set_chat_template(bare(tokenizer), name)
    ours = [encode_row(Row(1, fields), tokenizer, None, assistant_only) for fields in rows]
    assert ours == trls(rows, tokenizer, None, assistant_only)


@pytest.mark.parametrize("name", list(CHAT_TEMPLATES))
def test_a_named_template_adds_no_token_and_ends_answers_with_the_one_that_is_there(name: str, tokenizer: Any) -> None:
    size = len(bare(tokenizer))
    set_chat_template(tokenizer, name)
    row = encode_row(Row(1, {"messages": [SYSTEM, *TALK]}), tokenizer, assistant_only=True)
    assert tokenizer.decode(row.input_ids) == SAID[name]
    learned = tokenizer.decode([token for token in row.labels if token != -100])
    assert learned.strip() in ("It scatters light.<|endoftext|>", "It scatters light. <|endoftext|>")
    assert len(tokenizer) == size
    assert warnings_of(row, frozenset([tokenizer.eos_token_id])) == ()


@pytest.mark.parametrize("name", list(CHAT_TEMPLATES))
def test_what_a_named_template_asks_is_how_it_tells_the_whole(name: str, tokenizer: Any) -> None:
    set_chat_template(bare(tokenizer), name)
    asked = tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(TALK, tokenize=False)
    assert whole.startswith(asked)
    assert whole.removeprefix(asked).strip().startswith("It scatters light.")


def test_a_named_template_is_kept_with_the_tokenizer(tmp_path: Path, tokenizer: Any) -> None:
    set_chat_template(bare(tokenizer, bos="<|im_start|>"), "llama-2")
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.chat_template == CHAT_TEMPLATES["llama-2"]
    assert str(again.apply_chat_template(TALK, tokenize=False)).startswith(
        "<|im_start|>[INST] Why is the sky blue? [/INST]"
    )


def test_a_template_without_an_end_to_use_or_with_a_system_message_astray_is_refused(tokenizer: Any) -> None:
    set_chat_template(bare(tokenizer), "llama-2")
    with pytest.raises(BadInput, match="only right before the first message of the user"):
        encode_row(Row(1, {"messages": [*TALK, SYSTEM]}), tokenizer)
    tokenizer.eos_token = None
    with pytest.raises(BadInput, match="no end-of-text token"):
        set_chat_template(tokenizer, "plain")
