"""The README's table is the menu."""

from pathlib import Path

from tests.doku_simulator.menu import ALL, table

README = Path(__file__).resolve().parents[2] / "doku_simulator" / "README.md"


def test_the_readme_lists_the_menu() -> None:
    text = README.read_text(encoding="utf-8")
    shown = text.partition("--fault-menu -->\n")[2].partition("<!-- end of fault menu")[0]
    assert shown == table()


def test_each_fault_is_used_by_the_code() -> None:
    """A name on the menu that no code looks up would be a fault that never happens."""
    code = "".join(path.read_text(encoding="utf-8") for path in README.parent.rglob("*.py") if path.name != "menu.py")
    assert [name for name in ALL if f'"{name}"' not in code] == []


def test_each_fault_has_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_faults_*.py"))
    assert [name for name in ALL if f'"{name}"' not in tests] == []
