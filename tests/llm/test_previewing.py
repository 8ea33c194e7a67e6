"""A preview counts what TRL would be given, shows it token by token, and its first batch is the trainer's own."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from core.catalog import BUILTIN_NAME, resolve
from core.data.preview import Previewed, bins_of, learning_notes
from core.data.values import Data
from core.errors import ModelBroken
from core.llm.detokenize import UNFINISHED
from core.llm.previewing import Question, preview
from core.llm.rows import Encoded, RowWarning
from core.llm.tokenizer import end_ids_of, pieces_of, tokenizer_of
from tests.data.making import OTHER, TALK, read, written

ASKED = Question(1024, None, False, per_device_train_batch_size=3, seed=42, n_shown=2)
PAIRS = [{"prompt": f"Count to {n}:", "completion": " " + " ".join(map(str, range(n)))} for n in range(1, 30)]


@pytest.fixture(scope="module")
def builtin_tokenizer(models_home: Path) -> Any:
    return tokenizer_of(resolve(BUILTIN_NAME, models_home))


@pytest.fixture
def tokenizer(builtin_tokenizer: Any) -> Any:
    """One that a test may change."""
    return deepcopy(builtin_tokenizer)


def look(data: Data, tokenizer: Any, question: Question = ASKED) -> Previewed:
    ends = frozenset([tokenizer.eos_token_id])
    return preview(data, tokenizer, ends, question, "some", lambda done, total: None, lambda: False)


def trls_first_batch(data: Data, tokenizer: Any, question: Question, folder: Path) -> dict[str, Any]:
    """What TRL's trainer hands the model first."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    args = SFTConfig(
        output_dir=str(folder),
        max_length=question.max_length,
        completion_only_loss=question.completion_only_loss,
        per_device_train_batch_size=question.per_device_train_batch_size,
        seed=question.seed,
        report_to=[],
        use_cpu=True,
        bf16=False,
    )
    trainer = SFTTrainer(
        model=LlamaForCausalLM(config),
        args=args,
        train_dataset=Dataset.from_list([row.fields for row in data.train]),
        processing_class=tokenizer,
    )
    found: dict[str, Any] = next(iter(trainer.get_train_dataloader()))
    return found


@pytest.mark.parametrize("max_length", [1024, 24, 6])
def test_the_first_batch_is_the_trainers_own(tmp_path: Path, tokenizer: Any, max_length: int) -> None:
    data = read(written(tmp_path / "a.jsonl", *PAIRS))
    question = replace(ASKED, max_length=max_length)
    made = look(data, tokenizer, question).batch
    assert made is not None
    theirs = trls_first_batch(data, tokenizer, question, tmp_path / "out")
    assert torch.equal(torch.tensor(made.input_ids), theirs["input_ids"])
    assert torch.equal(torch.tensor(made.labels), theirs["labels"])
    assert torch.equal(torch.tensor(made.attention_mask), theirs["attention_mask"])
    assert len(made.numbers) == 3


def test_tokens_are_counted_and_what_is_cut_is_said(tmp_path: Path, tokenizer: Any) -> None:
    data = read(written(tmp_path / "a.jsonl", *PAIRS), eval_share=0.0)
    sizes = [len(tokenizer(row["prompt"] + row["completion"])["input_ids"]) + 1 for row in PAIRS]
    whole, cut = look(data, tokenizer), look(data, tokenizer, replace(ASKED, max_length=20))
    assert whole.n_tokens == cut.n_tokens == sum(sizes)
    assert (whole.n_cut, whole.n_lost_tokens, whole.warnings) == (0, 0, ())
    assert cut.n_cut == sum(size > 20 for size in sizes)
    assert cut.n_lost_tokens == sum(max(0, size - 20) for size in sizes)
    assert {one.what: one.n_rows for one in cut.warnings} == {
        RowWarning.CUT_OFF: cut.n_cut,
        RowWarning.NO_END: cut.n_cut,
    }
    assert sum(one.n for one in whole.histogram) == len(PAIRS)
    assert whole.n_trained_tokens < whole.n_tokens
    assert f"{cut.n_lost_tokens:,} tokens" in cut.text


def test_rows_of_which_nothing_is_left_to_train_are_counted(tmp_path: Path, tokenizer: Any) -> None:
    data = read(written(tmp_path / "a.jsonl", *PAIRS), eval_share=0.0)
    made = look(data, tokenizer, replace(ASKED, max_length=2))
    assert (made.n_left_out, made.n_trained_tokens, made.batch) == (len(PAIRS), 0, None)
    assert RowWarning.ALL_CUT in {one.what for one in made.warnings}


def test_a_row_is_shown_with_its_template_and_what_is_trained(tmp_path: Path, tokenizer: Any) -> None:
    rows = [{"prompt": TALK[:1], "completion": TALK[1:]}, {"prompt": OTHER[:1], "completion": OTHER[1:]}]
    shown = look(read(written(tmp_path / "a.jsonl", *rows), eval_share=0.0), tokenizer).rows[0]
    text = "".join(piece.text for piece in shown.pieces)
    assert text.endswith("<|im_start|>assistant\nIt scatters light.<|im_end|>\n")
    trained = [piece for piece in shown.pieces if piece.is_trained]
    assert "".join(piece.text for piece in trained) == "It scatters light.<|im_end|>\n"
    assert [piece.text for piece in trained if piece.is_special] == ["<|im_end|>"]
    assert trained[1].text == " sc"


def test_a_model_without_a_chat_template_still_tells_what_the_data_is(tmp_path: Path, tokenizer: Any) -> None:
    tokenizer.chat_template = None
    made = look(read(written(tmp_path / "a.jsonl", {"messages": TALK}, {"messages": OTHER})), tokenizer)
    assert (made.n_rows, made.n_refused, made.n_tokens, made.rows, made.batch) == (2, 2, 0, (), None)
    assert made.warnings[0].n_rows == 2
    assert "no chat template" in made.warnings[0].what
    assert "no chat template" in made.text


def test_what_was_counted_when_it_was_stopped_is_given(tmp_path: Path, tokenizer: Any) -> None:
    data = read(written(tmp_path / "a.jsonl", *({"text": f"row {n}"} for n in range(1200))))
    calls: list[int] = []
    made = preview(
        data, tokenizer, frozenset(), ASKED, "some", lambda done, total: calls.append(done), lambda: len(calls) > 1
    )
    assert calls == [0, 500]
    assert (made.n_counted, made.batch) == (500, None)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_pieces_together_are_the_text(builtin_tokenizer: Any, text: str) -> None:
    ids = tuple(builtin_tokenizer(f"{text}<|im_end|>🙂é\n")["input_ids"])
    whole = builtin_tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assume(UNFINISHED not in whole)  # it lacks tokens for some characters that nobody has been given yet
    pieces = pieces_of(Encoded(ids, (True,) * len(ids)), builtin_tokenizer)
    assert "".join(piece.text for piece in pieces) == whole
    assert tuple(token for piece in pieces for token in piece.tokens) == ids


def test_it_can_be_imported_while_another_thread_imports_the_library() -> None:
    script = (
        "import sys, threading, time\n"
        "threading.Thread(target=lambda: __import__('core.llm.abilities')).start()\n"
        "while 'transformers' not in sys.modules: time.sleep(0.001)\n"
        "import core.llm.tokenizer"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_bins_are_round_and_hold_every_row() -> None:
    bins = bins_of([0, 1, 19, 20, 399])
    assert [(one.begin, one.end, one.n) for one in bins[:2]] == [(0, 20, 3), (20, 40, 1)]
    assert (len(bins), bins[-1].end, sum(one.n for one in bins)) == (20, 400, 5)
    assert bins_of([]) == ()


def test_the_models_own_settings_say_what_ends_an_answer(models_home: Path, tmp_path: Path) -> None:
    source = resolve(BUILTIN_NAME, models_home)
    assert end_ids_of(source, tokenizer_of(source)) == {2}
    folder = replace(source, folder=tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [5, 6]}')
    assert end_ids_of(folder, None) == {5, 6}
    with pytest.raises(ModelBroken):
        tokenizer_of(folder)


PREFERRED = [
    {"prompt": "The sky is", "chosen": f" blue, and this is number {n}.", "rejected": " green."} for n in range(8)
]


def test_both_answers_of_a_preference_are_shown_and_counted(tmp_path: Path, tokenizer: Any) -> None:
    made = look(read(written(tmp_path / "a.jsonl", *PREFERRED), eval_share=0.0), tokenizer)
    texts = ["".join(piece.text for piece in side) for side in (made.rows[0].pieces, made.rows[0].rejected)]
    assert texts == ["The sky is blue, and this is number 0.<|im_end|>", "The sky is green.<|im_end|>"]
    learned = "".join(piece.text for piece in made.rows[0].rejected if piece.is_trained)
    assert learned == " green.<|im_end|>"
    sizes = [len(tokenizer(text)["input_ids"]) for text in texts]
    assert [made.rows[0].n_tokens, made.rows[0].n_rejected_tokens] == sizes
    assert made.n_tokens == len(PREFERRED) * sum(sizes)
    assert sum(one.n for one in made.histogram) == 2 * len(PREFERRED)


def test_a_preference_is_cut_where_either_answer_is_too_long(tmp_path: Path, tokenizer: Any) -> None:
    data = read(written(tmp_path / "a.jsonl", *PREFERRED), eval_share=0.0)
    made = look(data, tokenizer, replace(ASKED, max_length=8))
    assert (made.n_cut, made.cut_share) == (len(PREFERRED), 1.0)
    assert made.rows[0].is_cut


def test_it_says_where_no_label_ends_a_text_and_which_share_of_rows_has_none(tmp_path: Path, tokenizer: Any) -> None:
    data = read(written(tmp_path / "a.jsonl", *PAIRS), eval_share=0.0)
    whole, cut = look(data, tokenizer), look(data, tokenizer, replace(ASKED, max_length=20))
    assert (whole.n_endless, cut.n_endless) == (0, cut.n_cut)
    assert "of the rows no label ends a text." in cut.text
    assert learning_notes(10, 0, 0) == ()
    assert learning_notes(10, 8, 2)[0] == "No label ends a text: the model will not learn to stop."
    assert learning_notes(10, 4, 2) == (
        "In 50.0 % of the rows no label ends a text.",
        "20.0 % of the rows are left out: all of their labels are masked.",
    )
