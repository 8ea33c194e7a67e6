from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cli import run
from core.cli_compare import ComparisonPrinter
from core.client import Workbench, artifact_folder
from core.comparison.values import Comparison, VariantResult, VariantState
from core.ids import new_id
from core.settings import Settings
from core.states import State
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Job
from tests.support import environment
from tests.web.comparisons import FIGURES, MODEL, comparison, failed, skipped, variant

EVIL = "nf4\x1b[31m\x07"


@pytest.fixture(autouse=True)
def at_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command speaks to the test's own workbench."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)


def compared(workbench: Workbench, found: Comparison, state: State = State.SUCCEEDED) -> Job:
    job = workbench.submit("compare", {"model": MODEL})
    workbench.store.claim("batch", "w", 60)
    workbench.store.keep_result(job.id, 1, found.model_dump(mode="json"))
    if state.is_finished:
        workbench.store.finish(job.id, 1, state, None, Kept())
    return workbench.show(job.id)


def test_a_comparison_is_shown_as_a_table_with_what_follows_from_it(
    workbench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    job = compared(workbench, comparison([*map(variant, FIGURES), failed("float16"), skipped("fp8", "too old a card")]))
    assert run(["show", job.id]) == 0
    shown = capsys.readouterr().out
    head, *rows = (line.split() for line in shown[shown.index("VARIANT") :].splitlines())
    assert " ".join(head) == "VARIANT WEIGHTS PEAK LOAD FIRST TOKEN SPEED PERPLEXITY KL SAME TOKEN"
    nf4 = next(" ".join(row) for row in rows if row[:1] == ["nf4"])
    assert nf4 == (
        "nf4 4.22 GB 7.02 GB 1.90 s 88.4 ms ± 1.77 ms 33.0 tok/s ± 0.33, 0.82 × 5.589 (5.548 to 5.630) 0.0310 92.8 %"
    )
    for said in (
        "nf4-dq takes 23 % of float32's memory", "float32 (reference)", "3.91 GB ▴", "float16 (failed)",
        "The device ran out of memory", "fp8 was left out: too old a card", "Take float32: it leaves 49.60 GB free",
        "Of the variants whose peak fits",
    ):  # fmt: skip
        assert said in shown, said
    assert '"variants":' not in shown  # the result as JSON is for --json
    assert run(["show", job.id, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)["result"]
    assert {"reference", "recommendation", "variants"} <= body.keys()
    assert body["variants"][0]["weights_bytes"] == {"predicted": 26_936_020_000.0, "measured": 26_990_000_000.0}


def test_while_it_runs_the_table_holds_what_there_is(workbench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    waits = VariantResult(name="nf4", state=VariantState.QUEUED)
    job = compared(workbench, comparison([variant("float32"), waits]), State.RUNNING)
    assert run(["show", job.id]) == 0
    shown = capsys.readouterr().out
    assert "float32 (reference)" in shown
    assert "nf4 (queued)" in shown
    assert "Take " not in shown


def test_names_and_reasons_play_no_tricks_on_a_terminal(workbench: Workbench) -> None:
    found = comparison([variant("float32"), variant(EVIL, like="nf4", reason=EVIL), skipped("x", EVIL)], notes=(EVIL,))
    job = compared(workbench, found)
    printer = ComparisonPrinter()
    shown = "\n".join([printer.result(job) or "", *printer.news(None, job)])
    assert shown.count("nf4[31m") > 4
    assert "\x1b" not in shown  # click itself takes colours out, but only where nobody looks
    assert "\x07" not in shown


def test_a_result_that_cannot_be_read_is_shown_the_usual_way(
    workbench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    job = workbench.submit("compare", {"model": MODEL})
    workbench.store.claim("batch", "w", 60)
    workbench.store.finish(job.id, 1, State.SUCCEEDED, {"text": "of a later version", "unheard_of": 1}, Kept())
    assert run(["show", job.id]) == 0
    assert '"unheard_of": 1' in capsys.readouterr().out


def test_each_variant_is_news_once(workbench: Workbench) -> None:
    waits = VariantResult(name="nf4", state=VariantState.RUNNING)
    before = compared(workbench, comparison([variant("float32"), waits]), State.RUNNING)
    now = compared(workbench, comparison([variant("float32"), variant("nf4"), failed("int8"), skipped("fp8", "old")]))
    printer = ComparisonPrinter()
    assert list(printer.news(None, before)) == [
        "float32: 27.0 GB of weights, 29.6 GB at its peak, perplexity 5.472, measured in 48.0 s"
    ]
    assert [line.partition(":")[0] for line in printer.news(before, now)] == ["nf4", "int8", "fp8"]
    assert list(printer.news(now, now)) == []


@pytest.fixture
def measurer(workbench: Workbench) -> Iterator[None]:
    """Whoever measures: one variant, then the other, then both are done."""

    def measure() -> None:
        while (claim := workbench.store.claim("batch", "w", 60)) is None:
            time.sleep(0.02)
        waits = VariantResult(name="nf4", state=VariantState.QUEUED)
        first, both = comparison([variant("float32"), waits]), comparison([variant("float32"), variant("nf4")])
        workbench.store.keep_result(claim.job_id, 1, first.model_dump(mode="json"))
        time.sleep(1.2)  # longer than whoever waits takes to look again
        workbench.store.finish(claim.job_id, 1, State.SUCCEEDED, both.model_dump(mode="json"), Kept())

    thread = threading.Thread(target=measure)
    thread.start()
    yield
    thread.join(20)


@pytest.mark.usefixtures("measurer")
def test_whoever_waits_hears_of_each_variant_and_gets_the_table(
    workbench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    from core.store.workers import WorkerInfo

    workbench.store.report_worker(WorkerInfo("w", "batch", "here", 1, "CPU", "host", 16e9, 11e9, 1), 60)
    assert run(["submit", "compare", "--variants", "fp32,nf4", "--wait"]) == 0
    told = capsys.readouterr()
    assert "float32: 27.0 GB of weights" in told.err
    assert "nf4: 4.22 GB of weights" in told.err
    assert told.out.startswith("nf4 takes 24 % of float32's memory")  # and not what the result said meanwhile
    assert "VARIANT" in told.out
    assert "Take float32" in told.out


def test_what_a_job_made_is_copied_to_a_folder_of_one_s_own(
    workbench: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = compared(workbench, comparison(), State.RUNNING)
    artifact = ArtifactRef(id=new_id(), kind=ArtifactKind.REPORT, name="../<b> é", n_bytes=1)
    folder = artifact_folder(workbench.settings.home, artifact.id)
    (folder / "more").mkdir(parents=True)
    (folder / "more" / "a.txt").write_text("a")
    (folder / "link").symlink_to("/etc/passwd")
    workbench.store.add_artifact(job.id, 1, artifact)
    assert run(["save", job.id, "--to", str(tmp_path / "out")]) == 0
    saved = Path(capsys.readouterr().out.strip())
    assert saved.read_text() == "a"
    assert saved == tmp_path / "out" / f"b-é-{artifact.id[-6:]}" / "more" / "a.txt"
    assert [path.name for path in saved.parents[1].iterdir()] == ["more"]
    assert run(["save", job.id, "--to", str(tmp_path / "out")]) == 2
    assert "is there already" in capsys.readouterr().err
    folder.rename(folder.with_name("gone"))
    assert run(["save", job.id, "--to", str(tmp_path / "new")]) == 2
    assert "are not on this machine" in capsys.readouterr().err


def test_a_job_without_files_has_none_to_save(workbench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["save", compared(workbench, comparison()).id]) == 2
    assert "has made no files" in capsys.readouterr().err
