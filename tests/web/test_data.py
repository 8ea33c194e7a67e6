from __future__ import annotations

import io
from collections.abc import Iterator

import gradio as gr
import pytest
from starlette.testclient import TestClient

from core.client import Workbench
from core.data.preview import Previewed
from core.data.uploads import Upload
from core.data.values import Format
from core.states import State
from core.store.claims import Kept
from core.values import Job
from tests.web.previews import EVIL, WARNING, piece, previewed, row
from tests.web.test_job_view import rendered
from tests.web.test_pages import MISSING, event, request
from web import access
from web.pages.data import Data
from web.train_data import known_notes, known_rows, last_preview

ROWS = b'{"prompt": "a", "completion": "b"}\n'
FROM_HERE = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}


@pytest.fixture
def page(workbench: Workbench) -> Data:
    with gr.Blocks():
        return Data(workbench)


@pytest.fixture
def upload(workbench: Workbench) -> Upload:
    return workbench.upload(io.BytesIO(ROWS), "questions.jsonl")


def looked_at(workbench: Workbench, data: str, found: Previewed | None = None, **spec: object) -> Job:
    """A preview that has ended."""
    job = workbench.submit("preview", {"data": data, **spec})
    claim = workbench.store.claim("interactive", "w", 60)
    assert claim
    body = (found or previewed(job.spec)).model_dump(mode="json")
    workbench.store.finish(job.id, 1, State.SUCCEEDED, body, Kept(), body["text"])
    return workbench.show(job.id)


# uploads


def test_a_file_is_kept_under_an_id_with_its_name(web: TestClient, workbench: Workbench) -> None:
    answer = web.post("/uploads?name=more/que%20stions.jsonl", content=ROWS, headers=FROM_HERE)
    assert answer.status_code == 201
    assert [(one.id, one.name, one.n_bytes) for one in workbench.uploads()] == [
        (answer.json()["id"], "que stions.jsonl", len(ROWS))
    ]


def test_a_file_larger_than_other_requests_may_be_comes_whole(web: TestClient, workbench: Workbench) -> None:
    large = ROWS * 100_000
    assert len(large) > access.MAX_BODY
    answer = web.post("/uploads?name=large.jsonl", content=large, headers=FROM_HERE)
    assert (answer.status_code, workbench.uploads()[0].n_bytes) == (201, len(large))


def test_beyond_its_limit_an_upload_is_refused_in_a_sentence_and_nothing_stays(
    web: TestClient, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(access.LARGER_BODIES, "/uploads", 1_000)
    said = web.post("/uploads?name=a.jsonl", content=b"x" * 1_001, headers=FROM_HERE)
    assert (said.status_code, said.text) == (413, "A request holds at most 1,000 bytes.")

    def unsized() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    streamed = web.post("/uploads?name=a.jsonl", content=unsized(), headers=FROM_HERE)
    assert (streamed.status_code, streamed.text) == (413, "A request holds at most 1,000 bytes.")
    assert workbench.uploads() == []
    assert not [one for one in (workbench.settings.home / "uploads").iterdir() if not one.name.startswith(".")]


def test_an_empty_file_is_refused_by_its_name(web: TestClient) -> None:
    answer = web.post("/uploads?name=none.csv", content=b"", headers=FROM_HERE)
    assert (answer.status_code, answer.text) == (400, "none.csv is empty.")


def test_another_site_can_upload_nothing(web: TestClient, workbench: Workbench) -> None:
    evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert web.post("/uploads?name=a.jsonl", content=ROWS, headers=evil).status_code == 403
    assert workbench.uploads() == []


def test_only_uploads_may_be_large(web: TestClient) -> None:
    body = b"x" * (access.MAX_BODY + 1)
    assert web.post("/gradio_api/run/x", content=body, headers=FROM_HERE).status_code == 413
    assert web.post("/uploads/x", content=ROWS, headers=FROM_HERE).status_code == 404


# the page


def test_the_list_has_uploads_and_what_is_built_in_with_what_was_counted(
    page: Data, workbench: Workbench, upload: Upload
) -> None:
    listed = page.open(event(), request())[0]["sets"]
    assert listed.index("questions.jsonl") < listed.index("reviews-preferences")
    assert ">424<" not in listed
    looked_at(workbench, upload.id)
    assert "<td>12</td><td>424</td>" in page.open(event(), request())[0]["sets"]


def test_one_data_set_shows_the_last_preview_of_it(page: Data, workbench: Workbench, upload: Upload) -> None:
    first = page.open(event(name=upload.id), request())[0]
    assert (first["job"], "questions.jsonl" in first["ask"]) == ("", True)
    looked_at(workbench, upload.id)
    job = looked_at(workbench, upload.id, max_length=48)
    again = page.open(event(name=upload.id), request())[0]
    assert again["job"] == job.id
    assert 'value="48"' in again["ask"]
    assert page.open(event(job=job.id), request())[0] == again
    assert "no job" in page.open(event(job=MISSING), request())[1]


def test_a_preview_is_asked_for_with_a_mapping_by_hand(page: Data, workbench: Workbench) -> None:
    asked = event(name="reviews", max_length="1,024", text_template="{text}!", data_format="text", key="k")
    job = workbench.show(page.preview(asked, request())[0]["job"])
    found = {name: job.spec[name] for name in ("data", "max_length", "text_template", "data_format")}
    assert found == {"data": "reviews", "max_length": 1024, "text_template": "{text}!", "data_format": "text"}
    for wrong in ({"max_length": "many"}, {"text_template": "{"}, {"name": ""}):
        refused = page.preview(event(**{"name": "reviews", "key": str(wrong), **wrong}), request())
        assert 'role="alert"' in refused[1]


def test_an_upload_can_be_forgotten(page: Data, workbench: Workbench, upload: Upload) -> None:
    assert "questions.jsonl" not in page.remove(event(upload=upload.id), request())[0]["sets"]
    assert workbench.uploads() == []
    assert 'role="alert"' in page.remove(event(upload="../x"), request())[1]


# what a preview found


def test_a_preview_shows_rows_lengths_bad_rows_and_the_first_batch(workbench: Workbench) -> None:
    shown = rendered(workbench, looked_at(workbench, "reviews", max_length=48).id)["preview"]
    assert '<span class="off special">&lt;|im_start|&gt;</span>' in shown
    assert '<span class="on special">&lt;|im_end|&gt;</span>' in shown
    assert "3 rows lose 36 tokens behind 48" in shown
    assert "max_length 48" in shown
    assert '<td>7</td><td class="left">is no JSON: a quote is missing</td>' in shown
    assert '<i>1</i><i>11</i><i class="on">12</i><i class="on">2</i>' in shown
    assert '<i>1</i><i class="on">13</i><i class="pad">·</i>' in shown
    assert WARNING in shown
    assert "&lt;img src=x" in shown
    assert EVIL not in shown


def test_a_preview_of_preferences_shows_both_answers_with_their_tokens(workbench: Workbench) -> None:
    other = (piece("<|im_start|>", False, True), piece("Is it good?\n", False), piece("No, not at all", True))
    both = row(1).model_copy(update={"rejected": other, "n_rejected_tokens": 31})
    found = previewed({"data": "reviews-preferences"}, rows=(both,), format=Format.PREFERENCE, n_endless=11)
    shown = rendered(workbench, looked_at(workbench, "reviews-preferences", found).id)["preview"]
    assert "<b>Chosen</b> · 25 tokens with the prompt" in shown
    assert "<b>Rejected</b> · 31 tokens with the prompt" in shown
    assert '<span class="on">No, not at all</span>' in shown
    assert "Answers with their prompts by tokens" in shown
    assert "No label ends a text: the model will not learn to stop." in shown


def test_a_chat_template_is_chosen_for_a_preview(page: Data, workbench: Workbench) -> None:
    asked = event(name="reviews", chat_template="plain", key="templated")
    job = workbench.show(page.preview(asked, request())[0]["job"])
    assert job.spec["chat_template"] == "plain"
    assert "<option selected>plain</option>" in page.open(event(job=job.id), request())[0]["ask"]


def test_a_preview_in_a_form_is_short_and_leads_to_the_whole(workbench: Workbench) -> None:
    job = looked_at(workbench, "reviews")
    short = rendered(workbench, job.id)["preview_short"]
    assert short.count("shown-row") == 3  # the box and two rows
    assert f'href="/data?job={job.id}"' in short
    assert EVIL not in short


def test_rows_are_known_from_a_preview_of_the_same_alone(workbench: Workbench) -> None:
    from core.jobs.sft import SftSpec

    def rows(**fields: object) -> int:
        return known_rows(workbench, SftSpec.model_validate({"data": "reviews", **fields}))

    assert rows() == 0
    looked_at(workbench, "reviews")
    assert (rows(), rows(max_rows=5), rows(data_format="text"), rows(data="reviews-graded")) == (12, 5, 0, 0)
    found = last_preview(workbench, "reviews")
    assert found
    assert found.spec["data"] == "reviews"


def test_the_card_of_a_training_says_what_a_preview_of_the_same_found_of_its_labels(workbench: Workbench) -> None:
    from core.jobs.sft import SftSpec

    usual = SftSpec(data="reviews", max_length=48)
    assert known_notes(workbench, usual) == ()
    found = previewed({"data": "reviews"}, n_endless=11)
    looked_at(workbench, "reviews", found, max_length=48)
    assert known_notes(workbench, usual) == ("No label ends a text: the model will not learn to stop.",)
    assert known_notes(workbench, usual.model_copy(update={"max_length": 49})) == ()
