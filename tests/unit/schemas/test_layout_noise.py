from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.errors import LayoutError
from include.schemas.layout import Layout, parse_layout
from tests.unit.doku.samples import LAYOUTS, SHIPPED

TEXTS = [(LAYOUTS / f"{name}.toml").read_text("utf-8") for name in SHIPPED]
SCRAPS = ["true", "0", "-1", "99999999999999999999", '""', '"x"', "[]", "{}", "2026-01-05", "nan", "|", "\n", "]", "é"]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_an_altered_layout_is_taken_or_refused_with_a_key(data: st.DataObject) -> None:
    """Whole values, words and characters are replaced; nothing but LayoutError may come out of it."""
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 3))):
        words = text.split(" ")
        at = data.draw(st.integers(0, len(words) - 1))
        words[at] = data.draw(st.one_of(st.sampled_from(SCRAPS), st.sampled_from(words), st.just("")))
        text = " ".join(words)
    with suppress(LayoutError):
        layout = parse_layout(text, "own.toml")
        assert isinstance(layout, Layout)
        assert layout.longest_line > 0
        assert layout.rules()
        assert layout.largest_amount("IDR") >= 0


@given(st.text(max_size=60))
def test_any_text_is_refused(text: str) -> None:
    with suppress(LayoutError):
        parse_layout(text, "own.toml")
        raise AssertionError("no such short layout makes sense")
