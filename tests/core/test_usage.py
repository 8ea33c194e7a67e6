from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from core.usage import Usage

BURN = "import time\nend = time.monotonic() + 30\nprint('up', flush=True)\nwhile time.monotonic() < end: pass"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_process_that_computes_is_busy_and_one_that_waits_is_not() -> None:
    usage = Usage()
    burn(0.3)
    busy = usage.now()["cpu_percent"]
    time.sleep(0.3)
    idle = usage.now()["cpu_percent"]
    assert 0 <= idle < busy <= 100


def test_what_its_children_compute_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.usage.CHILDREN_EVERY_S", 0.0)
    with subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            child.stdout.readline()
            usage = Usage()
            before = psutil.Process(child.pid).cpu_times().user
            while psutil.Process(child.pid).cpu_times().user < before + 0.3:
                time.sleep(0.05)
            assert usage.now()["cpu_percent"] > 5
        finally:
            child.kill()


def test_memory_of_the_machine_is_what_nobody_could_have(monkeypatch: pytest.MonkeyPatch) -> None:
    total = psutil.virtual_memory().total
    assert 0 < Usage().now()["host_bytes"] < total
    assert set(Usage().now()) == {"cpu_percent", "host_bytes"}


class FakeNvml:
    """A card of 80 GB that says nothing of its power."""

    def __init__(self) -> None:
        self.n_power = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told: dict[str, Any] = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetHandleByUUID": lambda uuid: {"GPU-1": 7}[uuid],
            "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=93, memory=40),
            "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=80, free=20, used=60),
            "nvmlDeviceGetTemperature": lambda handle, sensor: 71,
            "nvmlDeviceGetPowerUsage": self._power,
        }
        for name, does in told.items():
            monkeypatch.setattr(pynvml, name, does)

    def _power(self, handle: int) -> int:
        self.n_power += 1
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_a_card_tells_what_it_can_and_is_not_asked_again_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeNvml()
    card.install(monkeypatch)
    usage = Usage("GPU-1")
    for _ in range(2):
        told = {name: value for name, value in usage.now().items() if name.startswith("gpu")}
        assert told == {"gpu_percent": 93.0, "gpu_bytes": 60.0, "gpu_celsius": 71.0}
    assert card.n_power == 1
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", lambda handle: 412_300)
    assert Usage("GPU-1").now()["gpu_watts"] == 412.3


def test_without_a_driver_the_card_is_left_out() -> None:
    assert set(Usage("GPU-of-nobody").now()) == {"cpu_percent", "host_bytes"}
