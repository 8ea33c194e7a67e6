"""Who may import whom: read from the files, and seen once in a running process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SIDES = ("core", "web", "worker")
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "bitsandbytes", "accelerate"}
BROKER_AND_PAGE = {"celery", "kombu", "gradio", "fastapi", "starlette", "sqlalchemy"}

# A file imports from floors below, or from its own. A package stands for all that is in it.
FLOORS: dict[int, str] = {
    1: "__init__ errors modes states values ids stream settings cards tether valkey libraries markup format usage "
    "expected limits",
    2: "spec precision queue broker catalog access preflight part memory variant abilities recipe hub comparison data "
    "training preset pipeline",
    3: "llm models prompt",
    4: "jobs store migrate",
    5: "accounts policy client cleaning watch diff submitting pipelining recording overview tending",
    6: "supervisor house doctor prove demo "
    "cli cli_cards cli_common cli_compare cli_curves cli_data cli_diff cli_estimate cli_format cli_jobs cli_models "
    "cli_pipeline cli_printers cli_record cli_reward cli_rlhf cli_run cli_save cli_submit cli_train cli_users cli_wait",
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}
JOBS_REACH = 2  # a job module imports core.llm inside `run` alone, so that the page can read its Spec without torch
JOBS_MAY_ALSO = {"prompt"}


@dataclass(frozen=True)
class Import:
    """One name that a file imports; `is_eager` says whether that happens as soon as the file is imported."""

    file: str
    line: int
    name: str
    is_eager: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


@cache
def imports() -> tuple[Import, ...]:
    """Every import of our own three packages, those for a type checker alone left out."""
    return tuple(
        found
        for side in SIDES
        for path in sorted((ROOT / side).rglob("*.py"))
        for found in _imports_of(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text()), is_eager=True)
    )


def _imports_of(file: str, node: ast.AST, *, is_eager: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (Import(file, child.lineno, alias.name, is_eager) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno} imports by a relative name"
            yield from (
                Import(file, child.lineno, _module(child.module or "", alias.name), is_eager) for alias in child.names
            )
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports_of(file, child, is_eager=is_eager and not is_function)


def _module(package: str, name: str) -> str:
    """`from a import b` means the module a.b where there is one."""
    path = ROOT / package.replace(".", "/") / name
    return f"{package}.{name}" if path.with_suffix(".py").exists() or path.is_dir() else package


def _top(name: str) -> str:
    return name.partition(".")[0]


def _part(name: str) -> str:
    """The part of core that a module belongs to: core.store.claims → store."""
    return [*name.split("."), "__init__"][1]


def _part_of(file: str) -> str:
    return _part(file.removesuffix(".py").replace("/", "."))


def _said(found: Iterator[Import]) -> list[str]:
    return [str(one) for one in found]


def test_core_imports_neither_side_and_the_sides_never_meet() -> None:
    others = {"core": {"web", "worker"}, "web": {"worker"}, "worker": {"web"}}
    assert not _said(one for one in imports() if _top(one.name) in others[_top(one.file.replace("/", "."))])


def test_every_part_of_core_has_a_floor() -> None:
    parts = {path.stem for path in (ROOT / "core").iterdir() if path.suffix == ".py" or any(path.rglob("*.py"))}
    assert not sorted(parts - FLOOR_OF.keys()), "give each a floor in FLOORS"


def test_nothing_in_core_imports_upwards() -> None:
    assert not _said(
        one
        for one in imports()
        if one.file.startswith("core/") and one.is_eager and _top(one.name) == "core"
        if FLOOR_OF.get(_part(one.name), 0) > FLOOR_OF.get(_part_of(one.file), 99)
    )


def test_no_import_goes_round_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one in imports():
        if one.is_eager and _top(one.name) in SIDES:
            module = one.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            graph.setdefault(module, set()).add(one.name)
    TopologicalSorter({module: needed - {module} for module, needed in graph.items()}).prepare()


def test_a_kind_of_job_is_read_without_what_runs_it() -> None:
    assert not _said(
        one
        for one in imports()
        if one.file.startswith("core/jobs/") and one.is_eager and _top(one.name) == "core"
        if _part(one.name) not in JOBS_MAY_ALSO | {"jobs"} and FLOOR_OF.get(_part(one.name), 99) > JOBS_REACH
    )


def test_torch_is_imported_by_core_llm_and_the_worker_alone() -> None:
    allowed = ("core/llm/", "worker/")
    assert not _said(
        one for one in imports() if _top(one.name) in HEAVY and one.is_eager and not one.file.startswith(allowed)
    )
    assert not _said(one for one in imports() if _top(one.name) in HEAVY and one.file.startswith("web/"))


def test_core_llm_knows_nothing_of_store_queue_or_page() -> None:
    ours = {"store", "models", "queue", "broker", "stream", "client", "settings", "jobs"}
    assert not _said(
        one
        for one in imports()
        if one.file.startswith("core/llm/")
        if _top(one.name) in BROKER_AND_PAGE or (_top(one.name) == "core" and _part(one.name) in ours)
    )


@pytest.mark.parametrize("module", ["web.app", "core.cli", "core.supervisor", "core.jobs", "core.client"])
def test_importing_it_loads_no_torch(module: str) -> None:
    look = f"import sys, {module}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
