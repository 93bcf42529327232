"""Changed copies of profiles are the profile with exactly the changes."""

import tomllib
from datetime import date, time

import pytest

from tests.stack.scene import SHIPPED_PROFILES
from tests.stack.toml import changed, dumps


def test_what_is_written_reads_back():
    document = {
        "name": 'with "quotes", \\ and \x00',
        "flag": True,
        "share": 0.5,
        "day": date(2026, 11, 22),
        "cutoff": time(21, 0),
        "list": ["a", 1],
        "table": {
            "x": 1,
            "deeper": {"odd key": "Jakarta é"},
            "keys": [{"file": "a.pem", "valid_from": date(2026, 1, 1)}],
        },
        "empty": {},
    }
    assert tomllib.loads(dumps(document)) == document


@pytest.mark.parametrize("profile", sorted(SHIPPED_PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_profile_survives_copying(profile):
    document = tomllib.loads(profile.read_text(encoding="utf-8"))
    assert tomllib.loads(dumps(document)) == document


def test_changes_are_laid_over():
    document = {"a": 1, "t": {"x": 1, "y": 2}, "gone": "x"}
    assert changed(document, {"t": {"y": 3, "z": {"n": 1}}, "gone": None}) == {
        "a": 1,
        "t": {"x": 1, "y": 3, "z": {"n": 1}},
    }
    assert document == {"a": 1, "t": {"x": 1, "y": 2}, "gone": "x"}
