"""What a training stands on: its rows as tokens, its base in memory, and how both suit the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.abilities import Choice, choose
from core.catalog import resolve, trust
from core.data.preview import Piece, learning_notes
from core.data.read import read_data
from core.errors import BadInput
from core.hub.access import Access
from core.hub.line import Line
from core.hub.trouble import Stopped
from core.llm.loading import LoadedModel, load
from core.llm.rows import IGNORED, Encoded, set_chat_template
from core.llm.tokenizer import pieces_of
from core.llm.training.answers import prompts_of
from core.llm.training.base import dtype_of
from core.llm.training.rows import Prepared, prepare
from core.llm.unpack import unpack_if_builtin
from core.memory import Model
from core.memory.files import try_open_model
from core.training.plan import Plan, plan_for
from core.training.values import DataFacts

if TYPE_CHECKING:
    from core.data.spec import DataFields
    from core.data.values import Data
    from core.jobs.kind import Context
    from core.jobs.sft import SftSpec
    from core.llm.training.trainer import Tuner

N_PROMPTS, MOST_PIECES = 3, 512
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ground:
    """`prompts` are answered as the model learns; `model` is None where its files do not say enough."""

    data: Data
    loaded: LoadedModel
    model: Model | None
    train: Prepared
    held_out: Prepared
    plan: Plan
    prompts: tuple[Any, ...]
    most_prompt_tokens: int

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(len(one.input_ids) for one in self.train.rows)


def lay_ground(spec: SftSpec, context: Context, say: Say) -> Ground:
    """Read the data, load the base, and make tokens of the rows.

    Raises:
        Stopped: nobody wants it any more.
        BadInput: the data or the machine do not allow it.
        ModelError: the base is not here, or cannot be loaded.
        OutOfMemory: the base alone does not fit.
    """
    unpack_if_builtin(spec.model, context.home, lambda _part, words: say(words))
    source = resolve(spec.model, context.home, spec.revision)
    say("reading the data")
    data = read_for(spec, context, say)
    model = try_open_model(source.path)
    choice = choose(spec.variant, context.machine().abilities, model.attentions if model else ())
    say(f"loading {source.name}")
    loaded = load(source, choice, may_run_code=trust.may_run_code(source, context.trusted_code))
    if context.should_stop():
        raise Stopped
    if spec.max_length > loaded.context_length:
        raise BadInput(
            f"max_length is {spec.max_length:,}, and {source.name} reads at most {loaded.context_length:,} tokens.",
            f"Take a max_length of at most {loaded.context_length:,}.",
        )
    set_chat_template(loaded.tokenizer, spec.chat_template)
    say("making tokens of the rows")
    train, held_out = (
        prepare(
            rows,
            loaded.tokenizer,
            spec.max_length,
            completion_only=spec.completion_only_loss,
            assistant_only=spec.assistant_only_loss,
            is_needed=rows is data.train,
            end_ids=loaded.eos_ids,
        )
        for rows in (data.train, data.evaluation[: spec.max_eval_rows])
    )
    prompts = prompts_to_answer(spec.prompts, data)
    most_prompt_tokens = max(loaded.context_length - spec.max_new_tokens, 1)
    plan = _plan(spec, context, choice, model, train, loaded.device)
    return Ground(data, loaded, model, train, held_out, plan, prompts, most_prompt_tokens)


def facts_of(ground: Ground, tuner: Tuner, spec: SftSpec) -> dict[str, Any]:
    """What the result says of them, by the names of `TrainResult`."""
    first, train = tuner.data_collator([tuner.train_dataset[0]]), ground.train
    facts = facts_of_model(tuner.model, ground.loaded, ground.plan, is_full=spec.method == "full")
    to_mind = learning_notes(len(train.rows) + train.n_masked, train.n_endless, train.n_masked)
    return facts | {
        "notes": (*facts["notes"], *to_mind),
        "is_fused": tuner.is_fused,
        "first_row": _pieces(first["input_ids"][0].tolist(), first["labels"][0].tolist(), ground.loaded.tokenizer),
        "data": _data_facts(ground),
    }


def facts_of_model(model: Any, loaded: LoadedModel, plan: Plan, *, is_full: bool = False) -> dict[str, Any]:
    """What the result of any training says of what is trained, and how."""
    trained = [one for one in model.parameters() if one.requires_grad]
    return {
        "method": "full" if is_full else "QLoRA" if loaded.precision.is_quantized else "LoRA",
        "base": loaded.source.name,
        "base_dtype": "" if is_full else str(loaded.precision),
        "trained_dtype": dtype_of(trained),
        "n_trained": sum(one.numel() for one in trained),
        "n_parameters": loaded.weight.parameters,
        "targets": () if is_full else _targets(model),
        "mixed_precision": plan.mixed,
        "has_checkpointing": plan.has_checkpointing,
        "notes": plan.reasons,
    }


def _pieces(input_ids: list[int], labels: list[int], tokenizer: Any) -> tuple[Piece, ...]:
    fed = Encoded(tuple(input_ids), tuple(label != IGNORED for label in labels))
    return pieces_of(fed.cut(MOST_PIECES), tokenizer)


def _targets(model: Any) -> tuple[str, ...]:
    names = {name.rpartition(".")[2] for name, one in model.named_modules() if hasattr(one, "lora_A")}
    return tuple(sorted(names))


def _data_facts(ground: Ground) -> DataFacts:
    return facts_of_data(
        ground.data,
        n_train=len(ground.train.rows),
        n_eval=len(ground.held_out.rows),
        n_cut=ground.train.n_cut,
        n_masked=ground.train.n_masked,
        n_tokens=ground.train.n_tokens,
    )


def facts_of_data(data: Data, **counts: int) -> DataFacts:
    """What any training says of its data, with what it counted itself."""
    return DataFacts(
        name=data.name,
        format=str(data.format),
        fingerprint=data.fingerprint,
        licence=data.licence,
        n_bad=len(data.bad),
        n_duplicates=data.n_duplicates,
        **counts,
    )


def prompts_to_answer(named: Sequence[str], data: Data) -> tuple[Any, ...]:
    """Those that are named, as messages where the rows are; else the beginnings of held-out rows."""
    rows = data.evaluation or data.train
    if not named:
        return tuple(prompts_of(rows, N_PROMPTS))
    is_chat = bool(rows) and rows[0].is_conversational
    return tuple([{"role": "user", "content": one}] if is_chat else one for one in named)


def read_for(spec: DataFields, context: Context, say: Say) -> Data:
    """The data that a Spec names, fetched where need be; cut short where the job is to stop."""
    with Line(Access.from_environment()) as line:
        context.on_stop(line.cut)
        return read_data(spec, context.home, say, line)


def _plan(spec: SftSpec, context: Context, choice: Choice, model: Model | None, train: Prepared, device: str) -> Plan:
    machine = context.machine()
    longest = max((len(one.input_ids) for one in train.rows), default=spec.max_length)
    return plan_for(
        spec,
        choice.precision,
        spec.max_length if spec.packing else longest,
        model,
        on_card=device.startswith("cuda"),
        has_fast_bfloat16=machine.abilities.compute_dtype == "bfloat16",
        usable_bytes=machine.usable_bytes,
    )
