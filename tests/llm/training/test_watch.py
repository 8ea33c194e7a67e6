from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from core.llm.training.watch import Watch
from core.values import Metric


class Heard:
    """Who listens, and holds 5 bytes."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []

    def metric(self, metric: Metric) -> None:
        self.metrics.append(metric)

    def memory_bytes(self) -> int:
        return 5


def test_each_logged_step_says_how_busy_the_machine_is_beside_its_memory() -> None:
    heard: Any = Heard()
    clock: Any = None
    watch = Watch(heard, clock)
    watch.on_log(None, SimpleNamespace(global_step=3), None, {"loss": 1.5})
    machine = {metric.sort: metric for metric in heard.metrics}["machine"]
    assert machine.step == 3
    assert machine.values["memory_bytes"] == 5
    assert 0 <= machine.values["cpu_percent"] <= 100
    assert machine.values["host_bytes"] > 1e6
