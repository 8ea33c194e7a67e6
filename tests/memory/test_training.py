"""What training saves and keeps, compared with what autograd, peft and the optimizers really do on tiny models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from core.errors import BadInput
from core.memory import Optimizer, Precision, Training, estimate, read_model
from core.memory.activations import Mode, layer_bytes
from core.memory.geometry import geometry
from core.memory.optimizer import Trained, states_part
from core.memory.training import trained_tensors
from tests.memory.support import configs

WIDTHS: dict[str, Any] = {
    "hidden_size": 96, "intermediate_size": 160, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32,
    "vocab_size": 128,
}  # fmt: skip
ROWS, CONTEXT, RANK = 2, 24, 4
ALL, SOME = "all-linear", ["q_proj", "v_proj"]

# mode, dtype of the model, targets of the adapter, whether the adapter is in 16 bit
CASES: dict[str, tuple[Mode, torch.dtype, Any, bool]] = {
    "full in 16 bit": (Mode(has_adapter=False), torch.bfloat16, None, False),
    "full in float32": (Mode(has_adapter=False, is_float32=True), torch.float32, None, False),
    "16-bit adapters": (Mode(has_adapter=True), torch.bfloat16, ALL, True),
    "float32 adapters": (Mode(has_adapter=True, float32_adapter=True), torch.bfloat16, ALL, False),
    "all in float32": (Mode(has_adapter=True, is_float32=True), torch.float32, ALL, False),
    "dropout, 16-bit": (Mode(has_adapter=True, has_dropout=True), torch.bfloat16, ALL, True),
    "dropout, float32": (Mode(has_adapter=True, is_float32=True, has_dropout=True), torch.float32, ALL, False),
    "dropout, mixed": (Mode(has_adapter=True, float32_adapter=True, has_dropout=True), torch.bfloat16, ALL, False),
    "some, 16-bit": (Mode(has_adapter=True, is_attention_only=True), torch.bfloat16, SOME, True),
    "some, float32": (Mode(has_adapter=True, is_float32=True, is_attention_only=True), torch.float32, SOME, False),
    "some, mixed": (Mode(has_adapter=True, float32_adapter=True, is_attention_only=True), torch.bfloat16, SOME, False),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_llama_layer_saves_exactly_what_is_predicted(name: str, attention: str) -> None:
    _saves_what_is_predicted(LlamaForCausalLM, LlamaConfig, "llama", name, attention)


@pytest.mark.parametrize("name", list(CASES)[:5])
def test_so_does_a_layer_with_head_norms(name: str) -> None:
    _saves_what_is_predicted(Qwen3ForCausalLM, Qwen3Config, "qwen3", name, "sdpa")


def _saves_what_is_predicted(model_class: Any, config_class: Any, model_type: str, name: str, attention: str) -> None:
    mode, dtype, targets, is_16_bit = CASES[name]
    saved = []
    for n_layers in (1, 2):  # the difference is one layer, without head and embedding
        config = config_class(**WIDTHS, num_hidden_layers=n_layers, attn_implementation=attention)
        model = model_class(config).to(dtype).train()
        if targets:
            model = _with_adapter(model, targets, is_16_bit, mode.has_dropout)
        saved.append(_saved_bytes(model))
    found = geometry(read_model({"model_type": model_type, **WIDTHS, "num_hidden_layers": 1}).table)
    assert found is not None
    ranks = RANK * (len(SOME) if mode.is_attention_only else 7) if targets else 0
    predicted = layer_bytes(found, mode, ranks, CONTEXT if attention == "eager" else 0)
    assert (saved[1] - saved[0]) / (ROWS * CONTEXT) == predicted


def _with_adapter(model: Any, targets: Any, is_16_bit: bool, has_dropout: bool) -> Any:
    dropout = 0.05 if has_dropout else 0.0
    lora = LoraConfig(r=RANK, lora_alpha=8, target_modules=targets, lora_dropout=dropout, task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    for one in model.parameters():
        if one.requires_grad and is_16_bit:
            one.data = one.data.to(torch.bfloat16)
    return model


def _saved_bytes(model: Any) -> int:
    """Bytes of the tensors that autograd keeps of one forward pass, parameters left out."""
    own = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # holding it keeps its address from being used again
        return tensor

    ids = torch.randint(0, 128, (ROWS, CONTEXT))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(input_ids=ids, labels=ids, use_cache=False)
    return sum(one.untyped_storage().nbytes() for one in kept.values())


@pytest.mark.parametrize(("targets", "names"), [("all-linear", ALL), ("attention", SOME)])
def test_adapters_have_as_many_weights_as_peft_gives_them(targets: Any, names: Any) -> None:
    given = {**WIDTHS, "num_hidden_layers": 2}
    model = _with_adapter(LlamaForCausalLM(LlamaConfig(**given)), names, is_16_bit=False, has_dropout=False)
    real = sorted(one.numel() for one in model.parameters() if one.requires_grad)
    table = read_model({"model_type": "llama", **given}).table
    training = Training("lora", rank=RANK, targets=targets)
    assert sorted(one.n_elements for one in trained_tensors(table, training)) == real


def test_adamw_keeps_two_states_in_the_dtype_of_the_weights() -> None:
    for dtype, each in ((torch.float32, 4), (torch.bfloat16, 2)):
        weights = [torch.nn.Parameter(torch.ones(n, dtype=dtype)) for n in (5000, 12)]
        optimizer = torch.optim.AdamW(weights)
        torch.stack([one.sum() for one in weights]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        kept = [state for held in optimizer.state.values() for name, state in held.items() if name != "step"]
        predicted = states_part([Trained(5000), Trained(12)], each, Optimizer.ADAMW).n_bytes
        assert sum(one.numel() * one.element_size() for one in kept) == predicted


def test_eight_bit_states_are_a_byte_but_for_small_tensors_embeddings_and_paged_ones() -> None:
    trained = [Trained(200_000), Trained(4095), Trained(8192, is_embedding=True)]
    on_card = 8 * 4095 + 8 * 8192
    assert states_part(trained, 2, Optimizer.ADAMW_8BIT).n_bytes == 2 * (200_000 + 4 * 782) + on_card
    assert states_part(trained, 2, Optimizer.PAGED_ADAMW_8BIT).n_bytes == on_card
    assert states_part(trained, 2, Optimizer.SGD).n_bytes == 0


def _parts(precision: Precision, training: Training, context: int = 1024) -> dict[str, int]:
    asked = estimate(configs()["meta-llama/Llama-3.1-8B"], precision=precision, context=context, training=training)
    return {one.name: one.n_bytes for one in asked.parts}


def test_full_training_in_16_bit_takes_eight_bytes_a_weight() -> None:
    parts = _parts(Precision.BFLOAT16, Training("full"))
    assert parts["weights"] + parts["gradients"] + parts["optimizer"] == 8 * 8_030_261_248


def test_qlora_keeps_packed_weights_and_trains_the_adapter_alone() -> None:
    parts = _parts(Precision.NF4, Training("qlora", rank=16, optimizer=Optimizer.PAGED_ADAMW_8BIT))
    assert parts["adapter"] == 2 * 41_943_040
    assert parts["gradients"] == parts["adapter"]
    assert parts["optimizer"] == 8 * 0 + 2 * (16_384 + 4 * 64) * 32 * 2 + 2 * (65_536 + 4 * 256) * 32 * 9


def test_checkpointing_leaves_one_layer_and_the_borders_between_them() -> None:
    with_it = _parts(Precision.BFLOAT16, Training("full"))["activations"]
    without = _parts(Precision.BFLOAT16, Training("full", has_checkpointing=False))["activations"]
    assert with_it == 1024 * 32 * 2 * 4096 + without // 32


def test_the_plain_loss_keeps_every_logit_and_trls_only_a_tile() -> None:
    plain = _parts(Precision.BFLOAT16, Training("full", loss="plain"), context=8192)["logits and loss"]
    fused = _parts(Precision.BFLOAT16, Training("full"), context=8192)["logits and loss"]
    assert plain == 8192 * 128_256 * 14
    assert fused == 4096 * 32_768 * 6


def test_methods_and_precisions_that_do_not_go_together_are_refused() -> None:
    for method, precision in (("qlora", Precision.BFLOAT16), ("lora", Precision.NF4), ("full", Precision.INT8)):
        with pytest.raises(BadInput):
            _parts(precision, Training(method))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="rank must lie between"):
        Training("lora", rank=0)


def test_a_head_over_whole_texts_makes_no_logits_of_words() -> None:
    model = read_model(next(one for one in configs().values() if one.get("model_type") == "llama"))

    def parts_of(loss: Any) -> dict[str, int]:
        given: dict[str, Any] = {"precision": Precision.BFLOAT16, "context": 64, "batch": 16, "on_host": True}
        return {one.name: one.n_bytes for one in estimate(model, training=Training("lora", loss=loss), **given).parts}

    words, texts = parts_of("plain"), parts_of("sequence")
    assert "logits and loss" not in texts
    assert texts["head and loss"] < words["logits and loss"]
    assert texts["activations"] == words["activations"]
