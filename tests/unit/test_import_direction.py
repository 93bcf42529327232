"""Who may import whom: one arrow through the package, checked in the source of every file.

dags -> plugins -> include.flows -> include.{doku, ledger, billing} -> include.schemas -> include.domain -> standard
library.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# From the outermost room to the innermost. A room may import from rooms further down the list, and from itself; rooms
# on one line do not see each other.
_ARROW = (
    {"dags"},
    {"plugins"},
    {"include.cli"},
    {"include.commands"},
    {"include.flows"},
    {"include.doku", "include.ledger", "include.billing"},
    {"include.schemas"},
    {"include.domain"},
)
_RANK = {room: rank for rank, rooms in enumerate(_ARROW) for room in rooms}
_OURS = ("dags", "plugins", "include", "tests")


def _room_of(module: str) -> str | None:
    """The room of a module of ours: `include.doku.layouts.read` is in `include.doku`."""
    parts = module.split(".")
    if parts[0] not in _OURS:
        return None
    return ".".join(parts[:2]) if parts[0] == "include" else parts[0]


def _imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import, wherever it stands: inside functions and TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom) and node.module == "include":
            yield from ((node.lineno, f"include.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)


def _complaint(module: str, imported: str) -> str | None:
    """Why this module may not import that one; None when it may."""
    room, target = _room_of(module), _room_of(imported)
    top = imported.split(".")[0]
    if imported.startswith("."):
        return "imports relatively; the project root is the only import root"
    if room is None or room == target:
        return None
    if room.startswith("include") and top == "airflow":
        return "include/ never imports Airflow: a flow takes what it needs as arguments"
    if room == "include.domain" and top not in sys.stdlib_module_names and target != "include.domain":
        return "include.domain imports the standard library only"
    if target is None or target == "include":
        return None
    if target == "tests":
        return "nothing that is installed imports the tests"
    if target not in _RANK or room not in _RANK:
        return f"{target if target not in _RANK else room} is no room of the package"
    if _RANK[target] <= _RANK[room]:
        return f"{room} may not import {target}: the arrow points the other way"
    return None


def _modules() -> list[Path]:
    return [path for room in ("dags", "plugins", "include") for path in sorted((PROJECT / room).rglob("*.py"))]


def _name_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def test_imports_point_one_way():
    complaints = [
        f"{path.relative_to(PROJECT)}:{line} imports {imported}: {complaint}"
        for path in _modules()
        if _room_of(_name_of(path)) != "include"
        for line, imported in _imports(path.read_text())
        if (complaint := _complaint(_name_of(path), imported))
    ]
    assert not complaints, "\n".join(complaints)


def test_the_simulator_imports_nothing_of_ours():
    """Two independent readings of DOKU's formats: a shared mistake cannot hide."""
    tests = PROJECT / "tests"
    complaints = [
        f"{path.relative_to(PROJECT)}:{line} imports {imported}"
        for path in sorted((tests / "doku_simulator").rglob("*.py"))
        if not path.name.startswith(("test_", "conftest"))
        for line, imported in _imports(path.read_text())
        if imported.split(".")[0] in _OURS and not imported.startswith("tests.doku_simulator")
    ]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("include.domain.money", "pydantic"),
        ("include.schemas.profile", "include.doku.keys"),
        ("include.doku.envelope", "include.ledger.tables"),
        ("include.flows.submit", "plugins.operators.submit"),
        ("include.flows.submit", "include.cli"),
        ("include.flows.submit", "include.commands.parts"),
        ("include.commands.looking", "include.cli"),
        ("include.ledger.engine", "airflow.sdk"),
        ("plugins.hooks.ledger", "dags.submit"),
        ("include.doku.envelope", ".keys"),
        ("plugins.hooks.ledger", "tests.stack.airflow"),
    ],
)
def test_the_check_sees_a_wrong_direction(module: str, imported: str):
    assert _complaint(module, imported)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("dags.doku_submit", "plugins.operators.submit"),
        ("dags.doku_submit", "include.schemas.profile"),
        ("plugins.hooks.ledger", "airflow.sdk"),
        ("include.doku.envelope", "cryptography.hazmat.primitives"),
        ("include.doku.envelope", "include.domain.errors"),
        ("include.domain.money", "decimal"),
        ("include.domain.money", "include.domain.errors"),
    ],
)
def test_the_check_allows_the_arrow(module: str, imported: str):
    assert _complaint(module, imported) is None
