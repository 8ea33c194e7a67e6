"""What is known of data without reading it: its title, and what its last preview counted."""

from __future__ import annotations

from core.client import Workbench
from core.data.preview import learning_notes
from core.data.spec import DataFields
from core.ids import is_id
from core.states import State
from core.store.queries import JobFilter
from core.values import Job

KIND = "preview"
MOST_LOOKED = 200
COUNTING = ("data", "data_config", "data_split", "data_format", "max_rows", "min_chars", "max_chars")
LEARNING = (
    *COUNTING, "model", "max_length", "chat_template", "completion_only_loss", "assistant_only_loss", "eval_share",
    "prompt_template", "completion_template", "text_template",
)  # fmt: skip
COUNTED = ("n_train", "n_endless", "n_left_out")


def title_of_data(client: Workbench, data: str) -> str:
    """What data is called: an upload by its name."""
    if is_id(data):
        return next((one.name for one in client.uploads() if one.id == data), data)
    return data.rstrip("/").rpartition("/")[2] if data.startswith("/") else data


def last_preview(client: Workbench, data: str) -> Job | None:
    """The newest finished preview of some data."""
    return last_previews(client).get(data)


def last_previews(client: Workbench) -> dict[str, Job]:
    """The newest finished preview of each data, among the last ones."""
    found: dict[str, Job] = {}
    for job in client.list(JobFilter(kind=KIND, state=State.SUCCEEDED), limit=MOST_LOOKED):
        if job.result:
            found.setdefault(str(job.spec.get("data")), job)
    return found


def known_rows(client: Workbench, spec: DataFields) -> int:
    """How many rows a training would have, as a preview of the same has counted them; 0 where none has."""
    asked = spec.model_dump(mode="json", include=set(COUNTING))
    for job in client.list(JobFilter(kind=KIND, state=State.SUCCEEDED), limit=MOST_LOOKED):
        same = {name: job.spec.get(name) for name in COUNTING}
        if job.result and same | {"max_rows": 0} == asked | {"max_rows": 0}:
            rows = int(job.result.get("n_rows") or 0)
            return min(rows, spec.max_rows) if spec.max_rows else 0 if job.spec.get("max_rows") else rows
    return 0


def known_notes(client: Workbench, spec: DataFields) -> tuple[str, ...]:
    """What is to be minded of the rows' labels, as a preview of the same rows by the same tokens has counted them."""
    asked = spec.model_dump(mode="json", include=set(LEARNING))
    for job in client.list(JobFilter(kind=KIND, state=State.SUCCEEDED), limit=MOST_LOOKED):
        if job.result and asked and {name: job.spec.get(name) for name in asked} == asked:
            n_train, n_endless, n_masked = (int(job.result.get(name) or 0) for name in COUNTED)
            return learning_notes(n_train, n_endless, n_masked)
    return ()
