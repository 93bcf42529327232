"""docs/incidents.md, from the list of incidents and the names of their tests."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.incidents.incidents import INCIDENTS
from tests.tools.docs.markdown import code

_TESTS = Path(__file__).resolve().parents[2] / "incidents" / "test_incidents.py"

_HEAD = """# What went wrong for others

Written by `make docs` from `tests/incidents/incidents.py`; do not edit. Fifteen kinds of incidents that operators of
systems like this one report most, what stands against each here, and the tests (`tests/incidents/test_incidents.py`)
that show it.
"""


def render() -> str:
    """The page."""
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    tests = re.findall(r"^def (test_(\d\d)_\w+)", _TESTS.read_text(encoding="utf-8"), re.MULTILINE)
    for one in INCIDENTS:
        yield f"## {one.number}. {one.what}"
        yield ""
        yield one.here + (f" Not in this release: {one.still[0].lower()}{one.still[1:]}" if one.still else "")
        yield ""
        yield from (f"- {code(name)}" for name, number in tests if int(number) == one.number)
        yield ""
