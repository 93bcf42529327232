"""The simulator's reading of layout files."""

from datetime import date
from pathlib import Path

import pytest

from tests.doku_simulator.layout import AmountForm, BadFileError, BadLayoutError, load_layout, parse_layout, read_file
from tests.doku_simulator.layout import write_file as write

FIXED = """
name = "fixed"
kind = "batch"
[file]
format = "fixed"
line_end = "\\n"
[detail]
columns = [
  { name = "kind", value = "D", length = 1 },
  { name = "invoice", source = "attempt.invoice_number", length = 8 },
  { name = "amount", source = "attempt.amount", type = "amount", format = "0v00", length = 12 },
  { name = "date", source = "attempt.execute_date", type = "date", format = "ddMMyyyy", length = 8 },
]
[trailer]
columns = [
  { name = "kind", value = "T", length = 1 },
  { name = "count", source = "file.count", type = "integer", length = 10 },
  { name = "total", source = "file.total", type = "amount", length = 18 },
]
"""


def fixed(rows: list[tuple[str, int]]) -> bytes:
    lines = [f"D{invoice:<8}{amount * 100:012d}23112026" for invoice, amount in rows]
    lines.append(f"T{len(rows):010d}{sum(amount for _, amount in rows):018d}")
    return "".join(f"{line}\n" for line in lines).encode()


def test_fixed_width_batch() -> None:
    batch = read_file(parse_layout(FIXED), fixed([("A1", 150_000), ("B2", 0)]))
    assert batch.fields == ("attempt.invoice_number", "attempt.amount", "attempt.execute_date")
    assert batch.details == [("A1", 150_000, date(2026, 11, 23)), ("B2", 0, date(2026, 11, 23))]
    assert batch.trailer == {"file.count": 2, "file.total": 150_000}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-1], "does not end"),
        (lambda data: data[:-40], "does not end|wide"),
        (lambda data: data.replace(b"T0000000002", b"T0000000003"), "says 3 lines"),
        (lambda data: data.replace(b"150000" + b"00", b"150001" + b"00", 1), "add up"),
        (lambda data: data.replace(b"23112026", b"31112026", 1), "out of range"),
        (lambda data: data.replace(b"D", b"X", 1), "constant"),
        (lambda data: data.replace(b"A1 ", b"A1\x00", 1), "control character"),
        (lambda data: b"", "missing|does not end"),
    ],
)
def test_broken_files_are_refused(change, reason: str) -> None:
    with pytest.raises(BadFileError, match=reason):
        read_file(parse_layout(FIXED), change(fixed([("A1", 150_000), ("B2", 1)])))


def test_what_is_written_is_read_again() -> None:
    layout = parse_layout(FIXED)
    rows = [{"attempt.invoice_number": "A1", "attempt.amount": 7, "attempt.execute_date": date(2026, 1, 2)}]
    facts = {"file.count": 1, "file.total": 7}
    assert read_file(layout, write(layout, {}, rows, facts)).details == [("A1", 7, date(2026, 1, 2))]


@pytest.mark.parametrize(
    ("form", "amount", "text"),
    [
        ("0", 1500, "1500"),
        ("0.00", 1500, "1500.00"),
        ("0,00", 7, "7,00"),
        ("0v00", 7, "700"),
        ("0.0", 7, "7.0"),
        ("#,##0.00", 1500000, "1,500,000.00"),
        ("#.##0", 15, "15"),
    ],
)
def test_amount_forms(form: str, amount: int, text: str) -> None:
    assert AmountForm.of(form).write(amount) == text
    assert AmountForm.of(form).read(text) == amount


@pytest.mark.parametrize(
    ("form", "text"), [("0", "1.5"), ("0.00", "1.50"), ("0.00", "1"), ("0v00", "750"), ("#,##0", "15,00"), ("0", "")]
)
def test_amounts_that_are_no_whole_rupiah(form: str, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller adds the words
        AmountForm.of(form).read(text)


def test_a_layout_that_is_not_understood(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('name = "x"\nkind = "batch"\n[detail]\ncolumns = [{ name = "a", type = "blob" }]')
    with pytest.raises(BadLayoutError, match="blob"):
        load_layout(tmp_path / "x.toml")
    with pytest.raises(BadLayoutError, match="nowhere"):
        load_layout(tmp_path / "nowhere.toml")
