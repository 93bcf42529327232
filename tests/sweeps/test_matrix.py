"""The crash matrix in the docs speaks of the steps that the code has, and of no kill that broke a promise."""

from tests.sweeps import matrix


def test_the_page_lists_every_step_of_the_code():
    assert matrix.steps_listed() == matrix.steps_of_the_code(), "run `make sweep` and commit docs/crash-matrix.md"


def test_no_kill_broke_a_promise():
    assert "**failed**" not in matrix.PAGE.read_text(encoding="utf-8")
