"""An artifact as a page: what it is, where it comes from, its files, and what it is good for.

Its lineage is read from the job that made it, and from the jobs that made what that job used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from core.client import Workbench
from core.errors import NotFound
from core.ids import is_id
from core.spec import Spec, parse_spec
from core.training.reward_values import RewardReport
from core.training.rewards import Sort
from core.values import ArtifactKind, ArtifactRef, Job
from web import reward_view
from web.form_titles import TITLES
from web.format import written
from web.job_view import as_json, command_of, made_by
from web.side_view import shown_value
from web.templates import fragment
from web.train_results import result_of
from web.train_rewards import rows_of
from web.train_view import Step, form_of, next_steps

MOST_FILES = 200
MOST_LINKS = 8
TITLES_OF = {
    ArtifactKind.ADAPTER: "An adapter: small weights that lie beside those of its base.",
    ArtifactKind.MODEL: "A model: all weights, loadable here and in transformers.",
    ArtifactKind.REWARD: "A reward: a model that scores whole texts, loadable here and in transformers.",
    ArtifactKind.REWARD: "A reward: a model that scores answers, to learn from.",
    ArtifactKind.CHECKPOINT: "A checkpoint: all that a training needs to go on where it stood.",
    ArtifactKind.DATASET: "A data set: rows that a job made.",
    ArtifactKind.REPORT: "A report: what a job found, to read and to keep.",
}


@dataclass(frozen=True)
class Link:
    """A step of the lineage: what was used, and the job that made it where one did."""

    what: str
    name: str
    link: str = ""


@dataclass(frozen=True)
class File:
    """One file, with its size."""

    name: str
    size: str


def render(client: Workbench, artifact_id: str) -> str:
    """The page.

    Raises:
        NotFound: there is none of that id, or one may not see the job that made it.
    """
    job, artifact = client.artifact(artifact_id)
    files = client.files(artifact)
    return fragment(
        "artifact",
        job=job,
        artifact=artifact,
        what=TITLES_OF.get(artifact.kind, "Files that a job made."),
        facts=list(_facts(client, job)),
        lineage=list(_lineage(client, job)),
        spec=_spec(client, job),
        command=command_of(client, job),
        as_json=as_json(job),
        steps=_steps(job, artifact),
        files=[File(name, _size(path)) for name, path in list(files.items())[:MOST_FILES]],
        n_files=len(files),
        others=[one for one in job.artifacts if one.id != artifact.id],
    )


def _facts(client: Workbench, job: Job) -> Iterator[tuple[str, str]]:
    body: dict[str, Any] = job.result or {}
    found, merged = result_of(job), job.kind == "merge"
    data = found.data if found else None
    licence = body.get("licence") or _licence(client, job)
    made = made_by(job)
    versions = body.get("versions") or (made.versions if made else {})
    told = (
        *(reward_view.told(found) if isinstance(found, RewardReport) else ()),
        ("Verdict", f"{body.get('verdict')}: {body.get('text', '')}" if merged and body.get("verdict") else ""),
        ("Kept in", body.get("dtype") if merged else found.trained_dtype if found else ""),
        ("Base kept in", found.base_dtype if found else ""),
        ("Data", f"{data.name}, {data.n_train:,} rows, sha256 {data.fingerprint}" if data else ""),
        ("Licence of the data", data.licence if data else ""),
        ("Licence of the base", licence),
        ("Versions", " · ".join(f"{name} {version}" for name, version in sorted(versions.items()))),
    )
    yield from ((name, str(said)) for name, said in told if said)


def _licence(client: Workbench, job: Job) -> str:
    """What the base's own files name, where a worker has them."""
    base = _base(job)
    return next((one.info.licence for one in client.models() if one.info.name == base and one.info.licence), "")


def _base(job: Job) -> str:
    return str((job.result or {}).get("base") or job.spec.get("model") or job.model)


def _lineage(client: Workbench, job: Job) -> Iterator[Link]:
    """The job, and what it used; where that was made here, what made it, and so on."""
    now: Job | None = job
    for _ in range(MOST_LINKS):
        if now is None:
            return
        yield Link("made by", now.name, f"/runs?job={now.id}")
        before, now = now, None
        if data := before.spec.get("data"):
            yield Link("from", _data_name(client, str(data)), f"/data?{urlencode({'name': data})}")
        for what, name in _used(before):
            maker = _maker(client, name)
            yield Link(what, maker[1].name if maker else name, f"/artifacts?id={name}" if maker else "")
            now = now or (maker[0] if maker else None)


def _used(job: Job) -> Iterator[tuple[str, str]]:
    """What it is called, and the name of each model or part of one that a job began with, the nearest first."""
    for field, what in (("adapter", "adapter"), ("resume_from", "going on from"), ("model", "base")):
        if name := str(job.spec.get(field) or ""):
            yield what, name
    held_out = str(job.spec.get("held_out_reward") or "")
    for what, texts in (("rewarded by", job.spec.get("rewards") or ()), ("watched by", [held_out] if held_out else ())):
        for row in rows_of(texts):
            if row["sort"] == Sort.MODEL:
                yield what, row["argument"]


def _data_name(client: Workbench, data: str) -> str:
    return next((one.name for one in client.uploads() if one.id == data), data)


def _maker(client: Workbench, name: str) -> tuple[Job, ArtifactRef] | None:
    if not is_id(name):
        return None
    try:
        return client.artifact(name)
    except NotFound:
        return None


def _spec(client: Workbench, job: Job) -> list[tuple[str, str]]:
    """The fields that were not the usual ones."""
    kind = next((kind for kind in client.kinds if kind.name == job.kind), None)
    if kind is None:
        return []
    known = {name: value for name, value in job.spec.items() if name in kind.spec.model_fields}
    parsed: Spec = parse_spec(kind.spec, known)
    found = parsed.model_dump(mode="json", exclude_defaults=True)
    return [
        (TITLES.get(name, name.replace("_", " ").capitalize()), shown_value(value)) for name, value in found.items()
    ]


def _steps(job: Job, artifact: ArtifactRef) -> list[Step]:
    only = job.model_copy(update={"artifacts": (artifact,)})
    if artifact.kind is ArtifactKind.MODEL and job.kind == "merge":
        only = only.model_copy(update={"model": _base(job)})
    if artifact.kind is ArtifactKind.CHECKPOINT:
        return [Step("Go on from it", form_of(job, resume=artifact.id), is_main=True)]
    here = f"/artifacts?{urlencode({'id': artifact.id})}"
    steps = [step for step in next_steps(only) if step.link != here]
    return [step for step in steps if job.kind != "merge" or "like=" not in step.link]


def _size(path: Path) -> str:
    try:
        return written(path.stat().st_size, "bytes")
    except OSError:  # it has gone meanwhile
        return ""
