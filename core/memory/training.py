"""What training needs beside the weights: adapters, gradients, optimizer states, activations and the loss.

For full training, LoRA, and QLoRA over int8 and 4-bit weights, in the Trainer's loop on one card. Several cards and
offloading are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.errors import BadInput
from core.memory.activations import SOURCE as FITTED
from core.memory.activations import Mode, layer_bytes, layer_words
from core.memory.formula import Part, number, part, plural, size
from core.memory.geometry import Geometry, text_linears
from core.memory.optimizer import Optimizer, Trained, states_part
from core.memory.shapes import Table
from core.memory.tensors import Kind, Tensor
from core.precision import Precision

Method = Literal["full", "lora", "qlora"]
Loss = Literal["plain", "fused", "sequence"]
Targets = Literal["all-linear", "attention"]

ATTENTION_TARGETS = ("q_proj", "v_proj", "query_key_value", "qkv_proj", "Wqkv", "c_attn")
FUSED_TOKENS, FUSED_WORDS = 4096, 32_768  # the tile of TRL's fused head and loss


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is to be trained.

    Args:
        method: all weights, or an adapter over weights in 16 bit (lora) or packed ones (qlora).
        rank: `r` of the adapter, 1 to 4096.
        targets: which linears get adapters: all of them, or the query and value projections.
        optimizer: by Trainer's name.
        has_checkpointing: activations are made again in the backward pass.
        float32_adapter: peft's default for adapters over 16-bit weights; TRL makes them 16 bit for packed ones.
        is_autocast: Trainer's `bf16=True`.
        has_dropout: `lora_dropout` above 0.
        loss: `fused` is TRL's, which never makes all logits at once; `plain` is transformers' own; `sequence` that of
            a head over whole texts, which makes no logits of words.
    """

    method: Method
    rank: int = 8
    targets: Targets = "all-linear"
    optimizer: Optimizer = Optimizer.ADAMW_FUSED
    has_checkpointing: bool = True
    float32_adapter: bool = False
    is_autocast: bool = False
    has_dropout: bool = False
    loss: Loss = "fused"

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 4096:
            raise BadInput(f"rank must lie between 1 and 4096, not {self.rank}.")


def is_trainable(training: Training, precision: Precision) -> bool:
    """Whether a method goes with a precision: qlora trains over packed weights, the others over dense ones."""
    return (training.method == "qlora") == precision.is_quantized


def check_method(training: Training, precision: Precision) -> None:
    """Refuse what cannot be trained.

    Raises:
        BadInput: packed weights cannot be trained themselves, and qlora needs packed ones.
    """
    if is_trainable(training, precision):
        return
    if training.method == "qlora":
        raise BadInput(f"qlora trains over packed weights, not over {precision}.", "Choose int8 or nf4, or lora.")
    raise BadInput(f"Weights in {precision} cannot be trained with {training.method}.", "Choose qlora.")


def adapter_targets(table: Table, training: Training) -> tuple[Tensor, ...]:
    """The linears that get an adapter."""
    if training.method == "full":
        return ()
    linears = text_linears(table)
    if training.targets == "all-linear":
        return linears
    return tuple(one for one in linears if one.name.removesuffix(".weight").endswith(ATTENTION_TARGETS))


def trained_tensors(table: Table, training: Training) -> list[Trained]:
    """The tensors that are trained: for an adapter, A and B of every target."""
    if training.method == "full":
        return [Trained(one.n_elements, _is_table(one)) for one in table.tensors]
    targets = adapter_targets(table, training)
    return [Trained(training.rank * width) for one in targets for width in (one.n_in, one.n_out)]


def _is_table(one: Tensor) -> bool:
    return one.kind is Kind.EMBEDDING and not one.name.startswith("lm_head")


def training_parts(
    table: Table, g: Geometry, precision: Precision, training: Training, context: int, batch: int, attention: str
) -> Iterator[Part]:
    """All that is needed beside the weights themselves."""
    trained, each = trained_tensors(table, training), _trained_bytes(training, precision)
    n = sum(one.n_elements for one in trained)
    if training.method != "full":
        words = f"{number(n)} weights of rank {training.rank} × {each} bytes"
        yield part("adapter", n * each, words, "rank × (inputs + outputs) of each linear that gets one")
    yield part("gradients", n * each, f"{number(n)} trained weights × {each} bytes", "one for each trained weight")
    yield states_part(trained, each, training.optimizer)
    if training.is_autocast and (cast := _cast_weights(table, training, precision, n)):
        yield part(
            "autocast copies", 2 * cast, f"{number(cast)} float32 weights × 2 bytes", "kept for the backward pass"
        )
    yield _activations(table, g, precision, training, context, batch, attention)
    yield loss_part(g, training, context * batch, precision)


def _trained_bytes(training: Training, precision: Precision) -> int:
    if training.method == "full" or precision is Precision.FLOAT32:
        return precision.element_bytes
    return 4 if training.float32_adapter else 2


def _cast_weights(table: Table, training: Training, precision: Precision, n_trained: int) -> int:
    """The float32 weights of which autocast keeps a bfloat16 copy, frozen ones too."""
    adapters = n_trained if training.method != "full" and training.float32_adapter else 0
    linears = sum(one.n_elements for one in text_linears(table)) if precision is Precision.FLOAT32 else 0
    return adapters + linears


def _activations(
    table: Table, g: Geometry, precision: Precision, training: Training, context: int, batch: int, attention: str
) -> Part:
    mode = Mode(
        has_adapter=training.method != "full",
        is_float32=precision is Precision.FLOAT32,
        float32_adapter=training.float32_adapter,
        is_autocast=training.is_autocast,
        has_dropout=training.has_dropout,
        is_attention_only=training.targets == "attention",
    )
    adapted = -(-len(adapter_targets(table, training)) // g.layers)
    of_a_layer = layer_bytes(g, mode, adapted * training.rank, context if attention == "eager" else 0)
    tokens, words = context * batch, layer_words(g, mode)
    if not training.has_checkpointing:
        words = f"{plural(g.layers, 'layer')} × {of_a_layer:,} bytes × {number(tokens)} tokens; {words}"
        return part("activations", g.layers * of_a_layer * tokens, words, FITTED)
    kept = precision.element_bytes * g.hidden
    words = (
        f"({plural(g.layers, 'layer')} × {kept:,} bytes + {of_a_layer:,} of one made again) × {number(tokens)} tokens"
    )
    return part("activations", (g.layers * kept + of_a_layer) * tokens, words, FITTED)


def loss_part(g: Geometry, training: Training, tokens: int, precision: Precision) -> Part:
    """The logits and what the loss makes of them, at its largest moment."""
    if training.loss == "fused":
        rows, words = min(tokens, FUSED_TOKENS), min(g.vocab, FUSED_WORDS)
        each = precision.element_bytes + 4
        told = f"a tile of {rows:,} tokens × {words:,} words × {each} bytes"
        return part("logits and loss", rows * words * each, told, "TRL 1.16: the head and its loss, tile by tile")
    if training.loss == "sequence":
        each = 2 * precision.element_bytes
        told = f"{number(tokens)} tokens × {number(g.hidden)} × {each} bytes"
        return part("head and loss", tokens * g.hidden * each, told, "the last states and their gradients")
    each = precision.element_bytes + 12
    told = f"{number(tokens)} tokens × {number(g.vocab)} words × {each} bytes: {size(tokens * g.vocab * each)}"
    return Part("logits and loss", tokens * g.vocab * each, told, "logits, their log-softmax and a gradient of each")
