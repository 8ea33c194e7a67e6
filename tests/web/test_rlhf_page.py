from __future__ import annotations

import json
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from core.client import Workbench, artifact_folder
from core.format import MINUS
from core.ids import new_id
from core.jobs.rlhf import RlhfSpec
from core.spec import parse_spec
from core.states import State
from core.store.claims import Kept
from core.training.rewards import parse_reward
from core.training.rlhf_presets import RLHF_PRESETS
from core.values import ArtifactKind, ArtifactRef, Job, ModelInfo, Origin, Role
from tests.web import rewarded, scored, shelf
from tests.web.test_job_view import rendered
from tests.web.test_pages import event, request
from tests.web.test_train import report, shown
from web.app import build_app
from web.artifact_view import render as render_artifact
from web.models_look import look
from web.models_view import render_places
from web.pages.train import Train
from web.rewards_here import reward_offers
from web.train_kinds import REWARD, RLHF, TRAIN_KINDS, TrainKind
from web.train_rewards import rows_of, written

EVIL = "<img src=x onerror=alert(1)>"
MADE_UP = {"rlhf": rewarded, "reward": scored}


@pytest.fixture
def page(workbench: Workbench) -> Train:
    with gr.Blocks():
        return Train(workbench, RLHF)


def held(page: Train, **fields: Any) -> dict[Any, Any]:
    whole = parse_spec(page._trained.spec, fields).model_dump(mode="json")
    return {control.component: control.show(whole[control.name]) for control in page.form} | {page.view: {"job": ""}}


def run_of(workbench: Workbench, kind: str, step: int = 60, **spec: Any) -> Job:
    job = workbench.submit(kind, spec)
    assert workbench.store.claim("batch", "w", 60)
    made_up = MADE_UP[kind]
    workbench.store.keep(job.id, 1, Kept(metrics=made_up.metrics(step)))
    workbench.store.keep_result(job.id, 1, made_up.result(step).model_dump(mode="json"))
    return job


def finish(workbench: Workbench, job: Job, **changes: Any) -> ArtifactRef:
    kind = ArtifactKind.REWARD if job.kind == "reward" else ArtifactKind.ADAPTER
    made = ArtifactRef(id=new_id(), kind=kind, name=str(kind), n_bytes=9)
    folder = artifact_folder(workbench.settings.home, made.id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"id2label": {"0": "negative", "1": "positive"}}')
    workbench.store.add_artifact(job.id, 1, made)
    body = MADE_UP[job.kind].result(**changes).model_dump(mode="json")
    workbench.store.finish(job.id, 1, State.SUCCEEDED, body, Kept())
    return made


def charts_of(parts: dict[str, str]) -> dict[str, Any]:
    return {chart["id"]: chart for chart in json.loads(parts["curves"])["charts"]}


# the form


@pytest.mark.parametrize("kind", TRAIN_KINDS, ids=lambda one: one.name)
def test_every_field_of_a_kind_is_asked_once_or_left_out_for_a_reason(workbench: Workbench, kind: TrainKind) -> None:
    with gr.Blocks():
        made = Train(workbench, kind)
    names = [control.name for control in made.form]
    assert sorted([*names, *kind.left_out]) == sorted(kind.spec.model_fields)


@pytest.mark.parametrize(
    "text",
    [
        "lexicon", "lexicon*0.5", "length:20", "words:good,great*-1", "model:ana/judge",
        "model:ana/judge,label=positive",
        "model:/srv/a model,label=1 star,scale=probability*2",
    ],
)  # fmt: skip
def test_a_reward_becomes_a_row_and_the_same_text_again(text: str) -> None:
    (row,) = rows_of([text])
    assert parse_reward(written(row)) == parse_reward(text)
    assert written(row) == text


def test_what_a_row_lacks_is_said_by_the_spec(page: Train) -> None:
    rewards = page._component("rewards")
    for row, words in (
        ({"sort": "model"}, "which model?"),
        ({"sort": "length", "argument": "many"}, "how many words?"),
        ({"sort": "lexicon", "weight": "much"}, "much is no weight"),
        ({"sort": EVIL}, "is no reward"),
    ):
        said = page.follow(held(page) | {rewards: {"rows": [row]}}, request())[1]
        assert words in said
        assert "<img" not in said
    for nonsense in (None, {"rows": 3}, {"rows": [7]}, [EVIL]):
        assert "needs a reward" in page.follow(held(page) | {rewards: nonsense}, request())[1]


def test_what_the_editor_holds_is_what_is_submitted(page: Train, workbench: Workbench) -> None:
    asked = {"rewards": ["lexicon", "length:20*0.5"], "held_out_reward": "words:good", "algorithm": "grpo"}
    job = workbench.show(page.send(held(page, **asked), event(key="k"), request())[0]["job"])
    assert job.kind == "rlhf"
    assert job.spec == parse_spec(RlhfSpec, asked).model_dump(mode="json")


def test_answers_that_do_not_divide_a_step_are_said_at_once(page: Train) -> None:
    said = page.follow(held(page) | {page._component("num_generations"): 3}, request())
    assert "A step has 16 answers" in said[1]
    assert "num_generations 3 does not divide" in said[1]


def test_the_card_says_how_it_learns_from_what_and_what_ends_it(page: Train, workbench: Workbench) -> None:
    report(workbench)
    asked = {"rewards": ["lexicon", "words:good*0.5"], "held_out_reward": "length:9", "judge_data": "reviews-labelled"}
    said = page.follow(held(page, **asked, max_prompt_length=32), request())[1]
    for words in (
        "each prompt is answered 4 times",
        "kind words by the lexicon; the words good, times 0.5",
        "answers of 9 words",
        "ends at 2 nats a token from the reference",
        "64 held-out prompts, judged by what reviews-labelled teaches",
        "16 answers to 4 prompts a step, of at most 32 tokens",
        "with its adapter off: it takes no memory",
        "predicted peak",
        "Ready.",
    ):
        assert words in said, words


def test_preferences_are_asked_for_where_nothing_is_answered(page: Train, workbench: Workbench) -> None:
    report(workbench)
    assert (
        "dpo learns from preferences, which reviews has none of"
        in page.follow(held(page, algorithm="dpo"), request())[1]
    )
    said = page.follow(held(page, algorithm="dpo", data="reviews-preferences"), request())[1]
    assert "no answers are made" in said
    assert "16 pairs a step" in said
    assert "Rewards" not in said


def test_a_reward_of_the_address_is_filled_in_with_its_judge(page: Train) -> None:
    asked = {"reward": "model:X,label=positive", "judge_data": "reviews-labelled", "judge_share": "0.5"}
    filled = shown(page, page.open(event(**asked), request()))
    assert [written(row) for row in filled["rewards"]["rows"]] == ["model:X,label=positive"]
    assert filled["judge_share"] == 0.5
    assert filled["held_out_reward"].keys() == {"offers"}  # what stands there stays
    broken = shown(page, page.open(event(reward=EVIL, judge_share=EVIL), request()))
    assert broken["rewards"]["rows"][0]["argument"] == EVIL


def test_a_job_of_another_kind_opens_in_the_form_of_its_kind(page: Train, workbench: Workbench) -> None:
    job = workbench.submit("reward", {"r": 4})
    assert page.open(event(like=job.id), request())[0] == {"go": f"/train?kind=reward&like={job.id}"}
    same = workbench.submit("rlhf", {"rewards": ["length:7"]})
    filled = shown(page, page.open(event(like=same.id), request()))
    assert [written(row) for row in filled["rewards"]["rows"]] == ["length:7"]


def test_a_preset_fills_rewards_in(page: Train) -> None:
    filled = shown(page, page.fill(event(name=RLHF_PRESETS[2].name), request()))
    assert filled["rewards"]["rows"][0]["label"] == "POSITIVE"
    assert [written(row) for row in filled["held_out_reward"]["rows"]] == ["lexicon"]


def test_each_kind_has_its_page_at_one_address(workbench: Workbench) -> None:
    with TestClient(build_app(workbench), base_url="http://127.0.0.1") as browser:
        for kind in TRAIN_KINDS:
            answer = browser.get(f"/train?kind={kind.name}")
            assert answer.status_code == 200
            assert f'data-kind=\\"{kind.name}\\"' in answer.text
        assert 'data-kind=\\"sft\\"' in browser.get("/train?kind=<b>").text
        assert browser.get("/train-rlhf").status_code == 404


# the run


def test_a_run_shows_its_rewards_and_its_ceiling_and_marks_its_alarms(workbench: Workbench) -> None:
    job = run_of(workbench, "rlhf", 50, max_kl=1.5)
    parts = rendered(workbench, job.id)
    drawn = charts_of(parts)
    names = [one["name"] for one in drawn["reward"]["series"]]
    assert names == ["what it learns from", "held out, only watched", "lexicon", "length 12"]
    assert [mark["step"] for mark in drawn["reward"]["marks"]] == [24, 41]
    assert drawn["kl"]["ceiling"] == 1.5
    assert {"reward_std", "entropy", "completion_length", "clipped", "distinct"} <= drawn.keys()
    assert not any(name.startswith("train-reward") for name in drawn)  # each part has its curve
    assert "2 alarms" in parts["train_alarms"]
    assert 'data-see="24"' in parts["train_alarms"]
    assert "The reference, before any training" in parts["train_tries"]
    assert parts["train_standing"] == ""
    assert "step 50" in rendered(workbench, job.id)["train_tries"].lower()


def test_a_run_that_a_guard_ended_says_which(workbench: Workbench) -> None:
    job = run_of(workbench, "rlhf", 50)
    finish(workbench, job, stopped_by="one word")
    assert rendered(workbench, job.id)["train_alarms"].count("This ended the run") == 1


def test_a_run_that_has_ended_sets_before_beside_after(workbench: Workbench) -> None:
    job = run_of(workbench, "rlhf")
    adapter = finish(workbench, job)
    parts = rendered(workbench, job.id)
    table = parts["train_standing"]
    for words in (
        "49 %",
        "37 % to 61 %",
        "84 %",
        "+35 points",
        "held out: only watched",
        f"{MINUS}42",
        "The intervals lie apart",
    ):
        assert words in table, words
    assert "3,900 rows of reviews-labelled" in table
    assert "Positive answers 49 % → 84 %" in parts["result"]
    assert f"adapter={adapter.id}" in parts["result"]
    assert f"/train?kind=rlhf&amp;like={job.id}" in parts["result"]
    assert 'data-do="merge"' in parts["result"]


def test_what_did_not_change_has_no_sign(workbench: Workbench) -> None:
    job = run_of(workbench, "rlhf")
    finish(workbench, job, after=rewarded.standing(is_after=False))
    table = rendered(workbench, job.id)["train_standing"]
    assert "+0" not in table
    assert "<td>0 points</td>" in table
    assert "The intervals overlap" in table


def test_what_strangers_wrote_into_a_run_stays_text(workbench: Workbench) -> None:
    job = run_of(workbench, "rlhf")
    alarms = (rewarded.ALARMS[0].model_copy(update={"sign": EVIL, "message": EVIL}),)
    after = rewarded.standing(is_after=True).model_copy(update={"said": (EVIL,), "rewards": {EVIL: 1.0, "b": 2.0}})
    before = rewarded.standing(is_after=False).model_copy(update={"said": (EVIL,), "rewards": {EVIL: 0.0, "b": 2.0}})
    tries = tuple(one.model_copy(update={"prompt": EVIL, "completion": EVIL}) for one in rewarded.tries(10))
    changes = {
        "alarms": alarms,
        "after": after,
        "before": before,
        "tries": tries,
        "prompts": (EVIL,),
        "rewards": (EVIL,),
    }
    finish(workbench, job, **changes)
    parts = rendered(workbench, job.id)
    for name in ("train_alarms", "train_standing", "train_tries", "train_facts"):
        assert "&lt;img" in parts[name], name
        assert "<img" not in parts[name], name


def test_runs_of_one_kind_are_laid_over_each_other_by_what_they_came_to(page: Train, workbench: Workbench) -> None:
    one, other = run_of(workbench, "rlhf"), run_of(workbench, "reward")
    third = run_of(workbench, "rlhf", 20)
    said = page.lay_over(event(jobs=f"{one.id},{other.id}"), request())["html"]
    assert "only those of one kind can be compared" in said
    found = page.lay_over(event(jobs=f"{one.id},{third.id}", n=1), request())
    assert [chart["id"] for chart in found["curves"]["charts"]][:3] == ["reward", "held_out_reward", "kl"]
    assert "Different word pairs" in found["html"]


# a reward


def test_a_reward_says_how_well_it_tells_and_is_used_from_there(workbench: Workbench) -> None:
    job = run_of(workbench, "reward", eval_share=0.5, min_chars=40)
    made = finish(workbench, job)
    parts = rendered(workbench, job.id)
    assert [one["name"] for one in charts_of(parts)["accuracy"]["series"]] == ["training", "held out"]
    for words in ("87.0 % of 3,900 held-out rows told right", "51.0 % before training", "0.940", "Yes: loaded again"):
        assert words in parts["train_told"], words
    link = f"/train?kind=rlhf&amp;reward=model%3A{made.id}%2Clabel%3Dpositive&amp;judge_data=reviews-labelled"
    assert f"{link}&amp;judge_share=0.5&amp;judge_label=positive&amp;min_chars=40" in parts["result"]
    shown_artifact = render_artifact(workbench, made.id)
    assert "A reward: a model that scores answers" in shown_artifact
    assert "Use as reward" in shown_artifact
    assert "Yes: loaded again" in shown_artifact


def test_only_a_proven_reward_is_offered(workbench: Workbench) -> None:
    made = []
    for is_proven in (True, False):
        proof = scored.result().proof
        assert proof
        why = "" if is_proven else f"{EVIL} it gives other scores."
        job = run_of(workbench, "reward")
        changes = {"is_proven": is_proven, "proof": proof.model_copy(update={"why_not": why})}
        made.append(finish(workbench, job, **changes))
    parts = rendered(workbench, job.id)
    assert "No: &lt;img" in parts["train_told"]
    assert "Use as reward" not in parts["result"]
    names = [*(one.id for one in made), "ana/judge"]
    usual: dict[str, Any] = {"role": Role.CLASSIFIER, "n_bytes": 5}
    shelf.fill(workbench, tuple(ModelInfo(name=name, origin=Origin.ARTIFACT, **usual) for name in names))
    offers = {one.value: one for one in reward_offers(workbench)}
    assert offers.keys() == {made[0].id, "ana/judge"}
    assert offers[made[0].id].labels == ("negative", "positive")
    places = render_places(look(workbench))
    assert places.count("Use as reward") == 2
    assert f"reward=model%3A{made[0].id}%2Clabel%3Dpositive" in places


def test_a_run_names_the_rewards_that_it_learned_from(workbench: Workbench) -> None:
    reward = finish(workbench, run_of(workbench, "reward"))
    job = run_of(workbench, "rlhf", rewards=[f"model:{reward.id},label=positive"], held_out_reward="lexicon")
    said = render_artifact(workbench, finish(workbench, job).id)
    assert f'<span class="soft">rewarded by</span> <a href="/artifacts?id={reward.id}">' in said


def test_the_form_of_a_reward_says_what_it_learns(workbench: Workbench) -> None:
    with gr.Blocks():
        form = Train(workbench, REWARD)
    report(workbench)
    said = form.follow(held(form, task="labels"), request())
    assert "workbench submit reward --task labels" in said[0]
    assert "to tell labels: a classifier" in said[1]
    assert "Ready." in said[1]
    refused = form.follow(held(form) | {form._component("dtype"): {"is": "nf4"}}, request())
    assert "cannot be merged into" in refused[1]
