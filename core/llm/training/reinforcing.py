"""Reinforcement learning and learning from preferences: answers to held-out prompts before and after, and guards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import PrinterCallback

from core.llm.rewards import whole
from core.llm.training.answers import answer
from core.llm.training.base import keep_float32
from core.llm.training.completions import Completion, complete
from core.llm.training.course import Course
from core.llm.training.ground import facts_of_model
from core.llm.training.rl_ground import RlGround, lay_rl_ground
from core.llm.training.rl_trainers import make_trainer, plain
from core.llm.training.rl_watch import RlWatch, figures_of
from core.llm.training.settings import CHECKPOINTS, EVALUATIONS, steps_between
from core.llm.training.steady import Steady
from core.training.guards import Guards
from core.training.rlhf_headline import rlhf_headline
from core.training.rlhf_values import JudgeFacts, Standing
from core.training.texts import distinct_pairs, n_distinct_words
from core.training.values import Preflight
from core.values import ArtifactKind

if TYPE_CHECKING:
    from core.jobs.kind import Context
    from core.jobs.rlhf import RlhfResult, RlhfSpec

MOST_SAID, MOST_SHOWN = 8, 200  # answers, and characters of a prompt
SLOW_REWARDS = 0.5  # of the time: beyond it a faster reward is worth looking for


class Reinforcing(Course[RlGround, Steady, "RlhfResult"]):
    """An attempt at an `rlhf` job."""

    kind = "rlhf"
    length = "max_prompt_length or max_completion_length"

    def __init__(self, spec: RlhfSpec, context: Context, result: type[RlhfResult]) -> None:
        super().__init__(spec, context, result)
        self._spec = spec
        if not spec.is_online:
            self.length = "max_length"
        self._guards = Guards(spec.max_kl)

    def _lay_ground(self) -> RlGround:
        return lay_rl_ground(self._spec, self._context, self._record.say)

    def _trainer(self, ground: RlGround) -> Steady:
        spec, loaded = self._spec, ground.loaded
        trainer = make_trainer(spec, ground, self._checkpoints.folder)
        keep_float32(trainer.model, ground.plan)
        total = _total_steps(spec, trainer)
        eval_steps = steps_between(spec.eval_steps, total, EVALUATIONS, spec.logging_steps)
        trainer.args.save_steps = steps_between(spec.save_steps, total, CHECKPOINTS, spec.logging_steps)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(
            RlWatch(
                self._record,
                trainer.clock,
                self._guards,
                eval_steps=eval_steps,
                stops=spec.stop_on_alarm,
                began=lambda seconds: self._first_step(ground, trainer, seconds),
            )
        )
        most = max(loaded.context_length - spec.max_new_tokens, 1)
        self._record.ask = lambda step: answer(
            trainer.model, loaded.tokenizer, ground.asked, spec.max_new_tokens, most, step=step, seed=spec.seed
        )
        self._record.keep(total_steps=total, **self._facts(ground, trainer))
        return trainer

    def _facts(self, ground: RlGround, trainer: Steady) -> dict[str, Any]:
        judge = ground.judge
        held = [self._spec.held_out_reward] if self._spec.held_out_reward else []
        return facts_of_model(trainer.model, ground.loaded, ground.plan) | {
            "algorithm": self._spec.algorithm,
            "rewards": (*self._spec.rewards, *held),
            "data": ground.facts,
            "judge": judge and JudgeFacts(data=self._spec.judge_data, n_rows=judge.n_rows, accuracy=judge.accuracy),
        }

    def _begin(self, ground: RlGround, trainer: Steady) -> None:
        self._record.keep(alarms=(), stopped_by="")
        self._record.answered(0)
        self._record.say("answering held-out prompts")
        self._stand(ground, trainer, "before")

    def _go_on(self, step: int, logged: list[dict[str, float]]) -> None:
        """The guards have seen the steps before, and what was sounded after them was not."""
        record = self._record
        kept = tuple(one for one in record.now.alarms if one.step <= step)
        was_stopped = bool(record.now.stopped_by) and kept == record.now.alarms
        record.keep(alarms=kept, stopped_by=record.now.stopped_by if was_stopped else "")
        record.has_stopped_early = record.has_stopped_early or was_stopped
        for one in logged:
            if "loss" in one and one["step"] <= step:
                self._guards.look(int(one["step"]), figures_of(one))
        self._guards.given = {one.sign for one in kept}  # another job's alarms were not this one's

    def _first_step(self, ground: RlGround, trainer: Steady, seconds: float) -> None:
        """What one real step took is what the others will take: nothing is tried before that could not be kept."""
        if self._record.now.preflight is None:
            now, clock = self._record.now, trainer.clock
            tried = Preflight(
                step_s=seconds,
                peak_bytes=self._meter.peak_bytes() - self._idle_bytes,
                predicted_bytes=ground.plan.predicted_bytes,
                tokens_per_s=clock.tokens / seconds if seconds else 0.0,
                expected_s=seconds * now.total_steps,
            )
            self._record.keep(preflight=tried)

    def _summed_up(self, trainer: Steady) -> dict[str, Any]:
        """The last KL; and whether the rewards are what takes long."""
        logged = [figures_of(one) for one in trainer.state.log_history if "loss" in one]
        facts: dict[str, Any] = {"kl": next((one["kl"] for one in reversed(logged) if "kl" in one), None)}
        seconds = self._spec.logging_steps * sum(one.get("reward_s", 0.0) for one in logged)
        share = seconds / (trainer.clock.seconds or math.inf)
        if share > SLOW_REWARDS:
            facts["notes"] = (*self._record.now.notes, f"The rewards took {share:.0%} of the time of training.")
        return facts

    def _finish(self, ground: RlGround, trainer: Steady) -> None:
        record = self._record
        last = record.answered(record.now.step)
        record.keep(ended_share=sum(one.has_ended for one in last) / len(last) if last else None)
        self._record.say("answering held-out prompts again")
        self._stand(ground, trainer, "after")
        record.keep(text=rlhf_headline(record.now))
        self._keep_files(ground, trainer, ArtifactKind.ADAPTER)

    def _stand(self, ground: RlGround, trainer: Steady, which: str) -> None:
        """Answer the held-out prompts with the same random numbers, and keep what the answers are like."""
        prompts = ground.held_out[: self._spec.eval_prompts]
        if not prompts:
            return
        made = complete(
            trainer.model,
            ground.loaded.tokenizer,
            prompts,
            max_new_tokens=self._spec.max_completion_length,
            temperature=self._spec.temperature,
            top_p=self._spec.top_p,
            seed=self._spec.seed,
            at_once=self._spec.per_device_train_batch_size,
        )
        shown = tuple(plain(one)[-MOST_SHOWN:] for one in prompts[:MOST_SAID])
        self._record.keep(prompts=shown, **{which: _standing(ground, prompts, made)})


def _standing(ground: RlGround, prompts: Sequence[Any], made: Sequence[Completion]) -> Standing:
    answers = [one.text for one in made]
    scores = ground.rewards.score(prompts, answers)
    means = {name: fmean(values) for name, values in scores.items()}
    weights = dict(zip(ground.rewards.names, ground.rewards.weights, strict=True))
    read = [whole(prompt, text) for prompt, text in zip(prompts, answers, strict=True)]
    return Standing(
        n=len(made),
        rewards=means,
        reward=sum(means[name] * weight for name, weight in weights.items()),
        positive=ground.judge.share(read) if ground.judge else None,
        distinct=distinct_pairs(answers),
        words=n_distinct_words(answers),
        mean_tokens=fmean(one.n_tokens for one in made),
        ended=fmean(one.has_ended for one in made),
        said=tuple(answers[:MOST_SAID]),
    )


def _total_steps(spec: RlhfSpec, trainer: Steady) -> int:
    """As the Trainer counts them: its own data loader knows how often a prompt is answered."""
    if spec.max_steps:
        return spec.max_steps
    batches = len(trainer.get_train_dataloader())
    return math.ceil(spec.num_train_epochs * max(1, math.ceil(batches / spec.gradient_accumulation_steps)))
