"""The package's reading of DOKU's formats and the simulator's, made apart from each other, agree."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.doku.envelope import open_envelope, seal
from include.doku.keys import load_private_key, load_public_key
from include.doku.layouts.facts import FileFacts
from include.doku.layouts.read import FileReader
from include.doku.layouts.render import render_file
from include.schemas.envelope import EnvelopeSpec
from include.schemas.layout import Layout, parse_layout
from tests.doku_simulator import envelope as theirs
from tests.doku_simulator.keys import KeyRing
from tests.doku_simulator.layout import parse_layout as their_layout
from tests.doku_simulator.layout import read_file, write_file

SHIPPED = Path(__file__).resolve().parents[2] / "include" / "config" / "layouts"
ALPHABET = [chr(code) for code in range(0x20, 0x7F)] + list("\t\xa0\xe9\xdf\u0416\u4e2d\U0001f642")
DAY = date(2026, 11, 23)

OTHER = """
name = "other-{kind}"
kind = "{kind}"
description = "Tab, UTF-8, dates with slashes, amounts in groups"
[file]
format = "delimited"
encoding = "utf-8"
line_end = "\\n"
final_line_end = false
delimiter = "\\t"
[detail]
columns = [
  {{ name = "date", source = "{date}", type = "{date_type}", format = "{date_format}" }},
  {{ name = "amount", source = "{owner}.amount", format = "#.##0,00", length = 25, padding = {padding} }},
  {{ name = "invoice", source = "{owner}.invoice_number", length = 30 }},
  {{ name = "token", source = "{owner}.token", required = {token} }},
  {{ name = "code", source = "{third}", required = {third_required} }},
]
"""
PADDING = '{ side = "left", character = " " }'
OTHER_BATCH = OTHER.format(
    padding=PADDING,
    kind="batch", owner="attempt", date="attempt.execute_date", date_type="date", date_format="dd/MM/yyyy",
    token="true", third="attempt.description", third_required="false",
)  # fmt: skip
OTHER_REPORT = OTHER.format(
    padding=PADDING,
    kind="report", owner="line", date="line.charged_at", date_type="datetime", date_format="yyyy-MM-dd'T'HH:mm:ss",
    token="false", third="line.response_code", third_required="true",
)  # fmt: skip
BATCHES = {
    "assumed": (SHIPPED / "assumed-batch.toml").read_text(encoding="utf-8"),
    "fixed": (SHIPPED / "fixed-width-batch.toml").read_text(encoding="utf-8"),
    "other": OTHER_BATCH,
}
REPORTS = {
    "assumed": (SHIPPED / "assumed-report.toml").read_text(encoding="utf-8"),
    "fixed": (SHIPPED / "fixed-width-report.toml").read_text(encoding="utf-8"),
    "other": OTHER_REPORT,
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    ring = KeyRing(tmp_path_factory.mktemp("keys"))
    ring.create()
    return ring


SPECS = [
    {"key_encoding": key, "data_encoding": data, "rsa_padding": padding, "prefix_counts": counts, **aes}
    for key, data, counts in (
        ("base64", "base64", "encoded"),
        ("base64", "raw", "raw"),
        ("hex", "hex", "encoded"),
        ("raw", "base64", "raw"),
    )
    for padding in ("none", "pkcs1v15", "oaep-sha1", "oaep-sha256")
    for aes in ({"aes_mode": "ecb"}, {"aes_mode": "cbc", "cbc_iv": "zero"}, {"aes_mode": "cbc", "cbc_iv": "prefixed"})
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(spec.values()))
def test_envelopes(keys: KeyRing, spec: dict[str, str]) -> None:
    form = theirs.EnvelopeForm.from_mapping(dict(spec))
    ours = EnvelopeSpec(**spec)  # type: ignore[arg-type]
    plain = [b"first line\r\n", b"", b"x" * 5000, b"\r\n"]
    public = load_public_key(keys.public_path("doku").read_bytes(), "doku")
    assert theirs.open_sealed(b"".join(seal(plain, public, ours)), keys.private("doku"), form) == b"".join(plain)
    private = load_private_key(keys.private_path("merchant").read_bytes(), "merchant")
    sealed = theirs.seal(b"".join(plain), keys.public("merchant"), form)
    assert b"".join(open_envelope([sealed[:7], sealed[7:]], private, ours)) == b"".join(plain)


def rows_of(layout: Layout) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows that a layout may hold: text within its characters and lengths, and nothing at the ends of it to be lost."""
    cells: dict[str, st.SearchStrategy[Any]] = {}
    for source, rule in layout.rules().items():
        owner, _, name = source.rpartition(".")
        if owner in {"attempt", "line", ""}:
            cells[name] = _cell(name, rule)
    return st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=6)


def _cell(name: str, rule: Any) -> st.SearchStrategy[Any]:
    if rule.type == "amount":
        return st.integers(1, 99_999_999)
    if rule.type == "integer":
        return st.integers(1, 9999)
    if rule.type == "date":
        return st.dates(date(2020, 1, 1), date(2039, 12, 31))
    if rule.type == "datetime":
        return st.datetimes(datetime(2020, 1, 1), datetime(2039, 12, 31)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001
    if name == "currency":
        return st.just("IDR")
    allowed = [char for char in ALPHABET if re.fullmatch(rule.allowed, char) and char not in rule.forbidden]
    text = st.text(st.sampled_from(allowed), min_size=1, max_size=min(rule.max_length, 20))
    text = text.filter(lambda value: value == value.strip())
    return text if rule.required else st.one_of(st.none(), text)


@pytest.mark.parametrize("name", BATCHES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_batches_are_read_as_they_were_meant(name: str, data: st.DataObject) -> None:
    layout = parse_layout(BATCHES[name], name)
    rows = data.draw(rows_of(layout))
    facts = FileFacts(
        name="TKN_M1_20261123_0001.TXT", merchant="M1", business_date=DAY, execute_date=DAY, sequence=1,
        currency="IDR", count=len(rows), total=sum(row["amount"] for row in rows),
    )  # fmt: skip
    plain = b"".join(render_file(layout, facts, [_frame(rows)]))
    batch = read_file(their_layout(BATCHES[name]), plain)
    read = [dict(zip(batch.fields, line, strict=True)) for line in batch.details]
    for row, line in zip(rows, read, strict=True):
        for source, value in line.items():
            if source.startswith("attempt."):
                assert value == row[source.partition(".")[2]], source


@pytest.mark.parametrize("name", REPORTS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_reports_are_read_as_they_were_meant(name: str, data: st.DataObject) -> None:
    layout = parse_layout(REPORTS[name], name)
    rows = data.draw(rows_of(layout))
    facts = {
        "file.name": "RPT_1.TXT", "file.batch_name": "TKN1.TXT", "file.date": DAY, "file.part": 1, "file.parts": 1,
        "file.count": len(rows), "file.total": sum(row["amount"] for row in rows),
        "file.success_count": len(rows), "file.failed_count": 0,
    }  # fmt: skip
    lines = [{f"line.{key}": value for key, value in row.items()} for row in rows]
    plain = write_file(their_layout(REPORTS[name]), facts, lines, facts)  # type: ignore[arg-type]
    reader = FileReader(layout, "RPT_1.TXT")
    frame = pd.concat(list(reader.frames([plain])))
    assert (reader.count, reader.total) == (len(rows), facts["file.total"])
    for row, line in zip(rows, frame.to_dict("records"), strict=True):
        for key, value in row.items():
            got = None if pd.isna(line[key]) else line[key]
            assert (got.to_pydatetime() if isinstance(got, pd.Timestamp) else got) == value, key


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pa.Table.from_pylist(rows)
    return table.to_pandas(types_mapper=pd.ArrowDtype)
