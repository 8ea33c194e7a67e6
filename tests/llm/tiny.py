"""Tiny random models of many families, built in code, and a tokenizer whose text shows every token."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from core.catalog import ModelSource
from core.llm.loading import LoadedModel
from core.llm.weigh import weigh
from core.precision import Precision

N_TOKENS = 200
CONTEXT_LENGTH = 160
COMMON = {
    "vocab_size": N_TOKENS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT_LENGTH,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GPT = {"vocab_size": N_TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": None, "eos_token_id": None}
FALCON = {name: value for name, value in COMMON.items() if name not in ("head_dim", "num_key_value_heads")}
LINEAR = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": None, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}

# sliding windows of 8, so that the tests' prompts and answers are longer than them
SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", COMMON),
    "mistral": ("MistralConfig", COMMON | {"sliding_window": 8}),
    "qwen2": ("Qwen2Config", COMMON | {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    "qwen3": ("Qwen3Config", COMMON),
    "gemma2": ("Gemma2Config", COMMON | {"sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gemma3_text": ("Gemma3TextConfig", COMMON | {"sliding_window": 8, "query_pre_attn_scalar": 8}),
    "phi3": ("Phi3Config", COMMON | {"sliding_window": 8}),
    "olmo2": ("Olmo2Config", COMMON),
    "stablelm": ("StableLmConfig", COMMON),
    "gpt2": ("GPT2Config", GPT | {"n_positions": CONTEXT_LENGTH}),
    "gpt_neox": ("GPTNeoXConfig", COMMON),
    "mpt": ("MptConfig", {"vocab_size": N_TOKENS, "d_model": 32, "n_heads": 4, "n_layers": 2}),
    "bloom": ("BloomConfig", COMMON | {"n_layer": 2, "n_head": 4}),
    "falcon": ("FalconConfig", FALCON),
    "falcon with alibi": ("FalconConfig", FALCON | {"alibi": True}),
    "opt": ("OPTConfig", COMMON | {"ffn_dim": 64, "word_embed_proj_dim": 32, "pad_token_id": 1}),
    "mixtral": ("MixtralConfig", COMMON | {"num_local_experts": 4, "sliding_window": 8}),
    "deepseek_v2": (
        "DeepseekV2Config",
        COMMON | LATENT | EXPERTS | {"num_key_value_heads": 4, "n_routed_experts": 4, "first_k_dense_replace": 1},
    ),
    "gpt_oss": ("GptOssConfig", COMMON | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}),
    "gptj": ("GPTJConfig", GPT | {"n_positions": CONTEXT_LENGTH, "rotary_dim": 4}),
}
SEPARATE: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("MambaConfig", COMMON | {"state_size": 4}),
    "qwen3_next": ("Qwen3NextConfig", COMMON | LINEAR | EXPERTS | {"num_experts": 4}),
}


def tiny_model(family: str, **changes: Any) -> Any:
    """A random model that heeds its context: with the usual small weights it would only look at the last token."""
    name, fields = (SHARED | SEPARATE)[family]
    torch.manual_seed(0)
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(getattr(transformers, name)(**(fields | changes))).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0, 0.3)
    return model


ENCODER = {
    "vocab_size": N_TOKENS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT_LENGTH,
    "pad_token_id": 0,
}
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", COMMON),
    "gpt_neox": ("GPTNeoXConfig", COMMON),
    "gpt2": ("GPT2Config", GPT | {"n_positions": CONTEXT_LENGTH}),
    "bert": ("BertConfig", ENCODER),
    "distilbert": (
        "DistilBertConfig",
        {"vocab_size": N_TOKENS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "pad_token_id": 0},
    ),
    "roberta": ("RobertaConfig", ENCODER | {"pad_token_id": 1}),
}


def tiny_classifier(family: str, labels: tuple[str, ...] = ("negative", "positive"), **changes: Any) -> Any:
    """A random sequence classifier that heeds all of a text; of one label, a reward model."""
    name, fields = CLASSIFIERS[family]
    config = getattr(transformers, name)(**(fields | changes))
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    if len(labels) > 1:
        config.problem_type = "single_label_classification"
    config.pad_token_id = 0 if config.pad_token_id is None else config.pad_token_id
    torch.manual_seed(0)
    auto: Any = AutoModelForSequenceClassification
    model = auto.from_config(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0, 0.3)
    return model


def keep_classifier(folder: Path, family: str, labels: tuple[str, ...] = ("negative", "positive")) -> str:
    """A folder with such a classifier and a tokenizer of words, whose w0 fills up and w1 ends a text."""
    model = tiny_classifier(family, labels)
    model.save_pretrained(folder)
    tokenizer = word_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token = f"w{model.config.pad_token_id}", "w1"
    tokenizer.save_pretrained(folder)
    return str(folder)


def word_tokenizer() -> Any:
    """One word a token, so that text and tokens tell the same."""
    tokenizer = Tokenizer(WordLevel({f"w{index}": index for index in range(N_TOKENS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer)


def as_loaded(model: Any, eos_ids: frozenset[int] = frozenset()) -> LoadedModel:
    return LoadedModel(
        model=model,
        tokenizer=word_tokenizer(),
        source=ModelSource("tiny", Path("tiny"), None),
        precision=Precision.FLOAT32,
        device="cpu",
        device_name="test",
        context_length=CONTEXT_LENGTH,
        eos_ids=eos_ids,
        weight=weigh(model),
        load_s=0.0,
    )


def prompt(length: int, seed: int) -> list[int]:
    return [(seed * 37 + index * index * 11 + index * seed) % (N_TOKENS - 2) + 2 for index in range(length)]


def alone(model: Any, prompt_ids: list[int], n_new: int, **options: Any) -> list[int]:
    """What plain `generate` gives for this prompt and nothing beside it."""
    ids = torch.tensor([prompt_ids])
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=n_new,
        min_new_tokens=n_new,
        **{"do_sample": False, "pad_token_id": 0, **options},
    )
    return [int(each) for each in made[0, len(prompt_ids) :]]


@contextmanager
def before_each_step(model: Any, act: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Call `act` with the new tokens (B, T) whenever the model is about to compute."""

    def hook(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        act(inputs["input_ids"])

    handle = model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def held_still(model: Any) -> Iterator[threading.Event]:
    """The model computes nothing until the event that this gives is set: what is submitted before arrives together."""
    go_on = threading.Event()
    with before_each_step(model, lambda _: _wait(go_on)):
        try:
            yield go_on
        finally:
            go_on.set()


def _wait(event: threading.Event) -> None:
    assert event.wait(60), "the test never let the model go on"
