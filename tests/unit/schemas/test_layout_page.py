"""docs/layouts.md names all that a layout may have, and its examples are true."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from include.doku.layouts.columns import write_column
from include.domain.character_sets import NAMES
from include.schemas.layout import Layout
from include.schemas.layout_columns import Column, FileForm
from include.schemas.layout_slots import slot_of
from include.schemas.layout_sources import HEADER_SOURCES, LINE_SOURCES
from tests.unit.doku.samples import LAYOUTS

PAGE = (Path(__file__).parents[3] / "docs" / "layouts.md").read_text("utf-8")
CODES = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_the_page_names_every_source_and_no_other() -> None:
    named = {code for code in CODES if re.fullmatch(r"(attempt|batch|bill|file|line)\.[a-z_]+|ignored", code)} - {
        "batch.layout"
    }
    known = {source for table in (HEADER_SOURCES, LINE_SOURCES) for sources in table.values() for source in sources}
    assert named == known


def test_the_page_names_every_key_and_set() -> None:
    assert set(Column.model_fields) <= CODES
    assert set(NAMES) <= CODES
    for key in (set(Layout.model_fields) - {"file", "header", "detail", "trailer", "text"}) | set(
        FileForm.model_fields
    ):
        assert re.search(rf"^{key} = ", PAGE, re.MULTILINE), key


@pytest.mark.parametrize(("form", "shown"), re.findall(r"^\| `([0#][^`]*)`[^|]*\| `([0-9.,]+)`", PAGE, re.MULTILINE))
def test_the_amounts_of_the_page(form: str, shown: str) -> None:
    column = Column(name="amount", source="attempt.amount", format=form)
    slot = slot_of(FileForm(format="delimited", delimiter="|"), "batch", "detail", column, 0)
    assert write_column(slot, pa.array([1_500_000]), 0).to_pylist() == [shown]


def test_the_check_of_the_page_runs() -> None:
    command = re.findall(r"python -c '([^']+)'", PAGE)[0]
    done = subprocess.run(
        [sys.executable, "-c", command, str(LAYOUTS / "assumed-batch.toml")],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
