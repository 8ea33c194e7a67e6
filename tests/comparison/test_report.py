from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from core.cli import run
from core.comparison.drawing import HEIGHT, WIDTH, Label, drawings
from core.comparison.report import write_report
from core.comparison.values import Comparison, Output
from core.errors import Unavailable
from core.jobs.compare import CompareResult, CompareSpec, _reported
from core.jobs.kind import Context
from core.settings import Settings
from core.spec import parse_spec
from core.values import ArtifactKind
from tests.support import environment
from tests.web.comparisons import FIGURES, MODEL, comparison, failed, skipped, variant

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\" ' \x1b[31mred\x1b]0;title\x07"
JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
UNTOLD = {"quality": None, "perplexity": None, "kl_mean": None}
AT = 1_790_000_000.0


class Read(HTMLParser):
    """What a browser would see: the tags, the attributes and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def spec(**fields: Any) -> CompareSpec:
    return parse_spec(CompareSpec, {"model": MODEL, **fields})


def written(folder: Path, found: Comparison, asked: CompareSpec | None = None) -> tuple[Read, dict[str, Any]]:
    write_report(folder, JOB, asked or spec(), found, AT)
    assert {path.name for path in folder.iterdir()} >= {"report.html", "report.json"}
    return Read((folder / "report.html").read_text()), json.loads((folder / "report.json").read_text())


def result() -> CompareResult:
    """The comparison as its job keeps it."""
    return CompareResult.model_validate(comparison().model_dump())


def test_a_stranger_reads_what_was_measured_how_and_how_to_do_it_again(tmp_path: Path) -> None:
    page, _ = written(
        tmp_path, comparison([*map(variant, FIGURES), failed("float16"), skipped("fp8", "too old a card")])
    )
    for said in (
        "nf4-dq takes 23 % of float32's memory", "Take float32: it leaves 49.60 GB free", "Of the variants whose",
        "27.0 GB pred. 26.9 GB", "33.0 tok/s ± 0.33, 0.82 ×", "5.589 5.548 to 5.630", "The device ran out of memory",
        "too old a card", "4,088 of 129,184 tokens scored", "sha256 3f7a3f7a", "KL 1.0 · 10⁻⁶", "Interleaved: each",
        "torch 2.13.0", "NVIDIA H100 80GB HBM3", 'AutoModelForCausalLM.from_pretrained("mosaicml/mpt-7b", dtype="nf4")',
        "workbench submit compare --model mosaicml/mpt-7b --wait", "workbench submit compare --spec report.json --wait",
        "which is also the largest city", "differs from word 7", "88.4 ms ± 1.77 ms (n = 5)", '"seed": 0',
        "down_proj, layer 8: 9.99 %", JOB, "2026-09-21 14:13:20 UTC",
    ):  # fmt: skip
        assert said in page.text, said


def test_the_page_runs_nothing_and_asks_for_nothing(tmp_path: Path) -> None:
    page, _ = written(tmp_path, comparison())
    assert not page.tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
    assert not {name for name, _ in page.attributes} & {"src", "href", "srcset", "action", "xlink:href"}
    assert not re.search(r"url\(|@import|https?:", (tmp_path / "report.html").read_text())


def test_what_models_wrote_stays_text(tmp_path: Path) -> None:
    output = Output(prompt=EVIL, greedy=EVIL, sampled=EVIL)
    one = variant(EVIL, like="nf4", samples=(output,), code=EVIL, model=EVIL, reason=EVIL)
    found = comparison([variant("float32", samples=(output,)), one], notes=(EVIL,), device=EVIL, versions={EVIL: EVIL})
    page, body = written(tmp_path, found, spec(prompts=[EVIL], eval_own=EVIL))
    assert not page.tags & {"script", "img"}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    whole = (tmp_path / "report.html").read_text()
    assert "\x1b" not in whole
    assert "\x07" not in whole
    assert page.text.count("<script>alert(1)</script>") > 8
    assert body["result"]["variants"][1]["samples"][0]["greedy"] == EVIL
    assert body["command"] == ""  # it would colour the terminal that it is pasted into


def test_the_json_is_run_again_as_it_is(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = spec(variants=["bf16", "nf4"], reference="bf16", prompts=["a", "b"], seed=7, eval_own="own text " * 900)
    _, body = written(tmp_path, comparison(), asked)
    assert (body["kind"], body["job"], body["made_at"]) == ("compare", JOB, "2026-09-21T14:13:20Z")
    assert body.keys() >= {"spec", "result", "versions", "device", "workbench"}
    assert Comparison.model_validate(body["result"]) == comparison()
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert run(["submit", "compare", "--spec", str(tmp_path / "report.json"), "--seed", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spec"] == asked.model_copy(update={"seed": 8}).model_dump(mode="json")


def test_a_figure_that_is_no_number_leaves_the_json_readable(tmp_path: Path) -> None:
    _, body = written(tmp_path, comparison([variant("float32", load_s=float("inf"), kl_mean=float("nan"))]))
    assert body["result"]["variants"][0]["load_s"] is None


@pytest.mark.parametrize(
    "found",
    [
        Comparison(),
        Comparison(variants=(failed("nf4"),)),
        comparison([variant("float32")]),
        comparison([variant("nf4", **dict.fromkeys(("prefill", "decode", "samples"), ()), **UNTOLD)], curves=()),
    ],
)
def test_what_was_not_measured_leaves_its_part_out(tmp_path: Path, found: Comparison) -> None:
    page, _ = written(tmp_path, found)
    assert "Run it again" in page.text
    assert "None" not in page.text.replace("None was loaded", "")


def test_names_in_pictures_lie_inside_and_not_over_each_other() -> None:
    trade, memory = drawings(comparison())
    for labels in ([dot.label for dot in trade.dots], [curve.label for curve in memory.curves if curve.label]):
        boxes = [box(label) for label in labels]
        assert len(boxes) > 1
        assert all(left > 0 and right < WIDTH and top > 0 and bottom < HEIGHT for left, right, top, bottom in boxes)
        for n, (left, right, top, bottom) in enumerate(boxes):
            for other in boxes[:n]:
                assert right < other[0] or other[1] < left or bottom < other[2] or other[3] < top


def box(label: Label) -> tuple[float, float, float, float]:
    wide = 6.6 * len(label.text)
    left = label.x if label.anchor == "start" else label.x - wide
    return left, left + wide, label.y - 11, label.y + 3


class Door:
    """What a job needs to keep a report: a folder, or a reason why there is none."""

    job_id = JOB

    def __init__(self, folder: Path, trouble: Exception | None = None) -> None:
        self.folder, self.trouble, self.kept = folder, trouble, list[tuple[str, str]]()

    @contextmanager
    def artifact(self, kind: ArtifactKind, name: str) -> Iterator[Path]:
        yield self.folder
        if self.trouble:
            raise self.trouble
        self.kept.append((kind, name))


def test_a_comparison_keeps_its_report_and_one_without_figures_has_none(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert _reported(spec(), cast(Context, door), result()) == result()
    assert door.kept == [("report", "comparison")]
    empty = Door(tmp_path)
    _reported(spec(), cast(Context, empty), CompareResult(variants=(failed("nf4"),)))
    assert not empty.kept


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/secret"), "No space left on device"),
        (Unavailable("The database does not answer."), "The database does not answer."),
    ],
)
def test_a_full_disk_costs_the_report_and_not_the_comparison(tmp_path: Path, trouble: Exception, said: str) -> None:
    found = _reported(spec(), cast(Context, Door(tmp_path, trouble)), result())
    assert said in found.notes[-1]
    assert "secret" not in found.notes[-1]
    assert found.variants == comparison().variants
