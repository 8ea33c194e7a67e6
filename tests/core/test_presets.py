from __future__ import annotations

import pytest

from core.jobs.reward import RewardSpec
from core.jobs.rlhf import RlhfSpec
from core.jobs.sft import SftSpec
from core.precision import Precision
from core.preset import Preset
from core.spec import Spec, parse_spec
from core.training.presets import BY_NAME, PRESETS
from core.training.reward_presets import REWARD_PRESETS
from core.training.rlhf_presets import RLHF_PRESETS

EACH = [
    *((SftSpec, one) for one in PRESETS),
    *((RewardSpec, one) for one in REWARD_PRESETS),
    *((RlhfSpec, one) for one in RLHF_PRESETS),
]


@pytest.mark.parametrize(("kind", "preset"), EACH, ids=lambda one: getattr(one, "name", one))
def test_each_preset_is_a_training_that_can_be_submitted(kind: type[Spec], preset: Preset) -> None:
    spec = parse_spec(kind, preset.fields)
    assert all(getattr(spec, name) is not None for name in preset.fields)
    assert preset.title
    assert preset.help.endswith(".")


def test_the_published_recipes_are_as_they_were_published() -> None:
    llama, neox = (parse_spec(SftSpec, BY_NAME[name].fields) for name in ("llama-2-qlora", "neox-int8-lora"))
    assert (llama.model, llama.data) == ("meta-llama/Llama-2-7b-hf", "timdettmers/openassistant-guanaco")
    assert (llama.r, llama.lora_alpha, llama.optim, llama.warmup_ratio) == (64, 16, "paged_adamw_8bit", 0.03)
    assert llama.training(Precision.NF4).method == "qlora"
    assert (neox.model, neox.data, neox.dtype) == ("EleutherAI/gpt-neox-20b", "stanfordnlp/imdb", "int8")
    assert (neox.r, neox.lora_alpha, neox.lora_dropout) == (16, 32, 0.05)
    assert neox.training(Precision.INT8).targets == "attention"
