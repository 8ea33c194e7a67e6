"""What is private goes, wherever it stands, and what is not stays as it was."""

from __future__ import annotations

import pytest

from core.recording.private import Private

PRIVATE = Private(hosts=["gpu-box.lab", "vm"], users=["ana", "me"], places=["/home/ana/My Models", "/root", "/"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/ana/models/SmolLM2", "SmolLM2"),
        ("in /home/ana/My Models/artifacts/x and /home/ana/My Models.", "in x and My Models."),
        ("/root", "root"),
        ("file:///var/lib/wb/a.txt, ~/.cache/hub/x", "a.txt, x"),
        (r"C:\Users\ana\rows.jsonl", "rows.jsonl"),
        ("worker vm/batch/1QK9VX on gpu-box.lab", "worker host/batch/1QK9VX on host"),
        ("by ana, not Anabel or ana-lyse", "by recorded, not Anabel or ana-lyse"),
        ("hf_abcdefghijklmnop and ghp_0123456789abcdef", "… and …"),
        ("postgresql://ana:secret@db/x", "postgresql://db/x"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer …"),
        ("HF_TOKEN=abc, password: hunter2", "HF_TOKEN=…, password: …"),
        ("killed pid 4711; process 12", "killed pid; process"),
    ],
)
def test_what_is_private_goes(text: str, left: str) -> None:
    found = PRIVATE.text(text)
    assert found.replace("pid ;", "pid;").strip() == left or found == left


@pytest.mark.parametrize(
    "text",
    [
        "Tell me why: it is 1/2 of and/or, a/b",
        "https://huggingface.co/org/name/resolve/main/x.json",
        "</div></p> and HuggingFaceTB/SmolLM2-135M-Instruct",
        "one token: of many", "the root of the tree", "the process took 3 s", "step 4 of 5, 12:30",
    ],
)  # fmt: skip
def test_what_is_not_private_stays_as_it_was(text: str) -> None:
    assert PRIVATE.text(text) == text


def test_values_are_searched_to_their_ends_and_facts_replaced_by_their_place() -> None:
    deep = {"a": [{"/home/ana/x/y": ("ana", 3, None, True)}]}
    assert PRIVATE.clean(deep) == {"a": [{"y": ["recorded", 3, None, True]}]}
    told = PRIVATE.event({"owner": "me", "by": "bob", "worker": "far/batch/9", "text": "ana"})
    assert told == {"owner": "its owner", "by": "somebody", "worker": "a worker", "text": "recorded"}
