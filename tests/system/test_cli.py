"""The command line against a workbench that runs: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cli import run
from core.cli_submit import _command
from core.jobs import generate
from core.jobs.generate import GenerateSpec
from core.spec import as_command, parse_spec
from core.values import Message
from tests.support import ROOT, eventually
from tests.system.house import WORKBENCH, House

NEEDED = {"id", "kind", "state", "attempt", "spec", "result", "measurements", "error"}


def test_a_job_is_submitted_waited_for_and_printed_as_one_object(running: House) -> None:
    job = running.json("submit", "quick", "--text", "one two", "--name", "a name", "--priority", "3", "--wait")
    assert job.keys() >= NEEDED
    assert (job["state"], job["attempt"], job["error"]) == ("succeeded", 1, None)
    assert (job["name"], job["priority"]) == ("a name", 3)
    assert job["result"]["text"] == "one two "
    assert job["measurements"][0].keys() == {"name", "value", "unit", "n", "spread", "predicted"}


def test_the_answer_goes_to_stdout_alone_and_the_figures_to_stderr(running: House) -> None:
    done = running.run("submit", "quick", "--text", "one two three", "--seconds", "0.3", "--wait")
    assert done.returncode == 0
    assert done.stdout == "one two three \n"
    assert "steps" in done.stderr


def test_without_wait_it_says_how_to_go_on(running: House) -> None:
    done = running.run("submit", "quick")
    job = done.stdout.split()[1]
    assert f"workbench show {job}" in done.stdout
    eventually(lambda: running.json("show", job)["state"] == "succeeded")


def test_a_spec_comes_from_a_file_and_a_flag_beside_it_wins(running: House, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({"text": "from the file", "seconds": 0.2}))
    job = running.json("submit", "quick", "--spec", str(file), "--text", "told", "--wait")
    assert job["spec"]["text"] == "told"
    assert job["spec"]["seconds"] == 0.2


def test_a_key_makes_a_double_submit_one_job(running: House) -> None:
    first = running.json("submit", "quick", "--key", "the same")
    assert running.json("submit", "quick", "--key", "the same")["id"] == first["id"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit", "quick", "--seconds", "601"), "seconds: input should be less than or equal to 600, not 601"),
        (("submit", "quick", "--seconds", "soon"), "seconds: input should be a valid number"),
        (("submit", "quick", "--nonsense", "1"), "--nonsense"),
        (("submit", "nothing"), "There is no kind of job named nothing"),
        (("submit", "quick", "--priority", "1000"), "priority"),
        (("submit", "generate", "--prompt", " "), "The prompt is empty"),
        (("submit", "generate", "--prompt", "hi", "--temperature", "3"), "temperature: input should be less than"),
        (("submit", "generate", "--prompt", "hi", "--mode", "poem"), "mode: input should be 'chat' or 'completion'"),
        (("submit", "generate", "--prompt", "hi", "--messages", "[{}]"), "messages.0"),
        (("show", "ZZZZ"), "There is no job ZZZZ"),
        (("jobs", "--state", "lost"), "state: a job is queued, running"),
        (("name", "ZZZZ", "x"), "There is no job"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    running: House,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    assert run(arguments) == 2
    plain = capsys.readouterr()
    assert said in plain.err
    assert not plain.out

    assert run([*arguments, "--json"]) == 2
    for_programs = capsys.readouterr()
    assert said in json.loads(for_programs.err)["error"]["message"]
    assert not for_programs.out


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_spec_file_that_is_no_object_is_bad_input(running: House, tmp_path: Path, content: str) -> None:
    (tmp_path / "spec.json").write_text(content)
    done = running.run("submit", "quick", "--spec", str(tmp_path / "spec.json"))
    assert done.returncode == 2
    assert "spec.json" in done.stderr


def test_a_failed_job_is_code_1_with_its_sentence(running: House) -> None:
    done = running.run("submit", "quick", "--trouble", "raise", "--wait")
    assert done.returncode == 1
    assert "it went wrong on purpose" in done.stderr
    job = running.json("jobs", "--limit", "1")
    assert job["error"].keys() == {"code", "message", "hint"}
    assert "RuntimeError" in running.run("show", job["id"], "--traceback").stdout


def test_a_cancelled_job_is_code_4(running: House) -> None:
    waiting = subprocess.Popen(
        [WORKBENCH, "submit", "quick", "--seconds", "600", "--name", "to cancel", "--wait", "--json"],
        env=running.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    job = eventually(lambda: running.run("jobs", "--words", "to cancel", "--state", "running", "--json").stdout)
    assert running.run("cancel", json.loads(job)["id"]).returncode == 0
    assert json.loads(waiting.communicate(timeout=60)[0])["state"] == "cancelled"
    assert waiting.returncode == 4


def hears_ctrl_c() -> None:
    """Tests that were started in the background by a shell ignore it, and so would all that they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_while_waiting_leaves_the_job_alone(running: House) -> None:
    waiting = subprocess.Popen(
        [WORKBENCH, "submit", "quick", "--seconds", "600", "--name", "to leave", "--wait"],
        env=running.environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    job = json.loads(
        eventually(lambda: running.run("jobs", "--words", "to leave", "--state", "running", "--json").stdout)
    )
    waiting.send_signal(signal.SIGINT)
    try:
        said = waiting.communicate(timeout=20)[1]
    except subprocess.TimeoutExpired:  # Python may lose one that comes while it frees something: a person presses again
        waiting.send_signal(signal.SIGINT)
        said = waiting.communicate(timeout=60)[1]
    assert waiting.returncode == 130
    assert f"workbench cancel {job['id']}" in said
    assert "Traceback" not in said
    assert running.json("show", job["id"])["state"] == "running"
    running.run("cancel", job["id"])


def test_a_job_is_named_noted_retried_and_deleted(running: House) -> None:
    job = running.json("submit", "quick", "--text", "first", "--wait")["id"]
    assert running.json("name", job, "another name")["name"] == "another name"
    assert running.json("note", job[-8:], "seen")["note"] == "seen"
    again = running.json("retry", job, "--wait")
    assert (again["retry_of"], again["state"]) == (job, "succeeded")
    refused = running.run("delete", job)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert running.run("delete", job, "--yes").returncode == 0
    assert running.run("show", job).returncode == 2


def test_jobs_are_listed_newest_first_by_page_and_by_filter(running: House) -> None:
    ids = [running.json("submit", "quick", "--name", f"listed {n}")["id"] for n in range(3)]
    listed = [json.loads(line) for line in running.run("jobs", "--words", "listed", "--json").stdout.splitlines()]
    assert [job["id"] for job in listed] == ids[::-1]
    older = running.run("jobs", "--words", "listed", "--before", ids[1], "--limit", "1").stdout
    assert older.startswith(ids[0])
    assert running.run("jobs", "--owner", "nobody").stdout == ""


def test_a_job_is_shown_with_its_history(running: House) -> None:
    job = running.json("submit", "quick", "--text", "the text", "--wait")["id"]
    shown = running.run("show", job).stdout
    for word in ("the text", "succeeded", "queued", "steps"):
        assert word in shown
    assert running.json("show", job)["events"][0]["kind"] == "queued"


def test_waiting_without_a_worker_says_so_at_once(house: House) -> None:
    assert house.run("migrate").returncode == 0
    done = house.run("submit", "quick", "--wait", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["state"] == "queued"
    assert json.loads(done.stderr)["error"]["code"] == "no_worker"


@pytest.mark.parametrize("command", [("jobs",), ("submit", "quick"), ("show", "ABCD")])
def test_where_no_workbench_is_yet_none_is_made_in_passing(house: House, command: tuple[str, ...]) -> None:
    done = house.run(*command)
    assert done.returncode == 3
    assert "workbench up" in done.stderr
    assert not (house.home / "workbench.db").exists()


def test_tables_that_are_missing_are_one_sentence(house: House) -> None:
    (house.home / "workbench.db").touch()
    done = house.run("jobs")
    assert done.returncode == 3
    assert "workbench migrate" in done.stderr


def test_a_setting_that_is_none_is_one_sentence(build: Callable[..., House]) -> None:
    done = build(port=70000).run("doctor")
    assert done.returncode == 3
    assert "WORKBENCH_PORT cannot be '70000'" in done.stderr


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "mysql://me:secret@host/x"),
        ("database_url", "postgresql://me:secret@host:port/x"),
        ("redis_url", "http://:secret@host"),
    ],
)
def test_a_url_that_is_none_is_named_without_its_password(build: Callable[..., House], name: str, url: str) -> None:
    done = build(**{name: url}).run("jobs")
    assert done.returncode == 3
    assert f"WORKBENCH_{name.upper()}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_worker_alone_says_in_one_sentence_what_it_lacks(house: House) -> None:
    done = house.run("worker")
    assert done.returncode == 3
    assert "No Redis is known" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_on_a_terminal_a_person_sees_the_text_without_control_characters(running: House) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [WORKBENCH, "submit", "quick", "--text", "red \x1b[31malert", "--seconds", "0.3", "--wait"],
        env=running.environment({"TERM": "xterm"}),
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.wait(60)
    os.close(terminal)
    shown = os.read(controller, 10_000).decode()
    os.close(controller)
    assert "red [31malert" in shown


def test_help_names_every_field_and_every_exit_code(running: House) -> None:
    shown = running.run("submit", "generate", "--help").stdout
    for field in GenerateSpec.model_fields:
        assert f"--{field.replace('_', '-')}" in shown
    assert "130" in running.run("--help").stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from core.cli import run; run(['--help']);"
        "print(sorted({'celery','sqlalchemy','pydantic','redis','rich','gradio','torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
prompts = texts.filter(lambda text: bool(text.strip()))
turns = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=texts)
specs = st.builds(
    GenerateSpec,
    prompt=prompts,
    system=texts,
    messages=st.lists(turns, max_size=3).map(tuple),
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(0, 1000),
    seed=st.none() | st.integers(0, 2**32 - 1),
    stop=st.lists(texts.filter(bool), max_size=4).map(tuple),
)


@given(specs)
@settings(max_examples=100, deadline=None)
def test_the_command_line_that_a_form_shows_gives_the_same_spec(spec: GenerateSpec) -> None:
    import shlex

    words = shlex.split(as_command("generate", spec))[3:]
    flags = _command(generate.KIND).make_context("generate", words).params
    fields = {name.removeprefix("field_"): value for name, value in flags.items() if name.startswith("field_")}
    told = {name: value for name, value in fields.items() if value not in (None, ())}
    assert parse_spec(GenerateSpec, told) == spec
