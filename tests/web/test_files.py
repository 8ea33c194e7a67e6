from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from core.access import Who
from core.client import Workbench, artifact_folder
from core.errors import NotFound
from core.ids import new_id
from core.states import State
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Job, Visibility
from tests.web.comparisons import comparison
from tests.web.test_job_view import rendered

PAGE = "<!doctype html><script>alert(1)</script>"


def made(workbench: Workbench, visibility: Visibility = Visibility.TEAM) -> tuple[Job, ArtifactRef, Path]:
    """A job that has made two files, and its folder."""
    job = workbench.submit("quick", {"text": "a"}, visibility=visibility)
    workbench.store.claim("interactive", "w", 60)
    artifact = ArtifactRef(id=new_id(), kind=ArtifactKind.REPORT, name="comparison", n_bytes=9)
    folder = artifact_folder(workbench.settings.home, artifact.id)
    (folder / "more").mkdir(parents=True)
    (folder / "report.html").write_text(PAGE)
    (folder / "more" / "a b.json").write_text("{}")
    workbench.store.add_artifact(job.id, 1, artifact)
    return job, artifact, folder


def test_a_file_of_a_job_is_saved_and_never_shown_with_our_rights(workbench: Workbench, web: TestClient) -> None:
    _, artifact, _ = made(workbench)
    answer = web.get(f"/files/{artifact.id}/report.html")
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-disposition"] == 'attachment; filename="report.html"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert web.get(f"/files/{artifact.id}/more/a%20b.json").json() == {}
    assert web.head(f"/files/{artifact.id}/report.html").headers["content-length"] == str(len(PAGE))


def test_no_name_leads_out_of_the_folder(workbench: Workbench, web: TestClient) -> None:
    _, artifact, folder = made(workbench)
    (folder.parent / "hidden").write_text("kept from you")
    (folder / "link").symlink_to(folder.parent / "hidden")
    (folder / "folder").symlink_to(folder.parent)
    names = ("../hidden", "%2e%2e/hidden", "..%2fhidden", "more/..%2f..%2fhidden", "link", "folder/hidden", "more", "")
    for name in (*names, "/etc/passwd", f"{folder.parent}/hidden", "report.html%00"):
        answer = web.get(f"/files/{artifact.id}/{name}", follow_redirects=False)
        assert answer.status_code == 404, name
        assert "kept from you" not in answer.text, name


def test_what_is_not_here_is_said_in_a_sentence(workbench: Workbench, web: TestClient) -> None:
    _, artifact, folder = made(workbench)
    assert web.get(f"/files/{artifact.id}/x").text == "This artifact has no file of that name."
    for wrong in (new_id(), "..", "x" * 5_000):
        assert web.get(f"/files/{wrong}/report.html").status_code == 404
    folder.rename(folder.with_name("elsewhere"))
    gone = web.get(f"/files/{artifact.id}/report.html")
    assert (gone.status_code, gone.text) == (404, "The files of this artifact are not on this machine.")


def test_a_private_job_s_files_are_its_owner_s(workbench: Workbench) -> None:
    job, artifact, _ = made(workbench, Visibility.PRIVATE)
    assert workbench.artifact(artifact.id)[0].id == job.id
    with pytest.raises(NotFound) as refused:
        workbench.acting_for(Who("somebody else")).artifact(artifact.id)
    assert job.id not in str(refused.value)
    assert refused.value.message == f"There is no artifact {artifact.id}."


def test_another_site_cannot_have_a_file_fetched(workbench: Workbench, web: TestClient) -> None:
    _, artifact, _ = made(workbench)
    asked = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert web.get(f"/files/{artifact.id}/report.html", headers=asked).status_code == 403


def test_a_job_s_page_links_to_each_of_its_files_and_says_where_there_are_none(workbench: Workbench) -> None:
    job, artifact, folder = made(workbench)
    (folder / "<b>.txt").write_text("")
    shown = rendered(workbench, job.id)["files"]
    for name in ("report.html", "more/a%20b.json", "%3Cb%3E.txt"):
        assert f'href="/files/{artifact.id}/{name}" download' in shown
    assert "<b>.txt" not in shown
    folder.rename(folder.with_name("elsewhere"))
    assert "its files are not on this machine" in rendered(workbench, job.id)["files"]


def test_a_comparison_offers_its_report_beside_what_it_says(workbench: Workbench) -> None:
    job = workbench.submit("compare", {})
    workbench.store.claim("batch", "w", 60)
    artifact = ArtifactRef(id=new_id(), kind=ArtifactKind.REPORT, name="comparison", n_bytes=9)
    folder = artifact_folder(workbench.settings.home, artifact.id)
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(PAGE)
    workbench.store.add_artifact(job.id, 1, artifact)
    workbench.store.finish(job.id, 1, State.SUCCEEDED, comparison().model_dump(mode="json"), Kept())
    said = rendered(workbench, job.id)["result"]
    assert f'href="/files/{artifact.id}/report.html" download>Report to read</a>' in said
