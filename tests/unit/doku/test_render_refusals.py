"""A file that holds a value outside its declared domain cannot be made."""

from datetime import date

import pandas as pd
import pytest

from include.doku.layouts.render import render_file
from include.domain.errors import FileRefused
from tests.unit.doku.samples import chain, facts, rendered, rows, shipped

BATCH = shipped("assumed-batch")
FIXED = shipped("fixed-width-batch")


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="string[pyarrow]")


@pytest.mark.parametrize(
    ("layout", "change", "column", "reason"),
    [
        (BATCH, {"token": text("a" * 8, "a" * 129)}, "token", "longer than 128"),
        (BATCH, {"token": text("a" * 8, "b|c")}, "token", "character"),
        (BATCH, {"token": text("a" * 8, "b\nc")}, "token", "character"),
        (BATCH, {"token": text("a" * 8, "b\u00e9c")}, "token", "character"),
        (BATCH, {"token": text("a" * 8, None)}, "token", "empty"),
        (BATCH, {"token": text("a" * 8, "")}, "token", "empty"),
        (BATCH, {"description": text("x", "Premi | jiwa")}, "description", "character"),
        (BATCH, {"description": text("x", "Premi\x00")}, "description", "character"),
        (BATCH, {"description": text("x", "Premi\u200b")}, "description", "character"),
        (BATCH, {"amount": pd.Series([1, -1])}, "amount", "negative"),
        (BATCH, {"amount": pd.Series([1, 10**12])}, "amount", "at most"),
        (BATCH, {"amount": pd.Series([1, None], dtype="Int64")}, "amount", "empty"),
        (BATCH, {"amount": pd.Series([1, 1.5])}, "amount", "whole number"),
        (BATCH, {"currency": text("IDR", "USD")}, "currency", "IDR"),
        (BATCH, {"execute_date": text("2026-01-05", "2026-02-30")}, "execute_date", "not a date"),
        (BATCH, {"execute_date": text("2026-01-05", "20260105")}, "execute_date", "not a date"),
        (BATCH, {"execute_date": text("2026-01-05", None)}, "execute_date", "empty"),
        (FIXED, {"customer_id": text("C1", "C2 ")}, "customer_id", "character"),
        (FIXED, {"description": text("x", "x ")}, "description", "padding"),
        (FIXED, {"amount": pd.Series([1, 10**12])}, "amount", "at most"),
        (FIXED, {"line_no": pd.Series([1, 10**10])}, "line_no", "longer than 10"),
    ],
)
def test_a_value_that_breaks_the_layout(layout, change, column, reason) -> None:
    frame = rows(2).assign(**change)
    with pytest.raises(FileRefused) as caught:
        list(render_file(layout, facts(rows(2)), [frame]))
    refused = caught.value
    assert (refused.line, refused.column) == (3, column)
    assert reason in refused.reason
    assert "b|c" not in str(refused)


@pytest.mark.parametrize(
    "change",
    [
        {"execute_date": text("2026-01-05", "4111111111111111")},
        {"amount": pd.Series([1, "4111111111111111x"], dtype=object)},
        {"amount": pd.Series(["1", "4111111111111111x"], dtype=object)},
        {"amount": pd.Series([1, 4111111111111111 * 10**9], dtype=object)},
        {"token": text("abcdef01", "4111111111111111é")},
        {"token": pd.Series(["abcdef01", {"pan": "4111111111111111"}], dtype=object)},
        {"token": pd.Series([b"abcdef01", b"4111111111111111\xff"], dtype=object)},
    ],
)
def test_nothing_in_a_refusal_carries_the_value(change) -> None:
    with pytest.raises(FileRefused) as caught:
        list(render_file(BATCH, facts(rows(2)), [rows(2).assign(**change)]))
    assert caught.value.column in {"execute_date", "amount", "token"}
    assert "4111111111111111" not in chain(caught.value)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FileRefused, match="no column 'token'"):
        list(render_file(BATCH, facts(rows(2)), [rows(2).drop(columns="token")]))


@pytest.mark.parametrize("change", [{"count": 3}, {"total": 1}])
def test_rows_that_are_not_what_the_facts_say(change) -> None:
    with pytest.raises(FileRefused, match="nothing may be sent"):
        list(render_file(BATCH, facts(rows(2), **change), [rows(2)]))


def test_facts_that_cannot_be_written() -> None:
    with pytest.raises(FileRefused, match="column merchant"):
        rendered(BATCH, rows(1), merchant="A|B")
    with pytest.raises(FileRefused, match="without a line"):
        list(render_file(BATCH, facts(rows(1), count=0, total=0), []))
    with pytest.raises(FileRefused, match="currency"):
        rendered(BATCH, rows(1), currency="XXX")


def test_dates_as_text_and_as_dates_are_the_same() -> None:
    frame = rows(2)
    other = frame.assign(execute_date=text("2026-01-06", "2026-01-06"))
    objects = frame.assign(execute_date=[date(2026, 1, 6)] * 2)
    stamps = frame.assign(execute_date=pd.to_datetime(["2026-01-06"] * 2))
    assert rendered(BATCH, frame) == rendered(BATCH, other) == rendered(BATCH, objects) == rendered(BATCH, stamps)


def test_object_frames_give_the_same_bytes() -> None:
    frame = rows(9)
    plain = frame.astype({name: object for name in frame if frame[name].dtype != frame["amount"].dtype})
    assert rendered(BATCH, frame) == rendered(BATCH, plain)
