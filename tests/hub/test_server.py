"""The tests' own Hub speaks the Hub's language: the Hub's library, which knows nothing of us, is served by it too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.conftest import NAME, SHARDS
from tests.hub.server import Hub

ASK = """
import json, sys
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
name, kind = sys.argv[1:]
api = HfApi()
info = api.repo_info(name, repo_type=kind, files_metadata=True)
folder = snapshot_download(name, repo_type=kind)
file = hf_hub_download(name, "README.md", repo_type=kind, revision=info.sha)
found = [each.id for each in (api.list_models if kind == "model" else api.list_datasets)(search="tiny")]
print(json.dumps([info.sha, sorted(each.rfilename for each in info.siblings), folder, file, found]))
"""


def ask(hub: Hub, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ours = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | ours
    command = [sys.executable, "-c", ASK, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_the_hubs_own_library_is_served(hub: Hub, repository: Path, tmp_path: Path, kind: str) -> None:
    hub.add(NAME, repository, kind=f"{kind}s")
    done = ask(hub, tmp_path, NAME, kind)
    assert done.returncode == 0, done.stderr
    commit, names, folder, file, found = json.loads(done.stdout)
    assert commit == hub.repositories[f"{kind}s", NAME].commit
    assert sorted(path.name for path in repository.iterdir()) == names
    assert (Path(folder) / SHARDS[0]).read_bytes() == (repository / SHARDS[0]).read_bytes()
    assert Path(file).read_text() == (repository / "README.md").read_text()
    assert found == [NAME]


def test_its_refusals_are_the_hubs(hub: Hub, repository: Path, tmp_path: Path) -> None:
    hub.add("meta/gated", repository, gated=True)
    assert "GatedRepoError" in ask(hub, tmp_path, "meta/gated", "model").stderr
    assert "RepositoryNotFoundError" in ask(hub, tmp_path, "no/such", "model").stderr
