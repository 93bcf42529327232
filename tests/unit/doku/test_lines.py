import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku.layouts.lines import line_blocks
from include.domain.errors import FileRefused


@given(st.lists(st.binary(max_size=12)), st.integers(1, 5))
def test_nothing_is_lost_and_every_block_is_whole_lines(chunks: list[bytes], rows: int) -> None:
    blocks = list(line_blocks(chunks, name="f", rows=rows, longest=10_000))
    assert b"".join(blocks) == b"".join(chunks)
    assert all(block.endswith(b"\n") and block.count(b"\n") <= rows for block in blocks[:-1])
    assert all(blocks)
    assert not blocks or blocks[-1].count(b"\n") <= rows


@given(st.integers(0, 30), st.integers(1, 40), st.integers(1, 4))
def test_the_longest_line_is_named(before: int, chunk: int, rows: int) -> None:
    data = b"ab\n" * before + b"x" * 500 + b"\n"
    with pytest.raises(FileRefused) as caught:
        list(line_blocks([data[i : i + chunk] for i in range(0, len(data), chunk)], name="f", rows=rows, longest=50))
    assert caught.value.line == before + 1
