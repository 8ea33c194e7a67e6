"""The framework's share is measured once a card and build, and kept."""

from __future__ import annotations

from pathlib import Path

from core.memory.framework import FILE, framework_bytes, keep_framework_bytes


def test_what_was_measured_once_is_known_for_that_card_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    assert framework_bytes(folder, "Tesla T4") == 0
    keep_framework_bytes(folder, "Tesla T4", 300_000_000)
    assert framework_bytes(folder, "Tesla T4") == 300_000_000
    assert framework_bytes(folder, "Tesla T4 G2") == 0


def test_the_first_measure_stays(tmp_path: Path) -> None:
    for n_bytes in (0, 300_000_000, 900_000_000):
        keep_framework_bytes(tmp_path, "Tesla T4", n_bytes)
    assert framework_bytes(tmp_path, "Tesla T4") == 300_000_000
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"Tesla T4, torch 1": "many"}', "\x00"):
        (tmp_path / FILE).write_text(text)
        assert framework_bytes(tmp_path, "Tesla T4") == 0
    keep_framework_bytes(tmp_path, "Tesla T4", 5)
    assert framework_bytes(tmp_path, "Tesla T4") == 5
