"""Each way a report can be wrong: refused with file, line, column and reason, and no value shown."""

from collections.abc import Iterator

import pandas as pd
import pytest

from include.doku.layouts.read import FileReader
from include.domain.errors import FileRefused
from include.schemas.layout import Layout, parse_layout
from tests.unit.doku.samples import LAYOUTS, chain, read, rendered, rows, shipped

REPORT = shipped("assumed-report")
FIXED = shipped("fixed-width-report")


def refusal(layout: Layout, data: bytes, **how: int) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read(layout, data, **how)
    return caught.value


def lines_of(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "reason"),
    [
        (b"|25001.00|", b"|25001|", 3, "amount", "0.00"),
        (b"|25001.00|", b"|025001.00|", 3, "amount", "0.00"),
        (b"|25001.00|", b"|25001,00|", 3, "amount", "0.00"),
        (b"|25001.00|", b"|+25001.00|", 3, "amount", "0.00"),
        (b"|25001.00|", b"|-25001.00|", 3, "amount", "0.00"),
        (b"|25001.00|", b"|2.5001e4|", 3, "amount", "0.00"),
        (b"|25001.00|", b"|25001.50|", 3, "amount", "fraction"),
        (b"|25001.00|", b"|9999999999999999999.00|", 3, "amount", "longer than 21"),
        (b"|25001.00|", b"||", 3, "amount", "empty"),
        (b"|25001.00|IDR|", b"|25001.00|USD|", 3, "currency", "IDR"),
        (b"|K7QZ0000000000000201|", b"||", 3, "invoice_number", "empty"),
        (b"|K7QZ0000000000000201|", b"|K7QZ 000000000000201|", 3, "invoice_number", "character"),
        (b"|20260106020209", b"|20261306020209", 3, "charged_at", "yyyyMMddHHmmss"),
        (b"|20260106020209", b"|20260230020209", 3, "charged_at", "yyyyMMddHHmmss"),
        (b"|20260106020209", b"|20260106240209", 3, "charged_at", "yyyyMMddHHmmss"),
        (b"|20260106020209", b"|2026010602020", 3, "charged_at", "yyyyMMddHHmmss"),
        (b"|20260106020209", b"|00000106020209", 3, "charged_at", "years"),
        (b"|0000|", b"|00000|", 2, "response_code", "longer than 4"),
        (b"\r\nD|K7QZ0000000000000201", b"\r\nX|K7QZ0000000000000201", 3, "record_type", "constant"),
        (b"|014|", b"|014||", 2, None, "14 columns instead of 13"),
        (b"|014|", b"|", 2, None, "12 columns instead of 13"),
        (b"|014|", b"|0\x0014|", 2, None, "control"),
        (b"|014|", b"|0\t14|", 2, None, "control"),
        (b"|014|", b"|0\x1a14|", 2, None, "control"),
        (b"|014|", b"|0\x7f14|", 2, None, "control"),
        (b"|014|", b"|0\r14|", 2, None, "carriage return"),
        (b"|014|", b"|\xc3\xa9|", 2, None, "ASCII"),
        (b"\r\nD|K7QZ0000000000000201", b"\nD|K7QZ0000000000000201", 2, None, "carriage return"),
        (b"\r\nD|K7QZ0000000000000201", b"\r\n\r\nD|K7QZ0000000000000201", 3, None, "is empty"),
        (b"H|TKN", b"T|TKN", 1, "record_type", "constant"),
        (b"H|TKN", b"\xef\xbb\xbfH|TKN", 1, None, "ASCII"),
        (b"|3|75003.00|", b"|4|75003.00|", 1, "count", "says 4"),
        (b"|3|75003.00|", b"|3|75004.00|", 1, "total", "says 75004"),
        (b"|3|75003.00|3|0|", b"|3|75003.00|2|0|", 1, None, "success"),
        (b"|3|75003.00|", b"|three|75003.00|", 1, "count", "whole number"),
        (b"|3|75003.00|", b"|03|75003.00|", 1, "count", "whole number"),
        (b"|20260106|3|", b"|20260106|3|3|", 1, None, "10 columns instead of 9"),
    ],
)
def test_a_delimited_report_that_is_wrong(old: bytes, new: bytes, line: int, column: str, reason: str) -> None:
    data = rendered(REPORT, rows(3))
    assert data.count(old), "the test's own sample has changed"
    refused = refusal(REPORT, data.replace(old, new, 1), chunk=7)
    assert (refused.line, refused.column) == (line, column)
    assert reason in refused.reason
    assert str(refused).startswith("TKN_MCH-0001_20260105_0001.TXT, line ")


@pytest.mark.parametrize("size", range(1, 60, 7))
def test_a_report_that_is_cut_anywhere_is_refused(size: int) -> None:
    for layout in (REPORT, FIXED):
        data = rendered(layout, rows(4))
        for cut in (data[:-size], data[: len(data) * size // 64]):
            assert refusal(layout, cut)


def test_what_is_missing_or_too_much() -> None:
    data = rendered(REPORT, rows(3))
    header, *details = lines_of(data)
    assert "empty" in refusal(REPORT, b"").reason
    assert refusal(REPORT, b"".join(details)).line == 1
    assert "header again" in refusal(REPORT, data + data).reason
    assert refusal(REPORT, data + data).line == 5
    assert refusal(REPORT, header + data).line == 2
    assert "cut" in refusal(REPORT, data.removesuffix(b"\r\n")).reason
    assert "says 3" in refusal(REPORT, data + details[0]).reason
    assert refusal(REPORT, data + b"\r\n").line == 5
    assert refusal(REPORT, data + b"-- end --\r\n").line == 5


def test_a_fixed_report_that_is_wrong() -> None:
    data = rendered(FIXED, rows(3))
    *_, trailer = lines_of(data)
    assert "trailer" in refusal(FIXED, data + trailer).reason
    assert refusal(FIXED, data + trailer).line == 5
    assert refusal(FIXED, data.removesuffix(trailer)).line == 4
    assert "header or the trailer is missing" in refusal(FIXED, trailer).reason
    short = data.replace(b"DTL0000", b"DTL000", 1)
    assert (refusal(FIXED, short).line, refusal(FIXED, short).column) == (2, None)
    assert "instead of" in refusal(FIXED, short).reason
    assert refusal(FIXED, data.replace(b"0000001250100IDR", b"      1250100IDR", 1)).column == "amount"
    assert "says" in refusal(FIXED, data.replace(b"TRL0000000003", b"TRL0000000002", 1)).reason


def test_a_line_without_end_is_refused_with_little_memory() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield rendered(REPORT, rows(2))
        while True:
            taken += 1
            yield b"D|" + b"9" * 65536

    with pytest.raises(FileRefused, match="longer than any line") as caught:
        list(FileReader(REPORT, "RPT.TXT").frames(endless()))
    assert taken <= 2
    assert caught.value.line == 4


def test_many_lines_that_are_too_long_are_refused_early() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"9" * (1 << 20) + b"\r\n"

    with pytest.raises(FileRefused, match="longer than any line") as caught:
        list(FileReader(REPORT, "RPT.TXT").frames(endless()))
    assert taken <= 2
    assert caught.value.line == 1


def test_lines_of_nothing_are_refused_early() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"\r\n" * 50_000

    with pytest.raises(FileRefused):
        list(FileReader(REPORT, "RPT.TXT").frames(endless()))
    assert taken <= 3


def test_the_line_number_is_right_far_into_the_file() -> None:
    lines = lines_of(rendered(REPORT, rows(500)))
    lines[321] = lines[321].replace(b".00|", b".50|")
    refused = refusal(REPORT, b"".join(lines), rows=100, chunk=1000)
    assert (refused.line, refused.column) == (322, "amount")


def _encoded(encoding: str) -> Layout:
    text = (LAYOUTS / "assumed-report.toml").read_text("utf-8")
    text = text.replace('encoding = "ascii"', f'encoding = "{encoding}"').replace(', charset = "ansi-printable"', "")
    return parse_layout(text, "assumed-report.toml")


def test_invalid_encodings_are_refused() -> None:
    utf8 = _encoded("utf-8")
    good = rendered(utf8, rows(2).assign(bank=pd.Series(["Bank Café", "銀行"], dtype="string[pyarrow]")))
    assert read(utf8, good, chunk=1)[1]["bank"].tolist() == ["Bank Café", "銀行"]
    for broken in (b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", "銀".encode()[:2]):
        refused = refusal(utf8, good.replace("銀行".encode(), broken))
        assert (refused.line, refused.reason) == (3, "is not UTF-8")
    for hidden in ("\u200b", "\u202e", "\u2028", "\x85", "\ue000"):
        assert refusal(utf8, good.replace("銀行".encode(), hidden.encode())).column == "bank"
    assert "byte order mark" in refusal(utf8, b"\xef\xbb\xbf" + good).reason
    assert "byte order mark" in refusal(utf8, good.replace(b"Bank Caf", b"\xef\xbb\xbfBank Caf")).reason
    latin = _encoded("latin-1")
    good = rendered(latin, rows(2).assign(bank=pd.Series(["Bank Café", "Ü"], dtype="string[pyarrow]")))
    assert b"Caf\xe9" in good
    assert read(latin, good)[1]["bank"].tolist() == ["Bank Café", "Ü"]
    assert refusal(latin, good.replace(b"\xe9", b"\x85")).column == "bank"


def test_no_refusal_shows_a_token_or_a_card_number() -> None:
    batch = shipped("assumed-batch")
    secret = "4111111111111111"
    data = rendered(batch, rows(2)).replace(b"tok_0000000000000000000000000001", secret.encode() + b"\xe9")
    for bad in (data, data.replace(b"\xe9", b"|"), data.replace(b"\xe9", b" "), data.replace(b"\xe9", b"\x01")):
        refused = refusal(batch, bad)
        assert secret not in str(refused)
        assert secret not in chain(refused)


def test_a_trailer_that_contradicts_the_header_is_refused() -> None:
    text = (LAYOUTS / "assumed-report.toml").read_text("utf-8")
    trailer = (
        '{ name = "end", value = "T" }, { name = "day", source = "file.date" }, { name = "n", source = "file.count" }'
    )
    layout = parse_layout(text + f"\n[trailer]\ncolumns = [{trailer}]\n", "own.toml")
    data = rendered(layout, rows(2))
    assert data.endswith(b"\r\nT|20260106|2\r\n")
    other_day = refusal(layout, data.replace(b"\nT|20260106", b"\nT|20260107"))
    assert (other_day.line, other_day.column) == (4, "day")
    assert "contradicts" in other_day.reason
    assert refusal(layout, data.replace(b"\nT|20260106|2", b"\nT|20260106|3")).column == "n"
    assert "trailer, but more lines follow" in refusal(layout, data + data).reason


def test_a_value_longer_than_what_is_kept_refuses_the_file() -> None:
    for name in ("assumed-report", "fixed-width-report"):
        text = (LAYOUTS / f"{name}.toml").read_text("utf-8")
        old = "length = 60" if name == "assumed-report" else "length = 30, start = 115"
        assert old in text
        text = text.replace(old, "length = 80").replace("start = 145, ", "").replace("start = 164, ", "")
        layout = parse_layout(text, "own.toml")
        assert layout.rules()["bank"].max_length == 60
        good = rendered(layout, rows(2).assign(bank=pd.Series(["x" * 60, "y"], dtype="string[pyarrow]")))
        assert read(layout, good)[1]["bank"].tolist() == ["x" * 60, "y"]
        wide = (
            good.replace(b"x" * 60, b"x" * 61)
            if name == "assumed-report"
            else good.replace(b"x" * 60 + b" ", b"x" * 61)
        )
        assert refusal(layout, wide).reason == "is longer than 60 characters"


def test_a_name_inside_the_file_must_be_the_files_own() -> None:
    batch = shipped("assumed-batch")
    with pytest.raises(FileRefused, match="names another file"):
        read(batch, rendered(batch, rows(1)), name="TKN_OTHER.TXT")


def test_a_report_without_lines_is_read_as_such() -> None:
    empty = rendered(REPORT, rows(1)).splitlines(keepends=True)[0].replace(b"|1|12501.00|1|0|", b"|0|0.00|0|0|")
    reader, frame = read(REPORT, empty)
    assert (reader.count, reader.total, len(frame)) == (0, 0, 0)


def test_a_file_of_header_and_trailer_alone_is_read_as_empty() -> None:
    header, *_, trailer = lines_of(rendered(FIXED, rows(1)))
    none = trailer.replace(b"TRL0000000001000000000001250100", b"TRL0000000000000000000000000000")
    none = none[:31] + b"0" * 20 + b"\n"
    reader, frame = read(FIXED, header + none, chunk=9)
    assert (reader.count, reader.total, len(frame), reader.trailer["count"]) == (0, 0, 0, 0)
