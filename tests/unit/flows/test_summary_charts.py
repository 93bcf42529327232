"""Charts of a summary: the same figures give the same drawing, and other people's text stays text."""

import re
from xml.etree import ElementTree as ET

import pytest

from include.flows import summary_charts

DAYS = [
    {"day": f"2026-11-{number:02}", **{name: {"count": 1, "amount": number * 1_000_000} for name in
     ("paid", "declined", "open", "recovered")}}
    for number in range(1, 21)
]  # fmt: skip
CODES = [{"code": "0051", "meaning": "Insufficient funds", "window": {"count": 4}}]
AGES = [{"matter": "awaiting", "age": "0 to 1 day", "count": 3}, {"matter": "unknown", "age": "0 to 1 day", "count": 2}]


def _all():
    return {
        "days": summary_charts.paid_and_declined(DAYS),
        "recovered": summary_charts.recovered(DAYS),
        "declines": summary_charts.declines(CODES),
        "ages": summary_charts.ages(AGES),
    }


def test_the_same_figures_give_the_same_drawing():
    assert _all() == _all()


@pytest.mark.parametrize("name", ["days", "recovered", "declines", "ages"])
def test_a_chart_is_one_element_that_fits_its_place(name):
    drawn = _all()[name]
    root = ET.fromstring(drawn)
    assert root.tag.endswith("}svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert "currentColor" in drawn
    assert not re.search(r"<script|<style|<\?xml|<!DOCTYPE|<metadata", drawn)
    assert root.find("{http://www.w3.org/2000/svg}title").text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "$x^$", "$\\frac{", "a & b"])
def test_text_of_others_is_drawn_as_it_is(text):
    drawn = summary_charts.declines([{"code": "9999", "meaning": text, "window": {"count": 1}}])
    shown = "".join(ET.fromstring(drawn).itertext())
    assert text[:23].rstrip() in shown
    assert "<script" not in drawn


def test_nothing_is_drawn_of_nothing():
    assert summary_charts.paid_and_declined([]) == ""
    assert summary_charts.recovered([{**DAYS[0], "recovered": {"count": 0, "amount": 0}}]) == ""
    assert summary_charts.declines([]) == ""
    assert summary_charts.ages([{"matter": "unknown", "age": "0 to 1 day", "count": 0}]) == ""


def test_matplotlibs_own_settings_stay_as_they_were():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    _all()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("amount", "short"), [(0, "0"), (950, "950"), (20_000, "20k"), (1_500_000, "1.5M"), (3e9, "3B"), (2e12, "2T")]
)
def test_amounts_in_short(amount, short):
    assert summary_charts.in_short(amount) == short
