"""What a training would be, in the words of its readiness card: how it learns, how long, on which data."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from core.client import Workbench
from core.jobs.reward import RewardSpec
from core.jobs.rlhf import RlhfSpec
from core.precision import Precision
from core.training.fields import TrainFields
from core.training.rewards import Reward, Sort
from core.variant import AUTO
from web.headlines import short
from web.rewards_here import title_of
from web.train_data import known_rows, title_of_data
from web.train_kinds import Trained
from web.train_rewards import SCALES

HOW = {
    "rloo": "RLOO: each prompt is answered {n} times. An answer that is rewarded above the mean of the others becomes "
    "likelier, one below it less likely.",
    "grpo": "GRPO: each prompt is answered {n} times. How far its reward is from their mean, in spreads of "
    "the group, says how much likelier an answer becomes.",
    "dpo": "DPO: no answers are made. Of each pair the chosen answer becomes likelier than the rejected one, measured "
    "against the model as it was.",
}
TASKS = {
    "auto": "labels or preferences, whichever the rows are",
    "labels": "to tell labels: a classifier",
    "preferences": "to score answers so that the preferred one of a pair gets more: a reward model",
}


def rows_of(client: Workbench, spec: Trained, precision: Precision | None) -> list[tuple[str, str]]:
    """The rows of the card."""
    special = _of_rlhf(client, spec) if isinstance(spec, RlhfSpec) else _of_reward(spec)
    usual = [
        ("Method", _method(spec, precision)),
        ("Length", _length(client, spec)),
        ("Batch", _batch(spec)),
        ("Data", _data(client, spec)),
    ]
    return [*special, *usual]


def _of_rlhf(client: Workbench, spec: RlhfSpec) -> Iterator[tuple[str, str]]:
    yield "Algorithm", HOW[spec.algorithm].format(n=spec.num_generations)
    if spec.is_online:
        *counted, last = spec.parsed_rewards
        trained, watched = (counted, last) if spec.held_out_reward else ([*counted, last], None)
        yield "Rewards", "; ".join(reward_said(client, one) for one in trained)
        if watched:
            yield "Watched", reward_said(client, watched)
        ceiling = f"ends at {spec.max_kl:g} nats a token from the reference" if spec.max_kl else "no ceiling of KL"
        yield "Guards", f"{ceiling}; {'any alarm ends it' if spec.stop_on_alarm else 'alarms are said'}"
    yield "Reference", f"{short(spec.model)} with its adapter off: it takes no memory of its own"
    if spec.eval_prompts:
        judge = f", judged by what {title_of_data(client, spec.judge_data)} teaches" if spec.judge_data else ""
        yield "Before and after", f"{spec.eval_prompts:,} held-out prompts{judge}"


def _of_reward(spec: Trained) -> Iterator[tuple[str, str]]:
    if isinstance(spec, RewardSpec):
        yield "Learns", TASKS[spec.task]
        yield "Proven by", "loading it again from its files: only with the same scores can it be used as a reward"


def reward_said(client: Workbench, one: Reward) -> str:
    """A reward in words."""
    match one.sort:
        case Sort.MODEL:
            name = title_of(client, one.argument)
            what = f"“{one.label}” by {name}, {SCALES[one.scale]}" if one.label else f"what {name} gives"
        case Sort.LENGTH:
            what = f"answers of {one.argument} words"
        case Sort.WORDS:
            what = f"the words {', '.join(one.words)}"
        case Sort.LEXICON:
            what = "kind words by the lexicon"
    return what if one.weight in (0, 1) else f"{what}, times {one.weight:g}"


def _method(spec: TrainFields, precision: Precision | None) -> str:
    kept = str(precision or ("the best of its card" if spec.dtype == AUTO else spec.dtype))
    if spec.method == "full":
        return f"All weights of {short(spec.model)}, kept in {kept}"
    name = "QLoRA" if precision and precision.is_quantized else "LoRA"
    what = " and ".join(spec.target_modules) if len(spec.target_modules) < 3 else f"{len(spec.target_modules)} layers"
    layers = "all linear layers" if what == "all-linear" else what
    return f"{name} of rank {spec.r} on {layers} of {short(spec.model)}, kept in {kept}"


def _length(client: Workbench, spec: Trained) -> str:
    epochs = f"{spec.num_train_epochs:g} epoch{'' if spec.num_train_epochs == 1 else 's'}"
    if spec.max_steps:
        return f"{spec.max_steps:,} steps"
    rows, each = known_rows(client, spec), _answers_to_each(spec)
    n_steps = ceil(rows * (1 - spec.eval_share) * spec.num_train_epochs * each / spec.rows_per_step) if rows else 0
    return f"{epochs}, about {n_steps:,} steps" if n_steps else f"{epochs}; how many steps is known with the data"


def _answers_to_each(spec: Trained) -> int:
    return spec.num_generations if isinstance(spec, RlhfSpec) and spec.is_online else 1


def _batch(spec: Trained) -> str:
    rows, each = spec.rows_per_step, spec.per_device_train_batch_size
    how = f", {each} at once" if rows != each else ""
    if isinstance(spec, RlhfSpec) and spec.is_online:
        prompts = rows // spec.num_generations
        of = f"{rows} answers to {prompts} prompt{'' if prompts == 1 else 's'} a step"
        return f"{of}{how}, of at most {spec.max_completion_length:,} tokens"
    what = "pair" if isinstance(spec, RlhfSpec) else "row"
    packed = "joined up to" if getattr(spec, "packing", False) else "of at most"
    return f"{rows} {what}{'' if rows == 1 else 's'} a step{how}, {packed} {spec.max_length:,} tokens"


def _data(client: Workbench, spec: Trained) -> str:
    rows, held = known_rows(client, spec), f"{spec.eval_share:.3g}"
    counted = f", {rows:,} rows" if rows else ""
    apart = f", {100 * float(held):g} % held out" if spec.eval_share else ", none held out: no evaluation"
    return f"{title_of_data(client, spec.data)}{counted}{apart}"
