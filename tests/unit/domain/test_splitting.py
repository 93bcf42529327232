"""A day is cut into batches: nothing is lost, nothing is twice, no part is larger than it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.splitting import Part, split


@pytest.mark.parametrize(
    ("amounts", "max_rows", "max_total", "sizes"),
    [
        ([], 3, 100, []),
        ([1, 1, 1], 3, 100, [3]),
        ([1, 1, 1, 1], 3, 100, [3, 1]),
        ([50, 50, 1], 9, 100, [2, 1]),
        ([100, 100], 9, 100, [1, 1]),
        ([60, 60, 60], 9, 100, [1, 1, 1]),
        ([101], 9, 100, [1]),
        ([1, 101, 1], 9, 100, [1, 1, 1]),
        ([5] * 4, 1, 100, [1, 1, 1, 1]),
    ],
)
def test_parts(amounts, max_rows, max_total, sizes):
    assert [part.count for part in split(enumerate(amounts, 1), max_rows, max_total)] == sizes


def test_a_part_names_its_first_and_last_row():
    assert list(split([(3, 10), (7, 20), (9, 5)], 2, 100)) == [Part(3, 7, 2, 30), Part(9, 9, 1, 5)]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 200)), max_size=60), st.integers(1, 10), st.integers(1, 500)
)
def test_every_row_is_in_one_part(gaps_and_amounts, max_rows, max_total):
    rows, row_no = [], 0
    for gap, amount in gaps_and_amounts:
        row_no += gap
        rows.append((row_no, amount))
    parts = list(split(iter(rows), max_rows, max_total))
    inside = [[(no, amount) for no, amount in rows if part.first <= no <= part.last] for part in parts]
    assert [row for part in inside for row in part] == rows
    for part, members in zip(parts, inside, strict=True):
        assert part.count == len(members) <= max_rows
        assert part.total == sum(amount for _, amount in members)
        assert part.total <= max_total or part.count == 1
    for part, (following, *_) in zip(parts, inside[1:], strict=False):  # as large as the limits allow
        assert part.count == max_rows or part.total + following[1] > max_total
