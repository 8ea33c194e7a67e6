"""Scores texts with a sequence classifier or a reward model, and proves that one can be trusted to.

How such models are loaded is in `core.llm.heads`; what is made of their logits is `reward_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from core.abilities import Choice
from core.catalog import ModelSource
from core.errors import BadInput, ModelBroken, NotFound
from core.llm.heads import load_headed
from core.llm.loading import LoadedModel, first_device, usual_choice
from core.training.lineage import read_lineage

Scale = Literal["log-odds", "logit", "probability"]
TOKENS_AT_ONCE = {"cpu": 2_048, "cuda": 16_384}
TEXTS = (
    "A moving film, beautifully played, that stays with you for days.",
    "Dull, overlong and badly acted: two hours of my life that I want back.",
    "The train leaves at nine.",
    "It is what it is, neither good nor bad, and I would not see it a second time, though my sister liked it well "
    "enough to go again on the following evening with three of her friends.",
)
N_FROM_VOCABULARY = 4
NEARLY = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True, slots=True)
class Classifier:
    """A sequence classifier in memory.

    Attributes:
        labels: in the order of its logits; a reward model's one number may have any name.
        ends_texts: whether it learned from texts that end with the end-of-text token, so that one is put behind each.
    """

    loaded: LoadedModel
    labels: tuple[str, ...]
    ends_texts: bool = False

    @property
    def name(self) -> str:
        """What it was asked by."""
        return self.loaded.source.name

    @property
    def is_reward_model(self) -> bool:
        """Whether it gives one number, and no label."""
        return len(self.labels) == 1 and not self.loaded.model.config.problem_type

    def score(self, texts: Sequence[str]) -> Tensor:
        """The logits of each text, (N, labels) in float32 on the processor. Of a long text the end is read."""
        return self.score_ids(self.encode(texts))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text as they are scored."""
        end = self.loaded.tokenizer.eos_token if self.ends_texts else None
        whole = [text if not end or text.endswith(end) else text + str(end) for text in texts]
        return encode_texts(whole, self.loaded.tokenizer, self.loaded.context_length)

    def score_ids(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The same for tokens."""
        return score_rows(self.loaded.model, rows, pad_id_of(self.loaded))


def load_classifier(
    source: ModelSource, choice: Choice | None = None, device: str | None = None, may_run_code: bool = False
) -> Classifier:
    """A ready sequence classifier or reward model of this machine; safetensors only, and no code of its own.

    Raises:
        NotAClassifier: it has no labels to score a text by.
        ModelError: it is not here, or cannot be loaded.
        BadInput: not at that precision.
    """
    device = device or first_device()
    headed = load_headed(source, choice or usual_choice(device), device, may_run_code)
    prepare_padding(headed.loaded)
    return Classifier(headed.loaded, headed.labels, _ends_texts(source))


def encode_texts(texts: Sequence[str], tokenizer: Any, max_length: int) -> list[list[int]]:
    """The tokens of texts, at most `max_length` of each: its last ones, with those that the tokenizer puts around."""
    if not texts:
        return []
    tokenizer.truncation_side = "left"
    made: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    return made


def pad_id_of(loaded: LoadedModel) -> int | None:
    """The token that fills up shorter rows: the model finds the last token of a text by it. None where it has none."""
    config: Any = loaded.model.config.get_text_config()
    for one in (config.pad_token_id, loaded.tokenizer.pad_token_id, loaded.tokenizer.eos_token_id):
        if one is not None:
            return int(one)
    return None


def prepare_padding(loaded: LoadedModel) -> None:
    """Let the model know the token that rows are filled up with."""
    config: Any = loaded.model.config.get_text_config()
    config.pad_token_id = pad_id_of(loaded)


@torch.no_grad()
def score_rows(model: Any, rows: Sequence[Sequence[int]], pad_id: int | None) -> Tensor:
    """The logits of rows of tokens, (N, labels) in float32 on the processor, filled up on the right."""
    was_training = model.training
    model.eval()
    try:
        found = {index: one for indices in _batches(model, rows, pad_id) for index, one in indices}
    finally:
        model.train(was_training)
    width = model.config.num_labels
    return torch.stack([found[index] for index in range(len(rows))]) if rows else torch.zeros(0, width)


def reward_of(logits_N_L: Tensor, labels: Sequence[str], label: str, scale: Scale = "log-odds") -> Tensor:
    """One number a text: how much it is of a label; a reward model's own number, whatever the label.

    Args:
        label: one of `labels`; "" for a reward model.
        scale: log-odds is the logit of the label minus the logsumexp of the others; with two, their difference.

    Returns:
        (N,).

    Raises:
        BadInput: it has no such label.
    """
    if len(labels) == 1:
        if label and label != labels[0]:
            raise BadInput(f"A reward model gives one number and has no label {label}.", "Leave the label empty.")
        return logits_N_L[:, 0]
    if label not in labels:
        what = f"The classifier has no label {label}" if label else "A label must be chosen"
        raise BadInput(f"{what}.", f"It has {', '.join(labels[:20])}.")
    index = list(labels).index(label)
    if scale == "logit":
        return logits_N_L[:, index]
    if scale == "probability":
        return torch.softmax(logits_N_L, dim=-1)[:, index]
    others = [other for other in range(len(labels)) if other != index]
    return logits_N_L[:, index] - torch.logsumexp(logits_N_L[:, others], dim=-1)


def prove_classifier(classifier: Classifier, texts: Sequence[str] = ()) -> None:
    """See that a classifier can be trusted with texts: `texts` beside some of ours.

    Raises:
        ModelBroken: what it says is no number, or the same of all, or hangs on what it is read with.
    """
    rows = [*classifier.encode([*TEXTS, *texts]), *_from_vocabulary(classifier)]
    scores = classifier.score_ids(rows)
    if scores.shape != (len(rows), len(classifier.labels)):
        raise ModelBroken(
            f"{classifier.name} gives {tuple(scores.shape)} numbers for {len(rows)} texts and "
            f"{len(classifier.labels)} labels."
        )
    if not bool(torch.isfinite(scores).all()):
        raise ModelBroken(f"The scores of {classifier.name} are no numbers (NaN or infinite).")
    if float((scores - scores[0]).abs().max()) == 0.0:
        raise ModelBroken(f"{classifier.name} gives all texts the same scores.", "Train it, or take another.")
    _prove_padding(classifier, rows)


def nearly_of(classifier: Classifier) -> float:
    """By how much two computations of a score may differ, as a share of the scores' size: sums have another order."""
    return NEARLY.get(classifier.loaded.model.dtype, NEARLY[torch.bfloat16])


def _prove_padding(classifier: Classifier, rows: Sequence[Sequence[int]]) -> None:
    pad_id = pad_id_of(classifier.loaded)
    if pad_id is None:
        return
    longest, shortest = max(rows, key=len), min(rows, key=len)
    beside = _together(classifier.loaded.model, [shortest, longest], pad_id)[0]
    alone = _together(classifier.loaded.model, [shortest], pad_id)[0]
    difference = float((beside - alone).abs().max())
    if difference > nearly_of(classifier) * max(1.0, float(alone.abs().max())):
        raise ModelBroken(
            f"{classifier.name} scores a text differently beside a longer one (by {difference:.3g}): it takes padding "
            "for text.",
            "Its config.json must name the tokenizer's padding token as pad_token_id.",
        )


def _from_vocabulary(classifier: Classifier) -> Iterator[list[int]]:
    """A few tokens from all over the vocabulary: it may know no word of ours."""
    tokenizer = classifier.loaded.tokenizer
    special, n_words = set(tokenizer.all_special_ids), len(tokenizer)
    plain = [token for token in range(0, n_words, max(1, n_words // 64)) if token not in special]
    for nth in range(N_FROM_VOCABULARY):
        yield plain[nth::N_FROM_VOCABULARY][:8] or [0]


def _batches(model: Any, rows: Sequence[Sequence[int]], pad_id: int | None) -> Iterator[list[tuple[int, Tensor]]]:
    """Rows of like length together, as many as memory is sure to hold."""
    at_once = TOKENS_AT_ONCE["cuda" if model.device.type == "cuda" else "cpu"]
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    while order:
        n_rows = max(1, at_once // max(1, len(rows[order[0]]))) if pad_id is not None else 1
        indices, order = order[:n_rows], order[n_rows:]
        yield list(zip(indices, _together(model, [rows[index] for index in indices], pad_id or 0), strict=True))


@torch.no_grad()
def _together(model: Any, rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    rows = [row or [pad_id] for row in rows]  # of an empty text
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    logits: Tensor = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
    return logits.float().cpu()


def _ends_texts(source: ModelSource) -> bool:
    """What our own lineage says; others do not tell, and get their texts as they are."""
    try:
        return bool(read_lineage(source.folder).get("ends_texts"))
    except NotFound:
        return False
