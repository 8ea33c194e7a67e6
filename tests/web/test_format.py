from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.format import ago, quantity, significant, written


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (13.5e9, "bytes", "13.5 GB"), (1.39e9, "bytes", "1.39 GB"), (999.6e6, "bytes", "1.00 GB"),
        (512, "bytes", "512 B"),
        (0.0841, "s", "84.1 ms"), (0.9996, "s", "1.00 s"), (11.83, "s", "11.8 s"), (59.96, "s", "60.0 s"),
        (252, "s", "4 min 12 s"), (7384, "s", "2 h 3 min"), (0.00002, "s", "20.0 µs"), (0, "bytes", "0 B"),
        (41.83, "tokens/s", "41.8 tok/s"), (1234.5, "tokens/s", "1,230 tok/s"), (1, "jobs", "1 job"),
        (3, "jobs", "3 jobs"), (0.5, "", "0.500"),
    ],
)  # fmt: skip
def test_figures_have_three_digits_and_si_units(value: float, unit: str, shown: str) -> None:
    assert written(value, unit) == shown


@given(st.floats(min_value=1e-6, max_value=1e15, allow_nan=False))
def test_a_figure_is_never_off_by_more_than_half_a_percent(value: float) -> None:
    shown = float(significant(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.0051)
    assert quantity(value, "bytes")[1] in ("B", "kB", "MB", "GB", "TB")


def test_a_moment_that_never_came_is_a_dash() -> None:
    assert ago(None) == "\u2013"
    assert 'data-ago="0.000"' in ago(0.0)
