"""The simulator is a second reading of DOKU's formats: it imports nothing of the package under test."""

import ast
import sys
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).resolve().parents[2] / "doku_simulator").glob("*.py"))
ALLOWED = {"asyncssh", "cryptography", "tests.doku_simulator"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_imports_nothing_of_ours(path: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    roots = {".".join(name.split(".")[: 2 if name.startswith("tests") else 1]) for name in names}
    assert roots - sys.stdlib_module_names - ALLOWED == set()
