"""Looks at one linear layer of a model: its weights from the files, its inputs and one attention head from a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from core.catalog import ModelSource
from core.catalog.names import did_you_mean, nearest, shown
from core.comparison.inspected import Head, Inspected, ModuleKind
from core.errors import BadInput, ModelBroken
from core.llm import one_head, one_layer, one_product
from core.llm.abilities import abilities
from core.llm.checks import raw_config
from core.llm.codes import block_of, kinds_of
from core.llm.encode import encode_text
from core.llm.engine import Engine
from core.llm.loading import LoadedModel
from core.llm.originals import Originals, plain_name, shape_of
from core.memory.stored import packing_of
from core.precision import Precision
from core.values import Origin

MOST_TOKENS = 512
BLOCK_AND_KIND = re.compile(r"(?:block\s+)?(\d{1,5})[\s.,:/]+([\w.]+)")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What is to be looked at."""

    module: str = ""
    """A name, or a block's number and a kind of module; "": one that shows what there is to see."""
    prompt: str = "The sky is blue"
    block_size: int = 64
    head: int = 0
    threshold: float = 6.0


@dataclass
class _Caught:
    """What one pass over the prompt left: (T, K) the inputs of the layer, and what attention was given."""

    inputs: Tensor | None = None
    seen: one_head.Seen = field(default_factory=lambda: one_head.Seen(None))


def check_can_inspect(source: ModelSource) -> None:
    """Refuse what has no plain weights to look at, before it is loaded.

    Raises:
        BadInput: it has none.
        ModelError: there is no such model, or its config.json is damaged.
    """
    if source.origin is Origin.BUILTIN:  # known to be plain, and perhaps not unpacked yet
        return
    if source.file:
        raise BadInput(
            f"{source.name} is a GGUF file: its weights are packed in another way, and the originals are not in it.",
            "Take the model that it was made from, as safetensors.",
        )
    if packing := packing_of(raw_config(source)):
        raise BadInput(
            f"The weights of {source.name} are stored in {packing.method} already: the originals are not in its files.",
            "Take the model that it was made from.",
        )


def inspect_layer(engine: Engine, question: Question, tell: Tell = lambda message: None) -> Inspected:
    """Everything that the page shows of one layer.

    Raises:
        BadInput: there is no such module, or none that bitsandbytes packs; the prompt has no token.
        ModelBroken: the files cannot be read, or hold no numbers.
    """
    loaded = engine.loaded
    originals = Originals(loaded.model, loaded.source)
    names = inspectable(loaded.model, originals)
    if not names:
        raise BadInput(
            f"bitsandbytes packs no layer of {loaded.source.name}: its linear layers are of a class of their own.",
            "Take another model.",
        )
    name = find_module(names, question.module)
    read = encode_text(loaded, question.prompt)
    ids = read[: min(MOST_TOKENS, loaded.context_length)]
    if not ids:
        raise BadInput("The prompt has no token.", "Write a few words.")
    tell("Reading the prompt")
    caught = _pass_over(engine, names[name], ids)
    tell(f"Reading the weights of {plain_name(names[name])}")
    weight_N_K = originals.read(names[name])
    if weight_N_K is None or caught.inputs is None:
        raise BadInput(f"{name} holds no weights that can be compared, or was not used on this prompt.")
    if not (weight_N_K.isfinite().all() and caught.inputs.isfinite().all()):
        raise ModelBroken(f"{name} computes no numbers: its weights, or those before it, are damaged.")
    with torch.inference_mode():
        found = _looked_at(loaded, question, name, list(names), weight_N_K, caught, ids, tell)
    notes = [*([f"The prompt was cut to its first {len(ids):,} tokens."] if ids != read else []), _note(loaded)]
    return found.model_copy(update={"text": headline(found), "notes": tuple(notes)})


def inspectable(model: PreTrainedModel, originals: Originals) -> dict[str, str]:
    """The layers that bitsandbytes would pack and whose weights are in the files: plain name → name in memory."""
    found: Any = model
    heads = found.get_output_embeddings()
    return {
        plain_name(name): name
        for name, module in model.named_modules()
        if module is not heads and _is_linear(module) and originals.stored_name(name)
    }


def find_module(names: Sequence[str] | dict[str, str], wanted: str) -> str:
    """The module that is meant: by its name, by a block's number and a kind, or the usual one.

    Raises:
        BadInput: there is none, with those that are like it.
    """
    kinds, wanted = kinds_of(list(names)), wanted.strip()
    if not wanted:
        return _usual(list(names))
    if wanted in names:
        return wanted
    if match := BLOCK_AND_KIND.fullmatch(wanted):
        number, kind = int(match[1]), match[2]
        for name in names:
            if block_of(name) == number and (kinds[name] == kind or name.endswith(f".{kind}")):
                return name
    near = nearest(wanted, names) or [name for name in names if kinds[name] in wanted][:3]
    some = did_you_mean(near) or f"There are: {', '.join(dict.fromkeys(kinds.values()))} of blocks {_blocks(names)}."
    raise BadInput(f"There is no linear layer {shown(wanted)} in this model.", some)


def modules_of(model: PreTrainedModel, names: dict[str, str]) -> tuple[ModuleKind, ...]:
    """What there is to choose from, by kind."""
    kinds, modules = kinds_of(list(names)), dict(model.named_modules())
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        found.setdefault((kinds[name], re.sub(r"\.\d+\.", ".{}.", name, count=1)), []).append(name)
    return tuple(
        ModuleKind(
            kind=kind,
            pattern=pattern,
            rows=shape_of(modules[names[each[0]]])[0],
            columns=shape_of(modules[names[each[0]]])[1],
            blocks=tuple(block for name in each if (block := block_of(name)) is not None),
        )
        for (kind, pattern), each in found.items()
    )


def _usual(names: list[str]) -> str:
    """The last layer of a block two thirds of the way: that of the widest input, where outliers are."""
    blocks = sorted({block for name in names if (block := block_of(name)) is not None})
    if not blocks:
        return names[-1]
    wanted = blocks[2 * len(blocks) // 3]
    return [name for name in names if block_of(name) == wanted][-1]


def _blocks(names: Sequence[str] | dict[str, str]) -> str:
    numbers = [block for name in names if (block := block_of(name)) is not None]
    return f"{min(numbers)} to {max(numbers)}" if numbers else "none"


def _pass_over(engine: Engine, name: str, ids: list[int]) -> _Caught:
    """The inputs of a module, and what the attention of its block was given, in one pass over the prompt."""
    caught = _Caught()

    def keep(_: Any, inputs: tuple[Tensor, ...]) -> None:
        if caught.inputs is None:
            caught.inputs = inputs[0].detach().flatten(0, -2).clone()

    def work(model: PreTrainedModel) -> None:
        handle = dict(model.named_modules())[name].register_forward_pre_hook(keep)
        base: Any = model.base_model
        try:
            with one_head.watching(model, block_of(name)) as caught.seen:
                base(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
        finally:
            handle.remove()

    engine.alone(work)
    return caught


def _looked_at(
    loaded: LoadedModel,
    question: Question,
    name: str,
    names: list[str],
    weight_N_K: Tensor,
    caught: _Caught,
    ids: list[int],
    tell: Tell,
) -> Inspected:
    assert caught.inputs is not None
    device = loaded.device
    compute = getattr(torch, abilities(device).compute_dtype)
    original_N_K = weight_N_K.to(device).float()
    weights_N_K, inputs_T_K = original_N_K.to(compute), caught.inputs.to(device, compute)
    tell("Packing the layer")
    int8, nf4 = one_layer.as_int8(weights_N_K), one_layer.as_4bit(weights_N_K, "nf4", question.block_size)
    rows, blocks = one_layer.Rows(weights_N_K, int8), one_layer.Blocks(weights_N_K, nf4)
    packed: dict[str, one_layer.Int8 | one_layer.FourBit] = {"int8": int8, "nf4": nf4}
    packed["nf4-dq"] = one_layer.as_4bit(weights_N_K, "nf4", question.block_size, is_double=True)
    packed["fp4"] = one_layer.as_4bit(weights_N_K, "fp4", question.block_size)
    shown_block = blocks.scale(one_layer.typical(blocks))
    columns = one_layer.shown_columns(weights_N_K, shown_block)
    tell("Trying block sizes")
    sizes, n_sampled = one_layer.block_sizes(weights_N_K)
    tell("Multiplying")
    exact_T_N = inputs_T_K.float() @ original_N_K.T
    in_int8, outliers = one_product.in_int8(inputs_T_K, int8, exact_T_N, question.threshold)
    in_nf4 = one_product.in_nf4(inputs_T_K, nf4, exact_T_N)
    head = one_head.show_head(caught.seen, question.head, [_word(loaded, token) for token in ids])
    kinds = kinds_of(names)
    return Inspected(
        model=loaded.source.name,
        revision=loaded.source.revision,
        module=name,
        kind=kinds[name],
        block=block_of(name),
        rows=weight_N_K.shape[0],
        columns=weight_N_K.shape[1],
        stored_as=str(weight_N_K.dtype).removeprefix("torch."),
        compute_dtype=str(compute).removeprefix("torch."),
        device=loaded.device_name,
        n_tokens=len(ids),
        modules=modules_of(loaded.model, {plain_name(each): each for each in _in_memory(loaded.model, names)}),
        weights=one_layer.spread_of_weights(original_N_K),
        deviation=one_layer.figure(original_N_K.std()),
        largest=one_layer.figure(original_N_K.abs().max()),
        precisions=one_layer.precise(original_N_K, packed),
        row_scales=one_layer.some_scales(rows),
        int8=one_layer.coded_int8(weights_N_K, int8, shown_block.row, columns),
        int8_scale=rows.scale(shown_block.row),
        levels=one_layer.levels(nf4),
        block_scales=one_layer.some_scales(blocks),
        nf4=one_layer.coded_4bit(weights_N_K, nf4, shown_block, columns),
        nf4_scale=shown_block,
        block_size=question.block_size,
        int8_errors=one_layer.spread_of_errors(original_N_K, int8.decoded),
        nf4_errors=one_layer.spread_of_errors(original_N_K, nf4.decoded),
        block_sizes=sizes,
        n_sampled=n_sampled,
        worst_block=one_layer.neighbours(blocks, one_layer.worst(blocks)),
        typical_block=one_layer.neighbours(blocks, one_layer.typical(blocks)),
        worst_row=one_layer.neighbours(rows, one_layer.worst(rows)),
        typical_row=one_layer.neighbours(rows, one_layer.typical(rows)),
        exact=one_product.in_16_bit(inputs_T_K, weights_N_K),
        forward=(in_int8, in_nf4),
        outliers=outliers,
        head=head if isinstance(head, Head) else None,
        head_why_not="" if isinstance(head, Head) else head,
    )


def headline(found: Inspected) -> str:
    """What the layer shows, in a sentence."""
    errors = {one.name: one for one in found.precisions}
    results = {one.precision: one for one in found.forward}
    where = f"{found.kind} of block {found.block}" if found.block is not None else found.kind
    words = [
        f"{name} keeps {where} in {errors[name].bits:.3g} bits a weight and changes its result on this prompt "
        f"by {100 * results[name].relative:.2g} %"
        for name in (Precision.NF4.value, Precision.INT8.value)
    ]
    return f"{words[0]}; {words[1].replace(f' {where}', ' it')}."


def _in_memory(model: PreTrainedModel, names: Sequence[str]) -> list[str]:
    wanted = set(names)
    return [name for name, each in model.named_modules() if plain_name(name) in wanted and _is_linear(each)]


def _is_linear(module: nn.Module) -> bool:
    """Exactly this class: bitsandbytes leaves those alone that are derived from it."""
    return type(module) is nn.Linear or isinstance(module, Conv1D)


def _word(loaded: LoadedModel, token: int) -> str:
    text = str(loaded.tokenizer.decode([token])).replace("\n", "⏎").strip() or "␣"
    return text if len(text) <= 12 else f"{text[:11]}…"


def _note(loaded: LoadedModel) -> str:
    if loaded.device == "cpu":
        return (
            "On a processor bitsandbytes multiplies int8 codes through float32 unless it has AVX-512, and decodes "
            "4-bit codes before it multiplies: the bytes are as on a card, the times are this processor's."
        )
    return (
        "For few tokens the library's 4-bit call decodes as it multiplies, in one kernel: the decoded weights are then "
        "never written."
    )
