"""Writing, sealing, opening and reading a large file keep to a bounded memory, whatever its size."""

import tracemalloc
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pytest

from include.doku.envelope import open_envelope, seal
from include.doku.layouts.read import FileReader
from include.doku.layouts.render import render_file
from include.schemas.envelope import EnvelopeSpec
from tests.unit.doku.samples import facts, rows, shipped


@pytest.mark.parametrize("name", ["assumed-report", "fixed-width-report"])
def test_a_whole_day_streams(pair, name) -> None:
    layout, (public, private) = shipped(name), pair(2048)
    frame = rows(5_000)
    whole = facts(frame)

    def day(times: int) -> Iterator[pd.DataFrame]:
        yield from (frame for _ in range(times))

    def peak(times: int) -> int:
        said = facts(
            frame,
            count=times * whole.count,
            total=times * whole.total,
            success_count=times * (whole.success_count or 0),
            failed_count=times * (whole.failed_count or 0),
        )
        reader = FileReader(layout, said.name)
        start = pa.total_allocated_bytes()
        most = 0
        tracemalloc.start()
        sealed = seal(render_file(layout, said, day(times)), public, EnvelopeSpec())
        for _ in reader.frames(open_envelope(sealed, private, EnvelopeSpec()), rows=5_000):
            most = max(most, pa.total_allocated_bytes() - start)
        most += tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert reader.count == said.count
        return most

    assert peak(24) < peak(6) * 1.5
