"""What loading a model needs beyond its weights, and what stays beside them on a host.

Three moments follow each other, and the largest counts: a linear is packed, the tokenizer is read, and the engine tries
the model.
"""

from __future__ import annotations

from core.memory.cache import kv_bytes_per_token
from core.memory.formula import Part, number, part, plural
from core.memory.shapes import Table
from core.precision import Precision

LOADER = "transformers 5.23 packs weights one by one as it reads them, so that one is in flight"
PACKED_BY = "the operations of bitsandbytes 0.50 on such a tensor, the largest moment"
FITTED = "fitted to one tokenizer of 49,152 words on one CPU (tokenizers 0.23, transformers 5.23)"
TRIED = "the engine's trial: three short prompts, each with room for 128 tokens, one of them twice"

# bytes a weight while it is packed, beside what is kept of it. On a card the weight itself in 16 bit, for int8 twice;
# on a host it lies in its file, but the packing is done in plain operations, on float32 copies and, for fp4, indices
PACKING_CARD = {Precision.INT8: 4}
PACKING_HOST = {Precision.INT8: 11, Precision.FP4: 28, Precision.FP4_DQ: 28}
PACKING_CARD_USUAL, PACKING_HOST_USUAL = 2, 13
WORD_BYTES, WORD_BYTES_READING, TENSOR_BYTES = 230, 1_160, 12_000
FIRST_USE_BYTES = 8_000_000  # what tokenizer and kernels keep from the first time that a process uses them
TRIAL_TOKENS = 4 * 135


def host_part(table: Table) -> Part:
    """What a model holds of a host's memory beside its weights: the tokenizer, and Python's objects of each tensor."""
    n_bytes = WORD_BYTES * table.n_words + _objects_bytes(table)
    words = f"{number(table.n_words)} words × {WORD_BYTES} bytes + {_objects(table)}"
    return part("tokenizer", n_bytes, words, FITTED)


def load_part(table: Table, precision: Precision, *, on_host: bool) -> Part:
    """What loading needs beyond what stays, at its largest moment."""
    moments = [_packing(table, precision, on_host), _trial(table, precision, on_host)]
    if on_host:
        moments.append(_reading_tokenizer(table))
    return max(moments, key=lambda one: one.n_bytes)


def _packing(table: Table, precision: Precision, on_host: bool) -> Part:
    if not precision.is_quantized or not table.largest_linear:
        return Part("load transient", 0, "weights are read to where they stay", LOADER)
    costs, usual = (PACKING_HOST, PACKING_HOST_USUAL) if on_host else (PACKING_CARD, PACKING_CARD_USUAL)
    each = costs.get(precision, usual)
    words = f"one linear in flight: {number(table.largest_linear)} weights × {each} bytes"
    return part("load transient", each * table.largest_linear, words, PACKED_BY if on_host else LOADER)


def _trial(table: Table, precision: Precision, on_host: bool) -> Part:
    a_token = kv_bytes_per_token(table, precision.element_bytes) or 0
    stays = host_part(table).n_bytes if on_host else 0
    words = f"a first trial: {TRIAL_TOKENS} tokens × {number(a_token)} bytes of cache"
    return part("load transient", TRIAL_TOKENS * a_token + stays, words + (" + the tokenizer" if stays else ""), TRIED)


def _reading_tokenizer(table: Table) -> Part:
    n_bytes = WORD_BYTES_READING * table.n_words + _objects_bytes(table)
    words = f"reading {number(table.n_words)} words × {WORD_BYTES_READING:,} bytes + {_objects(table)}"
    return part("load transient", n_bytes, words, FITTED)


def _objects_bytes(table: Table) -> int:
    return TENSOR_BYTES * len(table.tensors) + FIRST_USE_BYTES


def _objects(table: Table) -> str:
    objects = f"{plural(len(table.tensors), 'tensor')} × {TENSOR_BYTES:,} bytes of objects"
    return f"{objects} + {number(FIRST_USE_BYTES)} bytes of first use"
