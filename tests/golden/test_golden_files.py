"""Batch files and reports, byte for byte. A difference here is a difference in what DOKU gets, or in what we read.

To see what a change would write: `python -m tests.golden.test_golden_files` rewrites the files; git shows the rest.
"""

import csv
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from include.doku.layouts.facts import FileFacts
from include.doku.layouts.read import FileReader
from include.doku.layouts.render import render_file
from include.schemas.layout import Layout, load_layout

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "include" / "config" / "layouts"
LAYOUTS = sorted([*SHIPPED.glob("*.toml"), *(HERE / "layouts").glob("*.toml")])
NAME = "TKN_MCH-0001_20260105_0001.TXT"
TYPES = {
    "line_no": (pa.int64(), int),
    "amount": (pa.int64(), int),
    "execute_date": (pa.date32(), date.fromisoformat),
    "due_date": (pa.date32(), date.fromisoformat),
    "charged_at": (pa.timestamp("s"), datetime.fromisoformat),
    "starts_on": (pa.date32(), date.fromisoformat),
    "ends_on": (pa.date32(), date.fromisoformat),
}


def _is_read(path: Path) -> bool:
    """A file that registers bills is only written."""
    return load_layout(path).kind != "register"


def golden_rows(kind: str) -> pa.Table:
    """Attempts and their answers, or the bills of a file that registers them."""
    name = "bills.csv" if kind == "register" else "rows.csv"
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for name in rows[0]:
        kind, read = TYPES.get(name, (pa.string(), str))
        columns[name] = pa.array([read(row[name]) if row[name] else None for row in rows], kind)
    return pa.table(columns)


def golden_facts(table: pa.Table) -> FileFacts:
    answers = table["response_code"].to_pylist() if "response_code" in table.column_names else []
    paid = answers.count("0000")
    return FileFacts(
        name=NAME,
        merchant="MCH-0001",
        business_date=date(2026, 1, 5),
        execute_date=date(2026, 1, 6),
        sequence=1,
        currency="IDR",
        count=table.num_rows,
        total=sum(amount or 0 for amount in table["amount"].to_pylist()),
        batch_name=NAME,
        success_count=paid,
        failed_count=table.num_rows - paid,
        date=date(2026, 1, 7),
    )


def written(layout: Layout) -> bytes:
    table = golden_rows(layout.kind)
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return b"".join(render_file(layout, golden_facts(table), [frame.iloc[:1], frame.iloc[1:]]))


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.stem)
def test_the_file_is_written_byte_for_byte(path: Path) -> None:
    assert written(load_layout(path)) == (HERE / f"{path.stem}.txt").read_bytes()


@pytest.mark.parametrize("path", [path for path in LAYOUTS if _is_read(path)], ids=lambda path: path.stem)
def test_the_file_is_read_as_it_was_meant(path: Path) -> None:
    layout = load_layout(path)
    table = golden_rows(layout.kind)
    reader = FileReader(layout, NAME)
    frame = pd.concat(reader.frames([(HERE / f"{path.stem}.txt").read_bytes()], rows=3))
    assert (reader.count, reader.total) == (table.num_rows, sum(table["amount"].to_pylist()))
    found = pa.Table.from_pandas(frame, preserve_index=False)
    first = 2 if layout.header else 1
    assert found["line_no"].to_pylist() == list(range(first, first + table.num_rows))
    for slot in layout.slots["detail"]:
        if slot.source.startswith(("attempt.", "line.")):
            key = "attempt_line_no" if slot.field == "line_no" else slot.field
            assert found[key].to_pylist() == table[slot.field].to_pylist(), slot.name


if __name__ == "__main__":
    for layout_path in LAYOUTS:
        (HERE / f"{layout_path.stem}.txt").write_bytes(written(load_layout(layout_path)))
