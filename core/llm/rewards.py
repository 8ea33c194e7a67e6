"""Scores answers by the rewards of a Spec: models are loaded and proven once, functions count words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.catalog import resolve
from core.comparison.builtin_texts import builtin_lexicon
from core.errors import NotANumber
from core.llm.classifier import Classifier, load_classifier, prove_classifier, reward_of
from core.llm.rows import written
from core.training.rewards import Reward, Sort
from core.training.texts import words_of

Scorer = Callable[[Sequence[Any], Sequence[str]], Sequence[float]]
"""From prompts, texts or messages, and their answers to a number for each."""
NORMAL = 15.0  # as VADER's compound score has it


class Rewards:
    """The parts of a reward, each with its scorer."""

    def __init__(self, parts: Sequence[tuple[Reward, Scorer]], models: Sequence[Classifier] = ()) -> None:
        self._parts = list(parts)
        self.models = tuple(models)
        """Those that are in memory."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(reward.name for reward, _ in self._parts)

    @property
    def weights(self) -> tuple[float, ...]:
        """Of all parts; 0 for what is only watched."""
        return tuple(reward.weight for reward, _ in self._parts)

    def scorers(self) -> list[Scorer]:
        """One function a part, whose numbers are held against what they must be."""
        return [_checked(reward.name, scorer) for reward, scorer in self._parts]

    def score(self, prompts: Sequence[Any], answers: Sequence[str]) -> dict[str, list[float]]:
        """What each part gives to each answer.

        Raises:
            NotANumber: a part gives NaN or infinity, or too few numbers.
        """
        return {name: list(scorer(prompts, answers)) for name, scorer in zip(self.names, self.scorers(), strict=True)}


def open_rewards(
    rewards: Sequence[Reward], home: Path, tell: Callable[[str], None], load: Callable[[str], Classifier] | None = None
) -> Rewards:
    """Load what the rewards need, and prove that it scores.

    Raises:
        BadInput: a classifier has no such label.
        NotAClassifier, ModelError: a model is none that scores, or is not here.
        Unavailable: the lexicon cannot be fetched.
    """
    models: dict[str, Classifier] = {}
    parts = []
    for one in rewards:
        if one.sort is Sort.MODEL and one.argument not in models:
            tell(f"loading the reward {one.argument}")
            models[one.argument] = _proven((load or _loader(home))(one.argument))
        parts.append((one, _scorer(one, models, home, tell)))
    return Rewards(parts, tuple(models.values()))


def _loader(home: Path) -> Callable[[str], Classifier]:
    return lambda name: load_classifier(resolve(name, home))


def _proven(classifier: Classifier) -> Classifier:
    prove_classifier(classifier)
    return classifier


def _scorer(reward: Reward, models: dict[str, Classifier], home: Path, tell: Callable[[str], None]) -> Scorer:
    if reward.sort is Sort.MODEL:
        return _by_model(reward, models[reward.argument])
    if reward.sort is Sort.LENGTH:
        wanted = int(reward.argument)
        return lambda _, answers: [_nearness(len(words_of(one)), wanted) for one in answers]
    if reward.sort is Sort.WORDS:
        counted = frozenset(reward.words)
        return lambda _, answers: [float(sum(word in counted for word in words_of(one))) for one in answers]
    lexicon = builtin_lexicon(home, tell)
    return lambda _, answers: [_compound(sum(lexicon.get(word, 0.0) for word in words_of(one))) for one in answers]


def _by_model(reward: Reward, classifier: Classifier) -> Scorer:
    reward_of(classifier.score([""]), classifier.labels, reward.label, reward.scale.value)  # it has such a label

    tokenizer = classifier.loaded.tokenizer

    def scores(prompts: Sequence[Any], answers: Sequence[str]) -> list[float]:
        logits = classifier.score([whole(*one, tokenizer) for one in zip(prompts, answers, strict=True)])
        found: list[float] = reward_of(logits, classifier.labels, reward.label, reward.scale.value).tolist()
        return found

    return scores


def whole(prompt: Any, answer: str, tokenizer: Any = None) -> str:
    """A prompt with its answer: messages by the template of who reads them, without one below each other."""
    if isinstance(prompt, str):
        return prompt + answer
    messages = [*prompt, {"role": "assistant", "content": answer}]
    if tokenizer is not None and tokenizer.chat_template:
        return written(messages, tokenizer, asks=False)
    return "\n".join(str(one["content"]) for one in messages)


def _nearness(n_words: int, wanted: int) -> float:
    return 1.0 - abs(n_words - wanted) / max(n_words, wanted)


def _compound(total: float) -> float:
    return total / math.sqrt(total * total + NORMAL)


def _checked(name: str, scorer: Scorer) -> Scorer:
    def scores(prompts: Sequence[Any], answers: Sequence[str]) -> Sequence[float]:
        found: Any = scorer(prompts, answers)
        if len(found) != len(answers):
            raise NotANumber(f"The reward {name} gave {len(found)} numbers for {len(answers)} answers.")
        odd = next((text for one, text in zip(found, answers, strict=True) if not math.isfinite(one)), None)
        if odd is not None:
            raise NotANumber(f"The reward {name} gave no number for an answer: {odd[:120]!r}.", "Take another reward.")
        return list(found)

    return scores
