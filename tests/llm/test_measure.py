"""Peaks of a process that several jobs share: never too little for any of them."""

from __future__ import annotations

import time

import pytest
import torch

from core.llm import measure
from core.llm.measure import PeakMeter, device_name, versions
from core.llm.own import trim_heaps

N_BYTES = 200_000_000


@pytest.fixture(params=["kernel", "sampling"])
def meter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PeakMeter:
    """By the kernel's own mark, and by looking often where there is none."""
    if request.param == "sampling":
        monkeypatch.setattr(measure, "_host_gauge", measure._SamplingGauge)
    trim_heaps()  # what earlier tests freed could serve these without a page more
    return PeakMeter("cpu")


def use_memory(stay_s: float = 0.2) -> None:
    block = torch.ones(N_BYTES // 4)
    time.sleep(stay_s)
    del block


def test_memory_that_came_and_went_is_in_the_peak(meter: PeakMeter) -> None:
    with meter.watch() as peak:
        use_memory()
    assert peak.peak_bytes > peak.resident_bytes + 0.8 * N_BYTES
    assert peak.shared_with == 0


def test_what_was_used_before_is_not_in_the_peak(meter: PeakMeter) -> None:
    use_memory()
    with meter.watch() as peak:
        pass
    assert peak.peak_bytes < peak.resident_bytes + 0.5 * N_BYTES


def test_a_job_that_begins_beside_another_does_not_reset_its_peak(meter: PeakMeter) -> None:
    with meter.watch() as first:
        use_memory()
        with meter.watch() as second:
            pass
        with meter.watch():
            pass
    assert first.peak_bytes > first.resident_bytes + 0.8 * N_BYTES
    assert (first.shared_with, second.shared_with) == (1, 1)


def test_after_an_error_the_watch_is_over(meter: PeakMeter) -> None:
    with pytest.raises(ZeroDivisionError), meter.watch() as failed:
        raise ZeroDivisionError
    with meter.watch() as after:
        pass
    assert failed.peak_bytes > 0
    assert after.shared_with == 0


def test_where_the_kernel_keeps_no_mark_memory_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(measure, "CLEAR_REFS", tmp_path_factory.mktemp("no") / "such" / "file")
    with PeakMeter("cpu").watch() as peak:
        use_memory()
    assert peak.peak_bytes > peak.resident_bytes + 0.8 * N_BYTES


def test_versions_and_device_have_names() -> None:
    assert {"python", "torch", "transformers"} <= set(versions())
    assert device_name("cpu")
