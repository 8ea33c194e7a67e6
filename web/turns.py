"""What a turn of a conversation is asked with: the messages before it, from the store and never from a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.client import Workbench
from core.errors import BadInput
from core.values import Job

KIND = "generate"
MAX_WALK = 400  # a conversation has no more turns than a spec takes messages


@dataclass(frozen=True)
class Base:
    """Where a new turn begins: the messages before it, and the job that it follows."""

    messages: tuple[Mapping[str, Any], ...] = ()
    parent: str | None = None


def after(client: Workbench, job_id: str) -> Base:
    """The place behind the answer of a job; one that gave no answer is passed over together with its prompt.

    Raises:
        BadInput: its answer is still being written.
    """
    if not job_id:
        return Base()
    job = client.show(job_id)
    if not job.state.is_finished:
        raise BadInput("The answer above is still being written: stop it (Esc) or wait for its end.")
    text = (job.result or {}).get("text")
    if not text or job.spec.get("mode") == "completion":
        return Base(_messages(job), job.parent)
    turn = ({"role": "user", "content": job.spec["prompt"]}, {"role": "assistant", "content": text})
    return Base((*_messages(job), *turn), job.id)


def before(client: Workbench, job_id: str, index: int) -> Base:
    """The place of message `index` of a job's conversation, to ask something else there.

    Raises:
        BadInput: there is no message of the user's at that place.
    """
    job = client.show(job_id)
    messages = _messages(job)
    if not (index == len(messages) or (0 <= index < len(messages) and messages[index]["role"] == "user")):
        raise BadInput(f"Message {index} of this conversation is not one that can be edited.")
    return Base(messages[:index], _parent_at(client, job, index))


def send(client: Workbench, job_id: str, prompt: str, fields: Mapping[str, Any], key: str | None) -> Job:
    """Ask for the next answer of a conversation, or with no job for the first one."""
    return _submit(client, after(client, job_id), prompt, fields, key)


def edit(client: Workbench, job_id: str, index: int, prompt: str, fields: Mapping[str, Any], key: str | None) -> Job:
    """Ask something else in the place of message `index`; what came after it belongs to the old conversation."""
    return _submit(client, before(client, job_id, index), prompt, fields, key)


def regenerate(client: Workbench, job_id: str, fields: Mapping[str, Any], key: str | None) -> Job:
    """Ask the same once more, with a new seed: the old one would give the old answer."""
    job = client.show(job_id)
    new = {name: value for name, value in fields.items() if name != "seed"}
    return _submit(client, before(client, job_id, len(_messages(job))), job.spec["prompt"], new, key)


def spec_fields(base: Base, prompt: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the spec that asks `prompt` there; a completion takes a prompt alone."""
    if fields.get("mode") == "completion":
        return {name: value for name, value in fields.items() if name != "system"} | {"prompt": prompt}
    return {**fields, "prompt": prompt, "messages": list(base.messages)}


def _submit(client: Workbench, base: Base, prompt: str, fields: Mapping[str, Any], key: str | None) -> Job:
    """The same `key` again gives the job that it made the first time.

    Raises:
        BadInput: a field is out of its bounds, or the prompt is empty or too long.
    """
    parent = None if fields.get("mode") == "completion" else base.parent
    return client.submit(KIND, spec_fields(base, prompt, fields), key=key, parent=parent)


def _messages(job: Job) -> tuple[Mapping[str, Any], ...]:
    return tuple(job.spec.get("messages") or ())


def _parent_at(client: Workbench, job: Job, n_messages: int) -> str | None:
    """The parent of the turn that had `n_messages` before it, where the jobs of this conversation still tell."""
    for _ in range(MAX_WALK):
        if len(_messages(job)) <= n_messages or not job.parent:
            break
        job = client.show(job.parent)
    return job.parent if len(_messages(job)) == n_messages else None
