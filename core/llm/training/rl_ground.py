"""What reinforcement learning stands on: prompts or preferences, a policy, its rewards and a judge beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets import Dataset  # type: ignore[import-untyped]

from core.abilities import choose
from core.catalog import resolve, trust
from core.data.spec import DataFields
from core.data.values import Data, Format
from core.errors import BadInput
from core.hub.trouble import Stopped
from core.llm.judge import Judge, judge_of
from core.llm.loading import LoadedModel, load
from core.llm.rewards import Rewards, open_rewards
from core.llm.rows import ENDLESS, set_chat_template
from core.llm.training.answers import prompt_of, text_of
from core.llm.training.ground import N_PROMPTS, Say, facts_of_data, prompts_to_answer, read_for
from core.llm.unpack import unpack_if_builtin
from core.memory import Model
from core.memory.files import try_open_model
from core.training.plan import Plan
from core.training.rlhf_plan import rlhf_plan
from core.training.values import DataFacts

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.jobs.rlhf import RlhfSpec

Prompt = Any
"""A text, or messages."""


@dataclass(frozen=True)
class RlGround:
    """`dataset` is learned from, `held_out` are prompts that are never trained on, `asked` are answered on the way."""

    data: Data
    loaded: LoadedModel
    model: Model | None
    plan: Plan
    longest: int
    dataset: Dataset
    held_out: tuple[Prompt, ...]
    asked: tuple[Prompt, ...]
    rewards: Rewards
    judge: Judge | None
    n_too_long: int

    @property
    def facts(self) -> DataFacts:
        """Of the data, for the result."""
        return facts_of_data(self.data, n_train=len(self.dataset), n_eval=len(self.held_out), n_masked=self.n_too_long)


def lay_rl_ground(spec: RlhfSpec, context: Context, say: Say) -> RlGround:
    """Read the data, load policy, rewards and judge.

    Raises:
        Stopped: nobody wants it any more.
        BadInput: the data, a reward or the machine do not allow it.
        ModelError: a model is not here, or cannot be loaded.
        OutOfMemory: policy and rewards alone do not fit.
    """
    unpack_if_builtin(spec.model, context.home, lambda _part, words: say(words))
    source = resolve(spec.model, context.home, spec.revision)
    say("reading the data")
    data = read_for(spec, context, say)
    _check_format(spec, data)
    judge = _judge(spec, context, say)
    model = try_open_model(source.path)
    choice = choose(spec.variant, context.machine().abilities, model.attentions if model else ())
    say(f"loading {source.name}")
    loaded = load(source, choice, may_run_code=trust.may_run_code(source, context.trusted_code))
    set_chat_template(loaded.tokenizer, spec.chat_template)
    if loaded.tokenizer.eos_token_id is None:
        raise BadInput(ENDLESS)
    _stop_where_asked(context)
    rewards = open_rewards(spec.parsed_rewards, context.home, say)
    _stop_where_asked(context)
    dataset, longest, n_too_long = _rows(spec, data, loaded)
    held_out = _distinct(prompt_of(row, spec.prompt_words) for row in data.evaluation)
    learned = {str(one) for one in dataset["prompt"]}
    kept = tuple(
        one for one in held_out if str(one) not in learned and _n_tokens(one, loaded) <= spec.max_prompt_length
    )
    machine = context.machine()
    plan = rlhf_plan(
        spec,
        choice.precision,
        model,
        longest,
        context.home,
        on_card=loaded.device.startswith("cuda"),
        has_fast_bfloat16=machine.abilities.compute_dtype == "bfloat16",
        usable_bytes=machine.usable_bytes,
    )
    asked = prompts_to_answer(spec.prompts, data) if spec.prompts else (kept or tuple(dataset["prompt"]))[:N_PROMPTS]
    return RlGround(data, loaded, model, plan, longest, dataset, kept, tuple(asked), rewards, judge, n_too_long)


def _stop_where_asked(context: Context) -> None:
    if context.should_stop():
        raise Stopped


def _judge(spec: RlhfSpec, context: Context, say: Say) -> Judge | None:
    if not spec.judge_data:
        return None
    say("teaching the judge")
    fields = DataFields(
        data=spec.judge_data, eval_share=spec.judge_share, min_chars=spec.min_chars, max_chars=spec.max_chars
    )
    return judge_of(read_for(fields, context, say).evaluation, spec.seed, spec.judge_label)


def _check_format(spec: RlhfSpec, data: Data) -> None:
    is_preference = data.format is Format.PREFERENCE
    if not spec.is_online and not is_preference:
        raise BadInput(
            f"dpo learns from preferences, and {data.name} is {data.format}.",
            "Name data with prompt, chosen and rejected, such as reviews-preferences; or take algorithm rloo.",
        )
    if spec.is_online and not data.train:
        raise BadInput(f"{data.name} has no row to make a prompt of.")


def _rows(spec: RlhfSpec, data: Data, loaded: LoadedModel) -> tuple[Dataset, int, int]:
    """The rows to learn from, the most tokens that a row can have, and how many were too long."""
    made, longest, n_too_long = (_prompts if spec.is_online else _pairs)(spec, data, loaded)
    if longest > loaded.context_length:
        raise BadInput(
            f"Prompt and answer may take {longest:,} tokens, and {loaded.source.name} reads {loaded.context_length:,}.",
            f"Lower {'max_prompt_length or max_completion_length' if spec.is_online else 'max_length'}.",
        )
    return made, longest, n_too_long


def _prompts(spec: RlhfSpec, data: Data, loaded: LoadedModel) -> tuple[Dataset, int, int]:
    prompts = _distinct(prompt_of(row, spec.prompt_words) for row in data.train)
    lengths = [_n_tokens(one, loaded) for one in prompts]
    kept = [one for one, n in zip(prompts, lengths, strict=True) if n <= spec.max_prompt_length]
    if not kept:
        raise BadInput(
            f"Every prompt is longer than max_prompt_length {spec.max_prompt_length}: the shortest has "
            f"{min(lengths):,} tokens.",
            "Raise max_prompt_length, or lower prompt_words.",
        )
    n_a_step = spec.rows_per_step // spec.num_generations
    if len(kept) < n_a_step:
        raise BadInput(
            f"A step takes {n_a_step:,} different prompts, and {data.name} gives {len(kept):,}.",
            "Take fewer rows a step, more answers to each prompt (num_generations), or more data.",
        )
    longest = max(n for n in lengths if n <= spec.max_prompt_length) + spec.max_completion_length
    return Dataset.from_dict({"prompt": kept}), longest, len(prompts) - len(kept)


def _pairs(spec: RlhfSpec, data: Data, loaded: LoadedModel) -> tuple[Dataset, int, int]:
    """Without those whose prompt alone is as long as a row may be: nothing of their answers would be left."""
    rows = [{name: row.fields[name] for name in ("prompt", "chosen", "rejected")} for row in data.train]
    kept = [row for row in rows if _n_tokens(row["prompt"], loaded) < spec.max_length]
    if not kept:
        raise BadInput(
            f"Every prompt has max_length {spec.max_length:,} tokens or more: nothing of an answer would be left.",
            "Raise max_length.",
        )
    lengths = (_n_tokens(row["prompt"] + row[one], loaded) for row in kept for one in ("chosen", "rejected"))
    return Dataset.from_list(kept), min(max(lengths) + 1, spec.max_length), len(rows) - len(kept)


def _distinct(prompts: Any) -> list[Prompt]:
    """Each once, in their order."""
    return list({str(one): one for one in prompts}.values())


def _n_tokens(prompt: Prompt, loaded: LoadedModel) -> int:
    text = text_of(prompt, loaded.tokenizer)
    return len(loaded.tokenizer(text, add_special_tokens=isinstance(prompt, str))["input_ids"])
