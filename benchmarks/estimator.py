"""The estimator against this machine: predicted, measured and error for each model and precision that runs here.

    python -m benchmarks.estimator --home ~/.local/share/workbench --medium --repeats 3

Each row is measured in a fresh process, as `workbench doctor --gpu` does it. `--medium` adds random models of 300 to
500 million parameters of other families, made with a seed: they write nonsense and weigh what a real one does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.catalog import BUILTIN_NAME
from core.memory.formula import size
from core.prove import Proof, begin, prove

WIDTHS = {
    "vocab_size": 32_000, "hidden_size": 1_024, "num_attention_heads": 16, "num_key_value_heads": 4,
    "max_position_embeddings": 2_048, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MEDIUM: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", WIDTHS | {"num_hidden_layers": 24, "intermediate_size": 3_072}),
    "gpt_neox": ("GPTNeoXConfig", WIDTHS | {"num_hidden_layers": 24, "intermediate_size": 4_096}),
    "mixtral": ("MixtralConfig", WIDTHS | {"num_hidden_layers": 8, "intermediate_size": 2_048, "num_local_experts": 6}),
}
Found = dict[tuple[str, str, str], list[Proof]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("~/.local/share/workbench"), help="where the model lies")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--dtype", action="append", default=[], help="only this precision; may be given several times")
    parser.add_argument("--medium", action="store_true", help="random models of other families too")
    options = parser.parse_args()
    home = options.home.expanduser().absolute()
    found: Found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        models = {"built-in": BUILTIN_NAME}
        models |= {name: str(path) for name, path in _made(Path(folder))} if options.medium else {}
        for _ in range(options.repeats):
            for name, model in models.items():
                _measure(home, name, model, tuple(options.dtype), found)
    _show(found)


def _measure(home: Path, name: str, model: str, only: tuple[str, ...], found: Found) -> None:
    for proof in prove(home, begin(home, model), only, lambda said: print(f"… {name}, {said}", flush=True)):
        found[name, proof.precision, proof.what].append(proof)


def _made(folder: Path) -> Iterator[tuple[str, Path]]:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    from tests.llm.tiny import word_tokenizer

    for family, (config, widths) in MEDIUM.items():
        torch.manual_seed(0)
        auto: Any = AutoModelForCausalLM
        model = auto.from_config(getattr(transformers, config)(**widths), dtype=torch.bfloat16)
        model.save_pretrained(folder / family)
        word_tokenizer().save_pretrained(folder / family)
        yield family, folder / family


def _show(found: Found) -> None:
    print(f"\n{'model':<10} {'precision':<9} {'what':<30} {'predicted':>11} {'measured':>11} {'error':>8}   n   spread")
    for (name, precision, what), proofs in found.items():
        if troubles := [one.trouble for one in proofs if one.trouble]:
            print(f"{name:<10} {precision:<9} {what:<30} {troubles[0]}")
            continue
        measured = [float(one.measured) for one in proofs]
        spread = statistics.stdev(measured) if len(measured) > 1 else 0.0
        middle = statistics.median(measured)
        error = 100 * (proofs[0].predicted / middle - 1)
        print(
            f"{name:<10} {precision:<9} {what:<30} {size(proofs[0].predicted):>11} {size(middle):>11} {error:>+6.1f} %"
            f" {len(proofs):>3}   {size(spread)}"
        )
    _show_largest([one for proofs in found.values() for one in proofs if not one.trouble])


def _show_largest(proofs: list[Proof]) -> None:
    errors = sorted(proofs, key=lambda one: -abs(one.error))
    middle = statistics.median([abs(one.error) for one in errors]) if errors else 0.0
    print(f"\nmedian of all errors without their sign: {100 * middle:.1f} %; the largest:")
    for one in errors[:5]:
        print(f"  {one.line()}")


if __name__ == "__main__":
    main()
