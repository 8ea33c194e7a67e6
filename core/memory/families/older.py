"""Dense decoders of the first years: fused projections, a plain MLP, biases, learned positions or ALiBi."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.memory.blocks import (
    attention,
    fused_attention,
    head_norms,
    norm,
    plain_mlp,
    positions,
    transposed_layer,
    when,
    where,
)
from core.memory.config import Config
from core.memory.families.sizes import sizes
from core.memory.family import EAGER, FLASH, Family
from core.memory.layers import falcon, one_key_head
from core.memory.tensors import Kind, Tensor, linear

GPT_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}
GPT_NORMS = norm("ln_1", "ln_2", bias=True)
FINAL_NORM = norm("ln_f", bias=True)
TWO_NORMS = norm("input_layernorm", "post_attention_layernorm", bias=True)


def _four_times(c: Config) -> int:
    return c.optional("n_inner", least=1) or 4 * c.hidden


def _bigcode_kv_heads(c: Config) -> int:
    return 1 if c.flag("multi_query") else c.heads


def _falcon_inner(c: Config) -> int:
    return c.optional("ffn_hidden_size", least=1) or 4 * c.hidden


def _falcon_kv_heads(c: Config) -> int:
    if c.flag("new_decoder_architecture"):
        return c.optional("num_kv_heads", least=1) or c.heads
    return 1 if c.flag("multi_query") else c.heads


def _falcon_norms(c: Config, i: int) -> Iterator[Tensor]:
    chosen = c.optional("num_ln_in_parallel_attn") or (2 if c.flag("new_decoder_architecture") else 1)
    names: tuple[str, ...]
    if not c.flag("parallel_attn"):
        names = ("input_layernorm", "post_attention_layernorm")
    else:
        names = ("ln_attn", "ln_mlp") if chosen == 2 else ("input_layernorm",)
    yield from norm(*names, bias=True)(c, i)


def _opt_projections(c: Config, _: int) -> Iterator[Tensor]:
    narrow = c.integer("word_embed_proj_dim")
    if narrow != c.hidden:
        yield from linear("project_in", narrow, c.hidden)
        yield from linear("project_out", c.hidden, narrow)


def _mpt_inner(c: Config) -> int:
    return c.integer("expansion_ratio") * c.hidden


GPT2 = Family(
    layer=(transposed_layer, GPT_NORMS),
    defaults=sizes(50_257, 768, None, 12, 12, max_position_embeddings=1024, tie_word_embeddings=True),
    names=GPT_NAMES,
    outside=(positions("wpe"), FINAL_NORM),
    stem="transformer",
    layers="h",
    embed="wte",
)
GPTJ = Family(
    layer=(
        attention("attn", out="out_proj"),
        plain_mlp("mlp.fc_in", "mlp.fc_out", bias=True, width=_four_times),
        norm("ln_1", bias=True),
    ),
    defaults=sizes(50_400, 4096, None, 28, 16, max_position_embeddings=2048),
    names=GPT_NAMES,
    outside=(FINAL_NORM,),
    stem="transformer",
    layers="h",
    embed="wte",
    head_bias=True,
    attentions=(EAGER, FLASH),
)

OLDER: dict[str, Family] = {
    "gpt2": GPT2,
    "gptj": GPTJ,
    "codegen": replace(
        GPTJ, layer=(fused_attention("attn", "qkv_proj", "out_proj"), *GPTJ.layer[1:]), attentions=(EAGER,)
    ),
    "gpt_bigcode": replace(
        GPT2,
        layer=(
            fused_attention("attn", "c_attn", "c_proj", bias=True, out_bias=True, kv_heads=_bigcode_kv_heads),
            plain_mlp("mlp.c_fc", "mlp.c_proj", bias=True, width=_four_times),
            GPT_NORMS,
        ),
        defaults={**GPT2.defaults, "multi_query": True},
        cache=one_key_head("multi_query"),
    ),
    "gpt_neo": replace(
        GPT2,
        layer=(
            attention("attn.attention", out="out_proj", out_bias=True),
            plain_mlp(
                "mlp.c_fc",
                "mlp.c_proj",
                bias=True,
                width=lambda c: c.optional("intermediate_size", least=1) or 4 * c.hidden,
            ),
            GPT_NORMS,
        ),
        defaults=sizes(50_257, 2048, None, 24, 16, max_position_embeddings=2048, tie_word_embeddings=True),
        names={"num_hidden_layers": "num_layers", "num_attention_heads": "num_heads"},
        attentions=(EAGER, FLASH),
    ),
    "gpt_neox": Family(
        layer=(
            fused_attention("attention", "query_key_value", "dense", bias="attention_bias", out_bias="attention_bias"),
            plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", bias=True),
            TWO_NORMS,
        ),
        defaults=sizes(50_432, 6144, 24_576, 44, 64, attention_bias=True),
        outside=(norm("final_layer_norm", bias=True),),
        stem="gpt_neox",
        embed="embed_in",
    ),
    "phi": Family(
        layer=(
            attention(out="dense", bias=True, out_bias=True),
            plain_mlp("mlp.fc1", "mlp.fc2", bias=True),
            norm("input_layernorm", bias=True),
            when(where("qk_layernorm"), head_norms("q_layernorm", "k_layernorm", bias=True)),
        ),
        defaults=sizes(51_200, 2048, 8192, 24, 32),
        outside=(norm("final_layernorm", bias=True),),
        head_bias=True,
    ),
    "persimmon": Family(
        layer=(
            fused_attention("self_attn", "query_key_value", "dense", bias=True, out_bias=True),
            plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", bias=True),
            TWO_NORMS,
            when(where("qk_layernorm"), head_norms("q_layernorm", "k_layernorm", bias=True)),
        ),
        defaults=sizes(262_144, 4096, 16_384, 36, 64, qk_layernorm=True),
        outside=(norm("final_layernorm", bias=True),),
    ),
    "bloom": Family(
        layer=(
            fused_attention("self_attention", "query_key_value", "dense", bias=True, out_bias=True),
            plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", bias=True, width=lambda c: 4 * c.hidden),
            TWO_NORMS,
        ),
        defaults=sizes(250_880, 64, None, 2, 8, tie_word_embeddings=True),
        names={"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
        outside=(norm("word_embeddings_layernorm", "ln_f", bias=True),),
        stem="transformer",
        layers="h",
        embed="word_embeddings",
        attentions=(EAGER,),
    ),
    "opt": Family(
        layer=(
            attention(out="out_proj", bias="enable_bias", out_bias="enable_bias"),
            plain_mlp("fc1", "fc2", bias="enable_bias"),
            norm("self_attn_layer_norm", "final_layer_norm", bias=True),
        ),
        defaults=sizes(
            50_272,
            768,
            3072,
            12,
            12,
            max_position_embeddings=2048,
            word_embed_proj_dim=768,
            enable_bias=True,
            do_layer_norm_before=True,
            tie_word_embeddings=True,
        ),
        names={"intermediate_size": "ffn_dim"},
        outside=(
            positions("embed_positions", further=2),
            when(where("do_layer_norm_before"), norm("final_layer_norm", bias=True)),
            _opt_projections,
        ),
        stem="model.decoder",
        embed_width="word_embed_proj_dim",
    ),
    "mpt": Family(
        layer=(
            fused_attention("attn", "Wqkv", "out_proj"),
            plain_mlp("ffn.up_proj", "ffn.down_proj", width=_mpt_inner),
            norm("norm_1", "norm_2"),
        ),
        defaults=sizes(50_368, 2048, None, 24, 16, expansion_ratio=4, max_seq_len=2048, tie_word_embeddings=True),
        names={
            "hidden_size": "d_model",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "max_position_embeddings": "max_seq_len",
        },
        outside=(norm("norm_f"),),
        stem="transformer",
        layers="blocks",
        embed="wte",
        attentions=(EAGER,),
    ),
    "falcon": Family(
        layer=(
            fused_attention(
                "self_attention",
                "query_key_value",
                "dense",
                bias="bias",
                out_bias="bias",
                kind=Kind.LINEAR_SUBCLASS,
                kv_heads=_falcon_kv_heads,
            ),
            plain_mlp(
                "mlp.dense_h_to_4h",
                "mlp.dense_4h_to_h",
                bias="bias",
                kind=Kind.LINEAR_SUBCLASS,
                width=_falcon_inner,
            ),
            _falcon_norms,
        ),
        defaults=sizes(65_024, 4544, None, 32, 71, multi_query=True, parallel_attn=True, tie_word_embeddings=True),
        outside=(FINAL_NORM,),
        stem="transformer",
        layers="h",
        embed="word_embeddings",
        cache=falcon,
    ),
}
