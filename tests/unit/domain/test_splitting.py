"""A day is cut into batches: nothing is lost, nothing is twice, no part is larger than it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.splitting import Part, split


def pages_of(rows, size):
    """Rows in pages of so many row numbers."""
    found = {}
    for row_no, amount in rows:
        found.setdefault(row_no // size, []).append((row_no, amount))
    return [Part(page[0][0], page[-1][0], len(page), sum(amount for _, amount in page)) for page in found.values()]


def cut(rows, max_rows, max_total, size=1):
    listed = list(rows)
    opened = []

    def rows_of(page):
        opened.append(page)
        return [row for row in listed if page.first <= row[0] <= page.last]

    return list(split(pages_of(listed, size), rows_of, max_rows, max_total)), opened


@pytest.mark.parametrize("size", [1, 2, 100])
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
def test_parts(amounts, max_rows, max_total, sizes, size):
    assert [part.count for part in cut(enumerate(amounts, 1), max_rows, max_total, size)[0]] == sizes


def test_a_part_names_its_first_and_last_row():
    assert cut([(3, 10), (7, 20), (9, 5)], 2, 100)[0] == [Part(3, 7, 2, 30), Part(9, 9, 1, 5)]


def test_only_a_page_with_a_cut_is_looked_into():
    parts, opened = cut([(row_no, 1) for row_no in range(100)], 55, 1000, size=10)
    assert [part.count for part in parts] == [55, 45]
    assert [page.first for page in opened] == [50]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 200)), max_size=60),
    st.integers(1, 10),
    st.integers(1, 500),
    st.integers(1, 20),
)
def test_every_row_is_in_one_part(gaps_and_amounts, max_rows, max_total, size):
    rows, row_no = [], 0
    for gap, amount in gaps_and_amounts:
        row_no += gap
        rows.append((row_no, amount))
    parts, _ = cut(rows, max_rows, max_total, size)
    inside = [[(no, amount) for no, amount in rows if part.first <= no <= part.last] for part in parts]
    assert [row for part in inside for row in part] == rows
    for part, members in zip(parts, inside, strict=True):
        assert part.count == len(members) <= max_rows
        assert part.total == sum(amount for _, amount in members)
        assert part.total <= max_total or part.count == 1
    for part, (following, *_) in zip(parts, inside[1:], strict=False):  # as large as the limits allow
        assert part.count == max_rows or part.total + following[1] > max_total
