"""What the training of a reward stands on: its rows as tokens, a base with a head, and how both suit the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.abilities import choose
from core.catalog import resolve, trust
from core.data.values import Data
from core.errors import BadInput
from core.hub.trouble import Stopped
from core.llm.heads import Headed, load_with_head
from core.llm.loading import LoadedModel
from core.llm.rows import Encoded, set_chat_template
from core.llm.tokenizer import pieces_of
from core.llm.training.ground import MOST_PIECES, Say, facts_of_data, facts_of_model, read_for
from core.llm.training.reward_rows import Learned, labelled, labels_of, paired, shares_of, task_of
from core.llm.unpack import unpack_if_builtin
from core.memory import Model
from core.memory.files import try_open_model
from core.training.plan import Plan, plan_for
from core.training.reward_headline import label_note
from core.training.reward_values import Task
from core.training.values import DataFacts

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.jobs.reward import RewardSpec

MOST_HELD_OUT = 500  # rows that the trained reward is judged by; those of an evaluation meanwhile are fewer


@dataclass(frozen=True)
class RewardGround:
    """`held_out` is what the trained reward is judged by; `model` is None where its files do not say enough."""

    data: Data
    headed: Headed
    model: Model | None
    task: Task
    train: Learned
    held_out: Learned
    plan: Plan

    @property
    def loaded(self) -> LoadedModel:
        """The base with its head."""
        return self.headed.loaded

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return self.train.longest

    @property
    def ends_texts(self) -> bool:
        """Whether it learns from texts that end with the end-of-text token."""
        is_text = self.task == "preferences" and not self.data.rows[0].is_conversational
        return is_text and self.loaded.tokenizer.eos_token is not None


def lay_reward_ground(spec: RewardSpec, context: Context, say: Say) -> RewardGround:
    """Read the data, load the base with its head, and make tokens of the rows.

    Raises:
        Stopped: nobody wants it any more.
        BadInput: the data or the machine do not allow it.
        NotAClassifier: the base is of a type that gets no head.
        ModelError: the base is not here, or cannot be loaded.
        OutOfMemory: the base alone does not fit.
    """
    unpack_if_builtin(spec.model, context.home, lambda _part, words: say(words))
    source = resolve(spec.model, context.home, spec.revision)
    say("reading the data")
    data = read_for(spec, context, say)
    task = task_of(spec.task, data)
    labels = labels_of(data) if task == "labels" else ()
    model = try_open_model(source.path)
    choice = choose(spec.variant, context.machine().abilities, model.attentions if model else ())
    say(f"loading {source.name}")
    may_run_code = trust.may_run_code(source, context.trusted_code)
    headed = load_with_head(source, choice, labels, spec.seed, may_run_code=may_run_code)
    if context.should_stop():
        raise Stopped
    _check_length(spec, headed.loaded)
    _settle_padding(headed.loaded)
    set_chat_template(headed.loaded.tokenizer, spec.chat_template)
    say("making tokens of the rows")
    train, held_out = (
        _tokens(rows, headed, task, spec.max_length) for rows in (data.train, data.evaluation[:MOST_HELD_OUT])
    )
    if not train:
        raise BadInput(
            f"max_length {spec.max_length} leaves no row to learn from: every pair has an answer that is longer.",
            "Raise max_length.",
        )
    machine = context.machine()
    plan = plan_for(
        spec.model_copy(update={"task": task}),
        choice.precision,
        train.longest,
        model,
        on_card=headed.loaded.device.startswith("cuda"),
        has_fast_bfloat16=machine.abilities.compute_dtype == "bfloat16",
        usable_bytes=machine.usable_bytes,
        can_be_fused=False,
    )
    return RewardGround(data, headed, model, task, train, held_out, plan)


def reward_facts(ground: RewardGround, trained: Any, spec: RewardSpec) -> dict[str, Any]:
    """What the result says of them, by the names of `RewardReport`."""
    labels = shares_of(ground.headed.labels, ground.train, ground.held_out) if ground.task == "labels" else ()
    facts = facts_of_model(trained, ground.loaded, ground.plan, is_full=spec.method == "full")
    ids = tuple(ground.train.rows[0])
    first = Encoded(ids, (True,) * len(ids)).cut(MOST_PIECES)
    return facts | {
        "task": ground.task,
        "labels": labels,
        "notes": (*facts["notes"], *filter(None, [label_note(labels)])),
        "first_row": pieces_of(first, ground.loaded.tokenizer),
        "data": _data_facts(ground),
    }


def _tokens(rows: Any, headed: Headed, task: Task, max_length: int) -> Learned:
    tokenizer = headed.loaded.tokenizer
    if task == "labels":
        return labelled(rows, headed.labels, tokenizer, max_length)
    return paired(rows, tokenizer, max_length)


def _check_length(spec: RewardSpec, loaded: LoadedModel) -> None:
    if spec.max_length > loaded.context_length:
        raise BadInput(
            f"max_length is {spec.max_length:,}, and {loaded.source.name} reads at most {loaded.context_length:,} "
            "tokens.",
            f"Take a max_length of at most {loaded.context_length:,}.",
        )


def _settle_padding(loaded: LoadedModel) -> None:
    """Tokenizer and model name the same token that fills up shorter rows, as TRL has it: both are kept so.

    Raises:
        BadInput: there is none that could.
    """
    tokenizer: Any = loaded.tokenizer
    token = tokenizer.pad_token or tokenizer.eos_token
    if token is None:
        raise BadInput(
            f"The tokenizer of {loaded.source.name} has neither a padding nor an end-of-text token, so that rows of "
            "different lengths cannot be computed together.",
            "Name one as pad_token in its tokenizer_config.json.",
        )
    tokenizer.pad_token, tokenizer.padding_side, tokenizer.truncation_side = token, "right", "left"
    tokenizer.init_kwargs |= {"padding_side": "right", "truncation_side": "left"}  # what is written with it
    config: Any = loaded.model.config.get_text_config()
    config.pad_token_id = tokenizer.pad_token_id


def _data_facts(ground: RewardGround) -> DataFacts:
    return facts_of_data(
        ground.data,
        n_train=len(ground.train),
        n_eval=len(ground.held_out),
        n_cut=ground.train.n_cut,
        n_masked=ground.train.n_left_out,
        n_tokens=ground.train.n_tokens,
    )
