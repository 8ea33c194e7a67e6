"""A whole comparison against the same measurements as a plain script, and against itself.

    python -m benchmarks.compare --home ~/.local/share/workbench --variants float32,bfloat16,int8,nf4,nf4-dq

The script loads each variant with `from_pretrained` in one process and takes what a comparison takes: the peaks of
each prompt length and batch, the reference's log-probabilities and every variant's distance from them, weights against
codes, greedy and sampled answers, and the repeats of each speed. It says nothing, keeps nothing and measures no
attention curve. The comparison is run twice: quality must come out the same to six digits.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

VARIANTS = "float32,bfloat16,int8,nf4,nf4-dq"


class Alone:
    """The context of a job that nobody watches."""

    job_id, attempt, trusted_code = "benchmark", 1, ""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self._folder = folder

    def should_stop(self) -> bool:
        """Never."""
        return False

    def restored(self) -> None:
        """Nothing."""

    def scratch(self) -> Path:
        """A folder that goes."""
        self._folder.mkdir(exist_ok=True)
        return self._folder

    def artifact(self, kind: str, name: str) -> AbstractContextManager[Path]:
        """A folder that goes."""
        return _folder_of(self._folder / f"{kind}-{name}")

    def machine(self) -> Any:
        """This machine, all of it."""
        from core.cards import read_card
        from core.jobs.kind import Machine

        card = read_card()
        told = json.loads(_python("-c", ABILITIES))
        from core.abilities import Abilities

        return Machine(Abilities.model_validate(told), card.memory_kind, card.free_bytes, self.home)

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None  # progress, results and samples go nowhere


ABILITIES = (
    "from core.llm.abilities import abilities; from core.llm.loading import first_device;"
    "print(abilities(first_device()).model_dump_json())"
)


def main() -> None:
    """Measure and print; with --plain, be the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("~/.local/share/workbench"), help="where the model lies")
    parser.add_argument("--variants", default=VARIANTS)
    parser.add_argument("--eval-tokens", type=int, default=4096)
    parser.add_argument("--context-lengths", default="128,512,1024")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--once", action="store_true", help="one comparison, no script: only its table")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    home = options.home.expanduser().absolute()
    spec = _spec(options)
    if options.plain:
        _plain(home, spec)
        return
    if options.once:
        _print(_compare(home, spec))
        return
    again = sys.argv[1:]
    plain_s = _timed(lambda: _python("-m", "benchmarks.compare", "--plain", *again))
    found = []
    for number in (1, 2):
        began = time.perf_counter()
        found.append(_compare(home, spec))
        seconds = time.perf_counter() - began
        print(f"comparison {number}: {seconds:.1f} s, plain script {plain_s:.1f} s: {seconds / plain_s:.3f} times")
    _print(found[0])
    _print_repeatability(*found)


def _spec(options: argparse.Namespace) -> Any:
    from core.jobs.compare import CompareSpec
    from core.spec import parse_spec

    fields = {"variants": options.variants, "eval_tokens": options.eval_tokens, "repeats": options.repeats}
    fields |= {"context_lengths": options.context_lengths}
    return parse_spec(CompareSpec, CompareSpec.understand(fields)[0])


def _compare(home: Path, spec: Any) -> Any:
    from core.jobs.comparing import Comparing

    with TemporaryDirectory() as folder:
        return Comparing(spec, Alone(home, Path(folder) / "scratch")).run()  # type: ignore[arg-type]


def _print(found: Any) -> None:
    from core.comparison.sentences import headlines

    for one in found.variants:
        kl, top1, speed = one.kl_mean, one.top1_agreement, one.decode[0].tokens_per_s if one.decode else None
        mb = [round((said.measured or 0) / 1e6) for said in (one.weights_bytes, one.peak_bytes)]
        quality = f"ppl {one.perplexity.value:.4f} [{one.perplexity.low:.2f}, {one.perplexity.high:.2f}]"
        ratio = one.quality.perplexity_ratio if one.quality else None
        paired = f" ratio {ratio.value:.5f} [{ratio.low:.5f}, {ratio.high:.5f}]" if ratio else ""
        print(f"{one.name:9} {mb[0]:4} MB, peak {mb[1]:4} MB, load {one.load_s:.2f} s, {quality}{paired}")
        print(f"{'':9} KL {kl}, top-1 {top1}, first token {one.time_to_first_token_s}, {speed}")
    print(f"noise {found.noise}\ncopy {(found.copy_bytes_per_s or 0) / 1e9:.1f} GB/s; {found.speed_order}")
    print("\n".join(headlines(found)))


def _print_repeatability(first: Any, second: Any) -> None:
    for one, other in zip(first.variants, second.variants, strict=True):
        digits = [
            f"{figure:.6g}" for each in (one, other)
            for figure in (each.perplexity.value, each.kl_mean or 0.0, each.top1_agreement or 0.0)
        ]  # fmt: skip
        same = digits[:3] == digits[3:]
        apart = []
        for a, b in zip(one.decode, other.decode, strict=True):
            spread = math.hypot(a.tokens_per_s.spread, b.tokens_per_s.spread)
            apart.append(abs(a.tokens_per_s.value - b.tokens_per_s.value) / spread if spread else 0.0)
        print(f"{one.name:9} twice: quality {'equal to 6 digits' if same else digits}; "
              f"speeds {', '.join(f'{value:.1f}' for value in apart)} spreads apart")  # fmt: skip


def _plain(home: Path, spec: Any) -> None:
    """What somebody would write who wants these figures once."""
    import torch

    from core.catalog import BUILTIN_NAME, resolve
    from core.comparison.texts import read_text

    torch.set_grad_enabled(False)
    source = resolve(BUILTIN_NAME, home)
    text = read_text(spec.eval_text, "", home, lambda said: None).text
    kept: list[Any] = []
    models = {}
    for name in spec.names:
        models[name] = model = _from_pretrained(source.folder, name)
        tokenizer = _tokenizer(source.folder)
        for length in spec.context_lengths:
            for _ in range(2):
                _read(model, length)
        for batch in spec.batch_sizes:
            for _ in range(2):
                _decode(model, batch, spec.max_new_tokens)
        _score(model, tokenizer, text, spec, kept, is_reference=name == spec.names[0])
        _weights(model, source.folder)
        for prompt in spec.prompts:
            for sampled in (False, True):
                _answer(model, tokenizer, prompt, spec, sampled)
    for _ in range(spec.repeats):
        for model in models.values():
            for length in spec.context_lengths:
                _read(model, length)
            for batch in spec.batch_sizes:
                _decode(model, batch, spec.max_new_tokens)


def _from_pretrained(folder: Path, name: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    packed: dict[str, Any] = {
        "int8": {"load_in_8bit": True},
        "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
    }
    packed["nf4-dq"] = packed["nf4"] | {"bnb_4bit_use_double_quant": True}
    dtype = torch.float32 if name == "float32" else torch.bfloat16
    made: Any = BitsAndBytesConfig
    config = {"quantization_config": made(**packed[name])} if name in packed else {}
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(folder, dtype=dtype, attn_implementation="sdpa", **config).eval()


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def _read(model: Any, length: int) -> None:
    import torch

    model(input_ids=torch.arange(length)[None] + 10, use_cache=True, logits_to_keep=1)


def _decode(model: Any, batch: int, n_tokens: int) -> None:
    import torch

    made = model(input_ids=torch.arange(16)[None].repeat(batch, 1) + 10, use_cache=True, logits_to_keep=1)
    for _ in range(n_tokens):
        ids = made.logits[:, -1].argmax(-1, keepdim=True)
        made = model(input_ids=ids, past_key_values=made.past_key_values, use_cache=True)


def _score(model: Any, tokenizer: Any, text: str, spec: Any, kept: list[Any], *, is_reference: bool) -> None:
    import torch

    n_windows = spec.eval_tokens // spec.window
    ids = tokenizer(text[: 8 * spec.eval_tokens], add_special_tokens=False)["input_ids"][: spec.eval_tokens]
    for _ in range(2 if is_reference else 1):
        for number in range(n_windows):
            window = torch.tensor([ids[number * spec.window : (number + 1) * spec.window]])
            logits = model(input_ids=window, use_cache=False).logits[0, :-1]
            for first in range(0, len(logits), 40):  # a whole window in double precision would take 200 MB thrice
                found = logits[first : first + 40].double().log_softmax(-1)
                found.gather(-1, window[0, first + 1 : first + 1 + len(found), None])
                if is_reference and len(kept) < n_windows * math.ceil(len(logits) / 40):
                    kept.append(found.half())
                else:
                    at = number * math.ceil(len(logits) / 40) + first // 40
                    reference = kept[at].double().log_softmax(-1)
                    (reference.exp() * (reference - found)).sum(-1)


def _weights(model: Any, folder: Path) -> None:
    from safetensors import safe_open

    from core.llm.codes import decoded, packed_layers

    layers = list(packed_layers(model))
    if not layers:
        return
    with safe_open(folder / "model.safetensors", "pt") as files:
        for name, module in layers:
            original, coded = files.get_tensor(f"{name}.weight").double(), decoded(module).double()
            (original - coded).norm() / original.norm()
            (original * coded).sum()


def _answer(model: Any, tokenizer: Any, prompt: str, spec: Any, sampled: bool) -> None:
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    model.generate(**asked, max_new_tokens=spec.max_new_tokens, do_sample=sampled, pad_token_id=0)


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _folder_of(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


if __name__ == "__main__":
    main()
