"""Loading a model: our loader against plain `from_pretrained` of the same files, and against reading them.

    python -m benchmarks.loading --home ~/.local/share/workbench --repeats 5

Each figure is of a fresh process, the ways taking turns, from a warm file cache; imports are not counted. Reading is
`cat` of the weights' files to /dev/null.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import line

DTYPES = ("float32", "bfloat16", "int8", "nf4")
WAYS = ("ours", "plain")


def main() -> None:
    """Measure and print; with --way, load once and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("~/.local/share/workbench"), help="where the model lies")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=DTYPES, help="only this precision")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    home = options.home.expanduser().absolute()
    if options.way:
        print(json.dumps(_load(home, options.way, options.dtype)))
    else:
        _measure(home, [options.dtype] if options.dtype else list(DTYPES), options.repeats)


def _measure(home: Path, dtypes: list[str], repeats: int) -> None:
    from core.catalog import BUILTIN_NAME, resolve

    files = sorted(resolve(BUILTIN_NAME, home).folder.glob("*.safetensors"))
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        found.setdefault("cat", []).append(_cat(files))
        for dtype in dtypes:
            for way in WAYS:
                found.setdefault(f"{dtype}, {way}", []).append(_in_a_process(home, way, dtype))
    for name, seconds in found.items():
        print(line(name, seconds))
    for dtype in dtypes:
        ours = found[f"{dtype}, ours"]
        against = [one / other for one, other in zip(ours, found[f"{dtype}, plain"], strict=True)]
        print(line(f"{dtype}: ours / plain", against, "times", 1))
        against = [one / other for one, other in zip(ours, found["cat"], strict=True)]
        print(line(f"{dtype}: ours / cat", against, "times", 1))


def _cat(files: list[Path]) -> float:
    began = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        subprocess.run(["cat", *map(str, files)], stdout=nowhere, check=True)
    return time.perf_counter() - began


def _in_a_process(home: Path, way: str, dtype: str) -> float:
    command = [sys.executable, "-m", "benchmarks.loading", "--home", str(home), "--way", way, "--dtype", dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _load(home: Path, way: str, dtype: str) -> float:
    import transformers

    from core.abilities import choose
    from core.catalog import BUILTIN_NAME, resolve
    from core.llm.abilities import abilities
    from core.llm.first_use import import_what_loads
    from core.llm.loading import first_device, load
    from core.llm.own import weights_apart
    from core.recipe import as_code
    from core.variant import Variant

    source, device = resolve(BUILTIN_NAME, home), first_device()
    choice = choose(Variant(model=BUILTIN_NAME, dtype=dtype), abilities(device))
    import_what_loads(source, choice)
    plain = compile(as_code(choice, source, device), "plain", "exec")
    getattr(transformers, "AutoTokenizer"), getattr(transformers, "BitsAndBytesConfig")  # noqa: B009  # lazy
    began = time.perf_counter()
    if way == "plain":
        exec(plain, {})  # the very call that people are shown
    else:
        with weights_apart():
            load(source, choice)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
