"""What a job of a model kind says once it has ended: headline, predicted beside measured, the way out of trouble."""

from __future__ import annotations

from typing import Any

import pytest

from core.client import Workbench
from core.errors import BadInput
from core.ids import new_id
from core.states import State
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Job, Measurement, Progress, Trouble
from tests.web.merges import distance, report
from tests.web.shelf import fill
from tests.web.test_job_view import rendered
from web import figures, headlines, mending, runs_view, words

SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
LOADED: dict[str, Any] = {
    "text": "A program.", "model": SMOL, "revision": None, "precision": "nf4", "attention": "sdpa",
    "compute_dtype": "bfloat16", "stored_as": "bfloat16", "device": "CPU", "memory_kind": "host",
    "was_resident": False, "code": "AutoModelForCausalLM.from_pretrained(…)", "notes": ["Said <b>so</b>."],
}  # fmt: skip
FIGURES = (
    ("parameters", 134_515_008, "parameters", 134_515_008),
    ("weights_bytes", 81.5e6, "bytes", 81.5e6),
    ("state_bytes", 8.3e6, "bytes", 8.3e6),
    ("load_peak_bytes", 331e6, "bytes", 325e6),
    ("held_bytes", 116e6, "bytes", 120e6),
    ("process_bytes", 812e6, "bytes", None),
    ("kv_cache_bytes_per_token", 23_040, "bytes", 23_040),
    ("load_s", 2.9, "s", None),
    ("load_bytes_per_s", 40e6, "bytes/s", None),
)


def ended(workbench: Workbench, kind: str, spec: dict[str, Any], result: dict[str, Any], *figures: Any) -> Job:
    job = workbench.submit(kind, spec)
    assert workbench.store.claim(job.queue, "w", 60) is not None
    kept = Kept([Measurement(name=name, value=value, unit=unit, predicted=said) for name, value, unit, said in figures])
    workbench.store.finish(job.id, 1, State.SUCCEEDED, result, kept)
    return workbench.show(job.id)


def failed(workbench: Workbench, kind: str, spec: dict[str, Any], code: str, hint: str = "") -> Job:
    job = workbench.submit(kind, spec)
    assert workbench.store.claim(job.queue, "w", 60) is not None
    workbench.store.fail(job.id, 1, Trouble(code=code, message="It failed.", hint=hint), Kept(), "")
    return workbench.show(job.id)


def test_a_load_says_what_it_took_and_how_far_off_the_prediction_was(workbench: Workbench) -> None:
    job = ended(workbench, "load", {"dtype": "nf4"}, LOADED, *FIGURES)
    fragments = rendered(workbench, job.id)
    said = "SmolLM2-135M-Instruct is resident in nf4: 116 MB, read in 2.90 s at 40.0 MB/s."
    assert said in fragments["result"]
    assert "Said &lt;b&gt;so&lt;/b&gt;." in fragments["result"]
    assert "dtype=nf4" in fragments["result"]  # the link that asks it
    rows = {row.title: row for row in figures.compared(job)}
    assert (rows["Parameters"].measured, rows["Parameters"].off_by) == ("135 M", "exact")
    assert (rows["Peak while loading"].predicted, rows["Peak while loading"].off_by) == ("325 MB", "+1.8 %")
    assert rows["Held after loading"].off_by == "\u22123.3 %"
    assert (rows["Process total"].predicted, rows["Process total"].way) == ("\u2013", "Memory of the worker's process")
    assert [m.name for m in figures.alone(job)] == ["load_s", "load_bytes_per_s"]
    assert "AutoModelForCausalLM.from_pretrained(…)" in fragments["made"]
    assert "331 MB" in runs_view.render_row(job)


def test_on_a_card_the_figures_are_the_allocator_s_and_the_driver_s(workbench: Workbench) -> None:
    job = ended(workbench, "load", {}, LOADED | {"memory_kind": "gpu"}, *FIGURES)
    ways = {row.title: row.way for row in figures.compared(job)}
    assert ways["Held after loading"] == "By PyTorch's allocator"
    assert "driver" in ways["Process total"]


def test_a_load_of_what_was_resident_says_so(workbench: Workbench) -> None:
    job = ended(workbench, "load", {}, LOADED | {"was_resident": True}, *FIGURES)
    assert headlines.headline(job) == "SmolLM2-135M-Instruct was resident already in nf4: 116 MB."


def test_a_single_prediction_stands_beside_its_figure(workbench: Workbench) -> None:
    job = ended(workbench, "generate", {"prompt": "a"}, {"text": "b"}, ("peak_bytes", 1.39e9, "bytes", 1.42e9))
    assert "1.39 <small>GB, predicted 1.42 GB</small>" in rendered(workbench, job.id)["figures"]


@pytest.mark.parametrize(
    ("kind", "result", "said"),
    [
        (
            "download",
            {"name": "org/x", "files": ["a", "b"], "n_bytes": 2.5e8, "seconds": 3.2, "is_whole": True},
            "x is here: 2 files, 250 MB fetched in 3.20 s at 84.0 MB/s.",
        ),
        ("download", {"name": "org/x", "files": ["a"], "n_bytes": 0, "is_whole": True}, "x was here already: 1 file"),
        ("download", {"name": "org/x", "files": [], "n_bytes": 0, "is_whole": False}, "next download goes on there"),
        ("convert", {"name": "x-safe", "n_bytes": 5e6, "n_tensors": 7, "is_whole": True}, "x-safe holds the same 7"),
        ("convert", {"name": "", "is_whole": False}, "nothing is left of it"),
        ("remove", {"name": "org/x", "n_bytes": 5e6}, "x is deleted: 5.00 MB are free again."),
    ],
)  # fmt: skip
def test_each_kind_of_model_job_says_its_result(
    workbench: Workbench, kind: str, result: dict[str, Any], said: str
) -> None:
    job = ended(workbench, kind, {"model": "org/x"}, result, ("download_bytes_per_s", 84e6, "bytes/s", None))
    assert said in headlines.headline(job)
    assert said in rendered(workbench, job.id)["result"]


def test_a_missing_model_is_downloaded_by_a_button(workbench: Workbench) -> None:
    job = failed(workbench, "generate", {"prompt": "a", "model": "org/x", "revision": "v1"}, "not_downloaded")
    assert "Download x" in rendered(workbench, job.id)["trouble"]
    made = mending.mend(workbench, job.id, "key")
    assert (made.kind, made.spec["model"], made.spec["revision"]) == ("download", "org/x", "v1")
    assert mending.mend(workbench, job.id, "key").id == made.id


def test_pickled_weights_are_converted_by_a_button(workbench: Workbench) -> None:
    job = failed(workbench, "load", {"model": "org/x"}, "pickled_weights")
    assert "Convert x" in rendered(workbench, job.id)["trouble"]
    assert mending.mend(workbench, job.id, None).kind == "convert"


@pytest.mark.parametrize(("hint", "dtype"), [("nf4-dq would need 4.00 GB.", "nf4-dq"), ("nf4 would need 4 GB.", "nf4")])
def test_a_model_that_is_too_large_is_asked_in_a_narrower_precision(
    workbench: Workbench, hint: str, dtype: str
) -> None:
    job = failed(workbench, "load", {"model": "org/x", "dtype": "float32", "pin": True}, "out_of_memory", hint)
    assert f"Load it in {dtype}" in rendered(workbench, job.id)["trouble"]
    made = mending.mend(workbench, job.id, None)
    assert (made.kind, made.spec["dtype"], made.spec["pin"]) == ("load", dtype, True)


def test_what_no_job_can_help_has_no_button(workbench: Workbench) -> None:
    job = failed(workbench, "load", {}, "out_of_memory", "It fits in no precision that runs here.")
    assert 'data-do="mend"' not in rendered(workbench, job.id)["trouble"]
    with pytest.raises(BadInput):
        mending.mend(workbench, job.id, None)


def test_why_a_job_waits_for_memory_is_said(workbench: Workbench) -> None:
    job = workbench.submit("load", {})
    fill(workbench)
    load_key = workbench.store.waiting_keys("interactive")[0].load_key
    workbench.store.explain("interactive", load_key, "needs 13.90 GB, 9.20 GB free: waiting for job 4F2A1B")
    assert (
        "Waits for memory: needs 13.90 GB, 9.20 GB free: waiting for job 4F2A1B." in rendered(workbench, job.id)["now"]
    )
    assert "waits for memory: needs 13.90 GB" in runs_view.render_row(workbench.show(job.id))


def test_an_old_spelling_is_told_in_what_happened(workbench: Workbench) -> None:
    job = workbench.submit("load", {"torch_dtype": "float16"})
    assert "torch_dtype was taken as dtype=float16" in rendered(workbench, job.id)["happened"]


def test_progress_is_a_bar_with_its_bytes_and_the_time_left(workbench: Workbench) -> None:
    job = workbench.submit("download", {"model": "org/x"})
    assert workbench.store.claim("interactive", "w", 60) is not None
    workbench.store.set_progress(job.id, 1, Progress(current=1e9, total=4e9, message="x.bin, 84.1 MB/s", eta_s=35.7))
    now = rendered(workbench, job.id)["now"]
    for shown in ("x.bin, 84.1 MB/s", 'aria-valuenow="25"', "25 % · 1.00 GB of 4.00 GB · 35.7 s left"):
        assert shown in now
    assert words.title(workbench.show(job.id)) == "org/x"


def test_once_an_answer_is_written_the_load_before_it_is_past(workbench: Workbench) -> None:
    job = workbench.submit("generate", {"prompt": "a"})
    assert workbench.store.claim("interactive", "w", 60) is not None
    workbench.store.set_progress(job.id, 1, Progress(current=4, total=4, message="trying x"))
    now = rendered(workbench, job.id)["now"]
    assert "trying x" in now
    assert "progressbar" not in now
    workbench.store.keep(job.id, 1, Kept([Measurement(name="time_to_first_token_s", value=0.1, unit="s")]))
    assert "trying x" not in rendered(workbench, job.id)["now"]
    assert "trying x" not in runs_view.render_row(workbench.show(job.id))


def test_a_merge_shows_its_verdict_its_figures_and_both_answers(workbench: Workbench) -> None:
    job = workbench.submit("merge", {"adapter": "org/a"})
    assert workbench.store.claim("batch", "w", 60)
    made = ArtifactRef(id=new_id(), kind=ArtifactKind.MODEL, name="merged", n_bytes=9)
    workbench.store.add_artifact(job.id, 1, made)
    workbench.store.finish(job.id, 1, State.SUCCEEDED, report().model_dump(mode="json"), Kept())
    parts = rendered(workbench, job.id)
    assert "PASS</span> Merged in float32: the same as base + adapter" in parts["result"]
    assert f'href="/?model={made.id}"' in parts["result"]
    assert "<td>2.0 · 10⁻⁷</td><td>99.90 %</td>" in parts["merged"]
    assert "&lt;b&gt;force" in parts["merged"]
    assert "<b>force" not in parts["merged"]


def test_a_merge_that_failed_its_check_offers_no_model(workbench: Workbench) -> None:
    job = workbench.submit("merge", {"adapter": "org/a"})
    assert workbench.store.claim("batch", "w", 60)
    workbench.store.keep_result(job.id, 1, report(found=distance(0.2, 3.0)).model_dump(mode="json"))
    trouble = Trouble(code="merge_check_failed", message="It is not what base + adapter were.")
    workbench.store.fail(job.id, 1, trouble, Kept())
    said = rendered(workbench, job.id)["result"]
    assert "FAIL</span>" in said
    assert "Playground" not in said


def test_a_training_that_did_not_fit_is_tried_with_fewer_rows_at_once_by_a_button(workbench: Workbench) -> None:
    job = workbench.submit("sft", {"r": 4})
    assert workbench.store.claim("batch", "w", 60)
    hint = "Take per_device_train_batch_size 4 with gradient_accumulation_steps 2: as many rows a step."
    workbench.store.fail(job.id, 1, Trouble(code="out_of_memory", message="It does not fit.", hint=hint), Kept())
    assert "Train 4 rows at once" in rendered(workbench, job.id)["trouble"]
    spec = mending.mend(workbench, job.id, "k").spec
    assert (spec["per_device_train_batch_size"], spec["gradient_accumulation_steps"], spec["r"]) == (4, 2, 4)
