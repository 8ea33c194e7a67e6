"""How the next token is chosen: which values apply to a request, and the choice itself.

Beams, contrastive search and the other ways of `generate` are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from core.llm.loading import LoadedModel
from core.prompt import check_context

# what people expect where neither they nor the model's own file says anything
USUAL: Mapping[str, Any] = {
    "max_new_tokens": 256,
    "temperature": 0.7,
    "top_p": 0.95,
    "top_k": 50,
    "repetition_penalty": 1.0,
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """Every value that decides a completion, none left open."""

    max_new_tokens: int
    temperature: float
    """0 always takes the likeliest token."""
    top_p: float
    top_k: int
    """0 takes all."""
    repetition_penalty: float
    seed: int
    stop: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The values under their usual names, as the job keeps them."""
        return {**asdict(self), "stop": list(self.stop)}

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the likeliest token is taken as the model gives it, so that one argmax serves a whole batch."""
        return self.temperature == 0 and self.repetition_penalty == 1


def resolve_sampling(loaded: LoadedModel, asked: Mapping[str, Any], n_prompt_tokens: int, seed: int) -> Sampling:
    """The values for a request: what was asked, else what the model's own file sets, else the usual ones.

    Args:
        loaded: the model, whose `generation_config.json` counts only for what it truly sets.
        asked: values by name; None, an empty `stop` and an absent name mean "not asked". Other names are ignored.
        n_prompt_tokens: the prompt's length; the answer is cut to what the context leaves.
        seed: of the request's own random numbers.

    Raises:
        ContextExceeded: the prompt leaves no room for a single token.
    """
    check_context(n_prompt_tokens, loaded.context_length)
    own = _own_values(loaded)
    values = {name: _first(asked.get(name), own.get(name), usual) for name, usual in USUAL.items()}
    values["max_new_tokens"] = min(values["max_new_tokens"], loaded.context_length - n_prompt_tokens)
    return Sampling(**values, seed=seed, stop=tuple(asked.get("stop") or own.get("stop") or ()))


def _own_values(loaded: LoadedModel) -> dict[str, Any]:
    config = loaded.model.generation_config
    own = {name: getattr(config, name, None) for name in USUAL}
    if getattr(config, "do_sample", None) is False:
        own["temperature"] = 0.0
    stop = getattr(config, "stop_strings", None)
    return own | {"stop": [stop] if isinstance(stop, str) else stop}


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


class Sampler:
    """Chooses the tokens of one request. Its random numbers are its own, so no other request changes its text."""

    def __init__(self, sampling: Sampling, prompt_ids: tuple[int, ...], device: torch.device | str) -> None:
        self._sampling = sampling
        self._generator = torch.Generator(device).manual_seed(sampling.seed)
        self._prompt_ids = prompt_ids
        self._was_used_V: Tensor | None = None

    def pick(self, logits_V: Tensor) -> Tensor:
        """The next token's id, a tensor without dimensions on the logits' device: no step waits for it.

        The order is that of `generate`: repetition penalty, temperature, top-k, top-p.
        """
        logits_V = self._penalised(logits_V.float())
        if self._sampling.temperature == 0:
            token = logits_V.argmax()
        else:
            probs_K, ids_K = self.distribution(logits_V)
            token = ids_K[_draw(probs_K, self._generator)]
        if self._was_used_V is not None:
            self._was_used_V.index_fill_(0, token.view(1), True)
        return token

    def distribution(self, penalised_V: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities of the tokens that remain, likeliest first, and their ids; both (K,)."""
        wanted = self._sampling.top_k or len(penalised_V)
        # top-k first: what follows sorts and sums a few values and not the whole vocabulary
        top_K, ids_K = (penalised_V / self._sampling.temperature).topk(min(wanted, len(penalised_V)))
        probs_K = top_K.softmax(-1)
        before_K = probs_K.cumsum(-1) - probs_K
        kept_K = before_K < self._sampling.top_p
        kept_K[0] = True  # top_p of nearly nothing still leaves one
        probs_K = probs_K * kept_K
        return probs_K / probs_K.sum(), ids_K

    def _penalised(self, logits_V: Tensor) -> Tensor:
        penalty = self._sampling.repetition_penalty
        if penalty == 1:
            return logits_V
        if self._was_used_V is None:
            self._was_used_V = torch.zeros(len(logits_V), dtype=torch.bool, device=logits_V.device)
            self._was_used_V[torch.tensor(self._prompt_ids, device=logits_V.device)] = True
        less_likely_V = torch.where(logits_V < 0, logits_V * penalty, logits_V / penalty)
        return torch.where(self._was_used_V, less_likely_V, logits_V)


def _draw(probs_K: Tensor, generator: torch.Generator) -> Tensor:
    """An index by its probability, by one random number: a tiny change of a probability rarely changes the choice."""
    at = torch.rand((), generator=generator, device=probs_K.device)
    index = torch.searchsorted(probs_K.cumsum(-1), at, right=True)
    return index.clamp(max=(probs_K > 0).sum() - 1)  # rounding may end the sum a hair below 1
