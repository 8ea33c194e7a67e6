"""Comparisons with real workers, real processes for each variant, and tiny real models."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.client import Workbench, scratch_folder
from core.comparison.judge import Loss, loss_of
from core.comparison.sentences import headlines
from core.comparison.values import Comparison, VariantResult, VariantState
from core.errors import BadInput
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from core.states import State
from core.values import Job
from tests.llm.test_adapters import make_adapter
from tests.llm.tiny import N_TOKENS, tiny_model, word_tokenizer
from tests.queue.test_life import worker
from tests.support import eventually

WORDS = random.Random(0)
TEXT = " ".join(f"w{WORDS.randrange(2, N_TOKENS)}" for _ in range(200))
QUICK: dict[str, Any] = {
    "prompts": ["w5 w6 w7"],
    "mode": "completion",
    "max_new_tokens": 4,
    "eval_own": TEXT,
    "eval_tokens": 128,
    "window": 32,
    "context_lengths": [16, 64],
    "batch_sizes": [1, 2],
    "repeats": 2,
}


WIDER: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 16}
PATIENCE_S = 300.0


def make_model(folder: Path, **changes: Any) -> str:
    tiny_model("llama", **WIDER, **changes).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several processes compute here at once, on tiny models: more threads would only keep other tests waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def settings_for(home: Path, redis_server: str, **further: Any) -> Settings:
    settings = Settings(
        home=home, redis_url=redis_server, redis_prefix=f"wbtest-{new_id()}", preload=False, lease_s=3, sweep_s=0.3,
        **further,
    )  # fmt: skip
    migrate(settings.database)
    return settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Workbench]:
    """With a worker that takes comparisons."""
    settings = settings_for(tmp_path_factory.mktemp("home"), redis_server)
    opened = Workbench.open(settings)
    with worker(settings, "batch"):
        yield opened
    opened.close()


def ended(client: Workbench, job: Job) -> Job:
    """Each variant's process takes seconds to import what it needs, more on a busy machine."""
    return eventually(lambda: (found := client.show(job.id)).state.is_finished and found, PATIENCE_S)  # type: ignore[return-value]


def compared(client: Workbench, model: str, *variants: str, **fields: Any) -> tuple[Job, Comparison]:
    job = ended(client, client.submit("compare", {"model": model, "variants": list(variants), **QUICK, **fields}))
    assert job.error is None, job.error
    return job, read(job)


def read(job: Job) -> Comparison:
    body = job.result or {}
    return Comparison.model_validate({name: body[name] for name in Comparison.model_fields if name in body})


def one(comparison: Comparison, name: str) -> VariantResult:
    return next(each for each in comparison.variants if each.name == name)


@pytest.fixture(scope="module")
def ladder(client: Workbench, model: str) -> tuple[Job, Comparison]:
    return compared(client, model, "fp32,bf16,int8,nf4")


def test_a_comparison_measures_every_variant_the_same_way(ladder: tuple[Job, Comparison]) -> None:
    job, found = ladder
    assert (job.state, found.reference) == (State.SUCCEEDED, "float32")
    assert [(each.name, each.state) for each in found.variants] == [
        (name, VariantState.SUCCEEDED) for name in ("float32", "bfloat16", "int8", "nf4")
    ]
    for each in found.variants:
        assert each.reason == each.quality_why_not == ""
        assert each.weights_bytes.measured == each.weights_bytes.predicted
        assert each.peak_bytes.measured
        assert [point.context for point in each.prefill] == [16, 64]
        assert [point.batch for point in each.decode] == [1, 2]
        assert all(point.tokens_per_s and point.tokens_per_s.n == 2 for point in each.decode)
        assert each.tokens_per_s
        assert each.time_to_first_token_s
        assert each.perplexity
        assert each.perplexity.low < each.perplexity.value < each.perplexity.high
        assert [output.prompt for output in each.samples] == ["w5 w6 w7"]
        assert len(each.samples[0].greedy.split()) == 4


def test_the_others_are_held_against_the_reference(ladder: tuple[Job, Comparison]) -> None:
    found = ladder[1]
    assert one(found, "float32").kl_mean is None
    losses = [one(found, name).kl_mean or 0 for name in ("bfloat16", "int8", "nf4")]
    assert 0 < losses[0] < losses[2]
    assert losses[1] < losses[2]
    assert one(found, "nf4").speed_ratio
    assert found.noise
    assert found.noise.kl_mean < losses[0]
    assert found.recommendation
    assert "float32's memory" in found.text


def test_the_weights_of_packed_variants_are_compared_too(ladder: tuple[Job, Comparison]) -> None:
    found = ladder[1]
    assert one(found, "float32").layers == ()
    errors = {name: one(found, name).layers for name in ("int8", "nf4")}
    assert {len(layers) for layers in errors.values()} == {14}
    assert all(0.06 < layer.relative < 0.12 for layer in errors["nf4"])
    assert all(layer.relative < 0.02 and layer.outlier_columns is not None for layer in errors["int8"])


def test_what_a_program_reads_of_it(ladder: tuple[Job, Comparison]) -> None:
    body = json.loads(ladder[0].model_dump_json())["result"]
    variant = body["variants"][3]
    assert body["reference"] == "float32"
    assert body["recommendation"]["variant"]
    assert (variant["name"], variant["state"]) == ("nf4", "succeeded")
    assert variant["weights_bytes"].keys() == variant["peak_bytes"].keys() == {"predicted", "measured"}
    assert {"value", "low", "high"} <= variant["perplexity"].keys()
    assert {"tokens_per_s", "time_to_first_token_s", "kl_mean", "top1_agreement", "samples"} <= variant.keys()


def test_outputs_are_samples_that_say_what_made_them(ladder: tuple[Job, Comparison]) -> None:
    job = ladder[0]
    assert len(job.samples) == 8
    assert {sample.made_by.precision for sample in job.samples} == {"float32", "bfloat16", "int8", "nf4"}
    assert {sample.made_by.seed for sample in job.samples} == {None, 0}


def test_what_only_the_job_needed_is_gone(client: Workbench, ladder: tuple[Job, Comparison]) -> None:
    eventually(lambda: not scratch_folder(client.settings.home, ladder[0].id).exists())
    evaluation = ladder[1].evaluation
    assert evaluation
    assert (evaluation.n_windows, evaluation.n_scored) == (4, 4 * 31)
    assert evaluation.log_probabilities_bytes == pytest.approx(4 * 31 * N_TOKENS * 2, abs=200)


@pytest.mark.nightly
def test_the_same_comparison_gives_the_same_quality(
    client: Workbench, model: str, ladder: tuple[Job, Comparison]
) -> None:
    again = compared(client, model, "fp32,nf4")[1]
    assert one(again, "nf4").quality == one(ladder[1], "nf4").quality
    assert [each.greedy for each in one(again, "nf4").samples] == [
        each.greedy for each in one(ladder[1], "nf4").samples
    ]


def test_a_variant_beside_itself_is_no_difference(client: Workbench, model: str) -> None:
    found = compared(client, model, "bf16", "bf16+name=again", repeats=6)[1]
    assert loss_of(one(found, "again"), found) is Loss.NONE
    ratio = one(found, "again").quality
    assert ratio
    assert ratio.perplexity_ratio
    assert (ratio.perplexity_ratio.low, ratio.perplexity_ratio.high) == (1, 1)
    said = headlines(found)[0]
    assert "beyond noise" in said


@pytest.mark.nightly
def test_attention_is_compared_with_its_memory_by_context(client: Workbench, model: str) -> None:
    found = compared(client, model, "attention")[1]
    assert found.reference == "eager"
    states = {each.name: each.state for each in found.variants}
    assert states["eager"] is states["sdpa"] is VariantState.SUCCEEDED
    assert states["flash_attention_2"] is VariantState.SKIPPED
    assert "cannot run here" in one(found, "flash_attention_2").reason
    assert [curve.attention for curve in found.curves] == ["eager", "sdpa"]
    assert all(point.peak_bytes.measured for curve in found.curves for point in curve.points)


def test_what_is_wrong_with_one_variant_leaves_the_others_alone(client: Workbench, model: str, tmp_path: Path) -> None:
    adapter, other = str(make_adapter(tmp_path / "right", 1, **WIDER)), str(make_adapter(tmp_path / "wrong", 1))
    broken = tmp_path / "broken"
    make_model(broken)
    weights = load_file(broken / "model.safetensors")
    weights["lm_head.weight"] = torch.full_like(weights["lm_head.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    job, found = compared(
        client, model, "fp32", f"fp32+adapter={adapter}+name=adapter", f"fp32+adapter={other}+name=wrong",
        f"fp32+merged={broken}+name=broken",
    )  # fmt: skip
    assert (job.state, found.reference) == (State.SUCCEEDED, "float32")
    assert one(found, "adapter").adapter == adapter
    assert (one(found, "adapter").kl_mean or 0) > 0.001
    trouble = one(found, "wrong").trouble
    assert one(found, "wrong").state is VariantState.FAILED
    assert trouble
    assert trouble.code == "adapter_mismatch"
    assert one(found, "broken").state is VariantState.SUCCEEDED
    assert "NaN" in one(found, "broken").quality_why_not
    assert one(found, "broken").perplexity is None
    assert one(found, "broken").tokens_per_s


@pytest.mark.nightly
def test_without_a_reference_quality_is_not_invented(client: Workbench, model: str, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", 1)
    found = compared(client, model, f"fp32+adapter={adapter}+name=wrong", "bf16+name=right", reference="wrong")[1]
    right = one(found, "right")
    assert right.perplexity
    assert right.kl_mean is None
    assert "reference was not measured" in right.quality_why_not
    assert "was not measured" in found.text


def test_bad_prompts_texts_and_lengths_are_said_and_the_rest_goes_on(
    client: Workbench, model: str, tmp_path: Path
) -> None:
    latin = tmp_path / "latin"
    latin.write_bytes("Größe".encode("latin-1") * 200)
    asked = {"prompts": ["w1 " * 300, "w5"], "context_lengths": [16, 4096], "eval_own": "", "eval_text": str(latin)}
    found = one(compared(client, model, "fp32", **asked)[1], "float32")
    assert "context" in found.samples[0].why_not
    assert found.samples[1].greedy
    assert "at most 160 tokens" in found.prefill[1].why_not
    assert "UTF-8" in found.quality_why_not
    assert found.perplexity is None
    assert found.tokens_per_s


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"variants": []}, "variants"),
        ({"variants": ["fp32", "float32"]}, "twice"),
        ({"variants": ["fp33"]}, "neither a precision"),
        ({"variants": ["fp32"], "reference": "nf4"}, "none of the variants"),
        ({"variants": ["fp32"], "prompts": ["  "]}, "Prompt 1 is empty"),
        ({"variants": ["before-after"]}, "name one of them"),
    ],
)
def test_what_makes_no_comparison_is_refused_in_one_sentence(
    client: Workbench, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        client.submit("compare", fields)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("how", ["kill", pytest.param("stop", marks=pytest.mark.nightly)])
def test_a_lost_worker_goes_on_at_the_variant_that_was_cut_off(
    tmp_path: Path, redis_server: str, model: str, how: str
) -> None:
    settings = settings_for(tmp_path, redis_server)
    client = Workbench.open(settings)
    job = client.submit("compare", {"model": model, "variants": ["fp32", "bf16", "nf4"], **QUICK})
    with worker(settings, "batch") as first:
        done = until(client, job, "bfloat16")
        assert client.show(job.id).state is State.RUNNING
        if how == "kill":
            kill_all(first.pid)
        else:
            os.kill(first.pid, signal.SIGTERM)
            first.wait(30)
    with worker(settings, "batch"):
        found = read(ended(client, job))
    assert client.show(job.id).attempt == 2
    assert one(found, "float32").quality == one(done, "float32").quality
    assert one(found, "float32").seconds == one(done, "float32").seconds  # not measured a second time
    assert [each.state for each in found.variants] == [VariantState.SUCCEEDED] * 3
    assert one(found, "nf4").kl_mean
    assert all(each.tokens_per_s for each in found.variants)
    client.close()


def until(client: Workbench, job: Job, name: str) -> Comparison:
    """What is known once a variant is under way."""

    def reached() -> Comparison | None:
        found = read(client.show(job.id))
        return found if found.variants and one(found, name).state is VariantState.RUNNING else None

    found = eventually(reached, PATIENCE_S)
    assert found
    return found


def kill_all(pid: int) -> None:
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        process.kill()


def test_a_cancelled_comparison_keeps_what_is_done(client: Workbench, model: str) -> None:
    job = client.submit("compare", {"model": model, "variants": ["fp32", "bf16", "nf4"], **QUICK})
    until(client, job, "bfloat16")
    client.cancel(job.id)
    done = ended(client, job)
    assert done.state is State.CANCELLED
    states = {each.name: each.state for each in read(done).variants}
    assert states["float32"] is VariantState.SUCCEEDED
    assert states["nf4"] is VariantState.CANCELLED
    eventually(lambda: not subjects())
    eventually(lambda: not scratch_folder(client.settings.home, job.id).exists())


def subjects() -> list[psutil.Process]:
    return [
        each for each in psutil.Process().children(recursive=True) if "core.llm.subject" in " ".join(each.cmdline())
    ]


@pytest.mark.nightly
def test_a_card_too_small_for_float32_takes_the_next_as_reference(
    tmp_path: Path, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wide = tiny_model("llama", hidden_size=512, intermediate_size=2048, num_hidden_layers=4, head_dim=128)
    folder = tmp_path_factory.mktemp("models") / "wide"
    wide.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    settings = settings_for(tmp_path, redis_server, memory_bytes=75_000_000)
    client = Workbench.open(settings)
    with worker(settings, "batch"):
        found = compared(client, str(folder), "fp32,bf16,nf4")[1]
    client.close()
    assert found.reference == "bfloat16"
    assert one(found, "float32").state is VariantState.SKIPPED
    assert "can be used here" in one(found, "float32").reason
    assert one(found, "nf4").kl_mean
    assert "in turn" in found.speed_order


@pytest.mark.nightly
def test_a_variant_whose_process_is_killed_fails_alone(client: Workbench, model: str) -> None:
    job = client.submit("compare", {"model": model, "variants": ["fp32", "bf16", "nf4"], **QUICK})
    until(client, job, "bfloat16")
    for each in subjects()[1:]:  # the first is the reference's
        each.kill()  # as the system does where memory runs out
    done = ended(client, job)
    found = read(done)
    assert done.state is State.SUCCEEDED
    assert one(found, "bfloat16").state is VariantState.FAILED
    assert one(found, "bfloat16").trouble
    assert one(found, "nf4").state is VariantState.SUCCEEDED
