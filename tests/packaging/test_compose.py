"""The compose files, read as YAML: no engine runs where these tests do, so what they start is not proven here."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.cli import run, workbench
from core.modes import unsafe
from core.settings import Settings
from tests.support import ROOT

OURS = ("web", "worker", "migrate")
SECRET = re.compile(r"\$\{(POSTGRES_PASSWORD|REDIS_PASSWORD|WORKBENCH_SECRET):\?[^}]+\}")


class _Reset:
    """What `!reset` stands for: the value of the first file is taken away."""


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!reset", lambda loader, node: _Reset())


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((ROOT / name).read_text(), _Loader)
    return found


SERVICES: dict[str, Any] = _read("docker-compose.yml")["services"]
CPU: dict[str, Any] = _read("docker-compose.cpu.yml")["services"]


def test_only_the_page_is_published_and_to_this_machine_alone() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["127.0.0.1:7860:7860"]
    }
    assert not any("network_mode" in service or "expose" in service for service in SERVICES.values())


def test_no_password_stands_in_a_file_and_a_missing_one_is_said() -> None:
    given = [pair for service in SERVICES.values() for pair in service["environment"].items()]
    secret = [value for name, value in given if name.endswith(("PASSWORD", "AUTH", "SECRET"))]
    in_urls = [value.partition("//")[2].rpartition("@")[0].partition(":")[2] for _, value in given if "//" in value]
    assert len(secret) == 3
    assert len(in_urls) == 6
    assert all(SECRET.fullmatch(value) for value in secret + in_urls)
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line[:1].isalpha()
    )
    assert example == {"WORKBENCH_SECRET": "", "POSTGRES_PASSWORD": "", "REDIS_PASSWORD": ""}


def test_a_command_writes_the_secrets_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    written = tmp_path / ".env"
    assert run(["secrets", "--to", str(written)]) == 0
    assert written.stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in written.read_text().splitlines() if line[:1].isalpha())
    assert values.keys() == {"WORKBENCH_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert len(set(values.values())) == 3
    assert all(re.fullmatch(r"[\w-]{40,}", value) for value in values.values()), "they become part of URLs"
    before = written.read_bytes()
    assert run(["secrets", "--to", str(written)]) == 2
    assert written.read_bytes() == before


def test_it_is_a_team_s_and_its_page_is_safe_to_start() -> None:
    page = SERVICES["web"]["environment"]
    assert {SERVICES[name]["environment"]["WORKBENCH_MODE"] for name in OURS} == {"team"}
    given = {"mode": page["WORKBENCH_MODE"], "host": page["WORKBENCH_HOST"]}
    assert list(unsafe(Settings(**given, secret="x" * 43))) == []
    assert [one.reason for one in unsafe(Settings(**given))]


@pytest.mark.parametrize("name", OURS)
def test_each_service_runs_a_command_that_exists(name: str) -> None:
    program, command = SERVICES[name]["command"]
    assert program == "workbench"
    assert command in workbench.commands


@pytest.mark.parametrize("name", OURS)
def test_each_service_is_given_settings_that_exist(name: str) -> None:
    settings = {f"WORKBENCH_{field.upper()}" for field in Settings.model_fields}
    assert SERVICES[name]["environment"].keys() - {"HF_TOKEN"} <= settings
    assert {"WORKBENCH_DATABASE_URL", "WORKBENCH_REDIS_URL"} <= SERVICES[name]["environment"].keys()


def test_the_page_listens_inside_its_container_and_the_settings_name_a_psycopg_database() -> None:
    page = SERVICES["web"]["environment"]
    url = re.sub(r"\$\{[^}]*\}", "x", page["WORKBENCH_DATABASE_URL"])
    settings = Settings(host=page["WORKBENCH_HOST"], database_url=url)
    assert settings.host == "0.0.0.0"
    assert settings.database == "postgresql+psycopg://workbench:x@postgres:5432/workbench"


def test_everything_waits_for_the_tables_and_the_tables_for_the_database() -> None:
    for name in ("web", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert SERVICES[name]["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["restart"] == "no"


def test_a_worker_takes_a_card_and_with_the_override_takes_none() -> None:
    (device,) = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert isinstance(CPU["worker"]["deploy"], _Reset)
    assert CPU["worker"]["build"]["args"]["TORCH_INDEX"].endswith("/cpu")


def test_what_must_outlive_a_container_lies_in_a_named_volume() -> None:
    named = _read("docker-compose.yml")["volumes"].keys()
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert used == named
    assert SERVICES["web"]["volumes"] == SERVICES["worker"]["volumes"] == ["home:/data"]


def test_the_images_are_built_for_their_targets_and_run_as_nobody_special() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL))
    assert {SERVICES[name]["build"]["target"] for name in OURS} == {"web", "worker"}
    assert {"web", "worker"} <= stages.keys()
    assert re.search(r"^USER (?!root)\w+", stages["runtime"], re.MULTILINE)
    assert not re.search(r"^USER ", stages["web"] + stages["worker"], re.MULTILINE)
    assert all("HEALTHCHECK" in stages[name] for name in ("web", "worker"))
    assert "torch" not in stages["web-builder"]
    assert {SERVICES[name]["user"] for name in ("redis", "postgres")} == {"valkey", "postgres"}
    assert all("healthcheck" in SERVICES[name] for name in ("redis", "postgres"))


def test_the_worker_says_whether_it_is_well(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.store import Store
    from core.store.workers import WorkerInfo
    from worker import healthy

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    store = Store.open(sqlite_url)
    assert healthy.main() == 1
    for queue in ("interactive", "batch"):
        report = WorkerInfo(f"{queue}@here", queue, socket.gethostname(), 1, "a card", "gpu", 2, 1, 1)
        assert healthy.main() == 1
        store.report_worker(report, lease_s=30)
    assert healthy.main() == 0
    store.close()


def test_the_worker_alone_gets_the_token_of_the_hub() -> None:
    assert [name for name, service in SERVICES.items() if "HF_TOKEN" in service["environment"]] == ["worker"]
