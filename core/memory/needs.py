"""What a worker must know of a model before it takes a job for it: bytes to load, bytes to keep, bytes a token."""

from __future__ import annotations

from dataclasses import dataclass

from core.memory.cache import kv_bytes_per_token
from core.memory.estimate import estimate_work
from core.memory.loading import host_part
from core.memory.model import Model
from core.memory.work import Work, best_attention, held_weights
from core.precision import Precision

# an engine reads prompts in pieces of at most 512 tokens on a card, of 128 on a host, where the heap keeps the last one
CHUNK_TOKENS, CHUNK_TOKENS_HOST = 512, 256


@dataclass(frozen=True, slots=True)
class Needs:
    """Predicted bytes of one model at one precision, each without what the others need.

    Args:
        parameters: exactly.
        weights_bytes: the weights alone.
        state_bytes: what a quantizer keeps beside them.
        load_bytes: needed while loading, weights and state included.
        request_bytes: one request's working memory beside its cache.
        token_bytes: the cache of one token.
        beside_bytes: what else stays with the model: on a host its tokenizer.
        context: the most tokens that the model reads; 0 where nobody knows.
    """

    parameters: int
    weights_bytes: int
    state_bytes: int
    load_bytes: int
    request_bytes: int
    token_bytes: int
    beside_bytes: int = 0
    context: int = 0

    @property
    def held_bytes(self) -> int:
        """What stays once it is loaded."""
        return self.weights_bytes + self.state_bytes + self.beside_bytes

    def work_bytes(self, n_tokens: int) -> int:
        """What a job with so many tokens needs beyond the model; more than the model's context it never keeps."""
        kept = min(n_tokens, self.context) if self.context else n_tokens
        return self.request_bytes + kept * self.token_bytes if n_tokens else 0

    def whole_bytes(self, n_tokens: int) -> int:
        """What a job with so many tokens needs from the beginning: first for loading, then for working."""
        return max(self.load_bytes, self.held_bytes + self.work_bytes(n_tokens))

    def most_tokens(self, free_bytes: int) -> int:
        """The most tokens that a job may have with so much free beyond the model; -1 where not even the model fits."""
        if free_bytes < self.request_bytes:
            return 0 if free_bytes >= 0 else -1
        if not self.token_bytes or (self.context and self.work_bytes(self.context) <= free_bytes):
            return UNBOUNDED
        return (free_bytes - self.request_bytes) // self.token_bytes

    def most_tokens_loaded(self, free_bytes: int) -> int:
        """The same for a model that must be loaded into what is free."""
        return self.most_tokens(free_bytes - self.held_bytes) if free_bytes >= self.load_bytes else -1


UNBOUNDED = 2**62


def needs_of(model: Model, precision: Precision, attention: str, *, on_host: bool) -> Needs:
    """The needs of a model that is loaded at a precision.

    Args:
        attention: an implementation; where the model's class lacks it, the best that it has is reckoned with.
        on_host: it runs in the process's own memory.
    """
    chosen = attention if attention in model.attentions else best_attention(model)
    chunk = CHUNK_TOKENS_HOST if on_host else CHUNK_TOKENS
    asked = estimate_work(model, Work(precision, chunk, 1, chosen, on_host=on_host))
    weights = held_weights(model, precision)
    state = sum(one.n_bytes for one in weights if one.name == "quantization state")
    stays = host_part(model.table) if on_host else None
    beside = sum(one.n_bytes for one in asked.parts if one not in (*weights, stays) and one.name != "KV cache")
    return Needs(
        parameters=model.table.parameters,
        weights_bytes=sum(one.n_bytes for one in weights) - state,
        state_bytes=state,
        load_bytes=asked.load_peak_bytes,
        request_bytes=beside,
        token_bytes=kv_bytes_per_token(model.table, precision.element_bytes) or 0,
        context=model.trained_context or 0,
        beside_bytes=stays.n_bytes if stays else 0,
    )
