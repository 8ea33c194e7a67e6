"""What is said of a machine's devices."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from core import cards
from core.cards import Card, gigabytes, read_card, read_cards

TWO = [Card(f"card {n}", "gpu", 80, 70, uuid=f"GPU-{n}{n}{n}") for n in range(2)]


def test_there_is_always_a_device_and_its_memory() -> None:
    card = read_card()
    assert card.name == read_cards()[0].name
    assert 0 < card.free_bytes <= card.total_bytes


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", []),
        ("-1", []),
        ("0", ["card 0"]),
        ("1,0", ["card 1", "card 0"]),
        ("GPU-111", ["card 1"]),
        ("0,7,1", ["card 0"]),  # CUDA stops at the first that is not there
    ],
)
def test_the_cards_are_those_that_cuda_would_show(
    monkeypatch: pytest.MonkeyPatch, value: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert [card.name for card in cards._visible(TWO)] == names


def test_without_that_variable_all_cards_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cards._visible(TWO) == TWO


def test_a_container_has_the_memory_of_its_limit_and_cached_files_count_as_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "memory.current").write_text("600000000\n")
    (tmp_path / "memory.stat").write_text("anon 200000000\ninactive_file 400000000\n")
    monkeypatch.setattr(cards, "CGROUP", tmp_path)
    card = cards.host()
    assert card.total_bytes == 1_000_000_000
    assert card.free_bytes == min(800_000_000, psutil.virtual_memory().available)


def test_a_container_without_a_limit_has_the_memory_of_its_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(cards, "CGROUP", tmp_path)
    assert cards.host().total_bytes == psutil.virtual_memory().total


def test_memory_is_said_in_gigabytes() -> None:
    assert gigabytes(25_276_063_744) == "25.3 GB"
