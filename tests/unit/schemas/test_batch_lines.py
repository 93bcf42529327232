"""Batch lines keep their shape, and a frame that does not is refused without being shown."""

from datetime import date
from typing import Any

import pandas as pd
import pytest

from include.schemas.batch_lines import BatchLines, check_batch_lines
from include.schemas.shape import ShapeError

LINE: dict[str, Any] = {
    "line_no": 1,
    "invoice_number": "INV0000000000001",
    "charge_id": "C1",
    "customer_id": "K1",
    "billing_number": None,
    "token": "secret-token-0123456789",
    "amount": 1500000,
    "currency": "IDR",
    "execute_date": date(2026, 11, 22),
    "due_date": date(2026, 11, 20),
    "channel": "CREDIT_CARD",
    "description": None,
}


def _frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([LINE | row for row in rows], columns=list(LINE))


def test_types_are_brought_about() -> None:
    frame = check_batch_lines(_frame({}, {"line_no": 2, "invoice_number": "INV2", "description": "Premi"}))
    assert frame.dtypes.astype(str).to_dict() == {
        **dict.fromkeys(LINE, "string[pyarrow]"),
        "line_no": "int64",
        "amount": "int64",
        "execute_date": "date32[day][pyarrow]",
        "due_date": "date32[day][pyarrow]",
    }
    assert frame["amount"].tolist() == [1500000, 1500000]


@pytest.mark.parametrize(
    "change",
    [
        {"line_no": 0},
        {"amount": 0},
        {"amount": 10**12},
        {"currency": "USD"},
        {"token": ""},
        {"token": None},
        {"invoice_number": "x" * 65},
        {"execute_date": None},
        {"customer_id": ""},
    ],
)
def test_what_could_not_be_sent_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ShapeError) as caught:
        check_batch_lines(_frame(change))
    assert LINE["token"] not in str(caught.value)


def test_an_invoice_number_stands_once() -> None:
    with pytest.raises(ShapeError):
        check_batch_lines(_frame({}, {"line_no": 2}))


def test_no_other_column_is_let_in() -> None:
    with pytest.raises(ShapeError):
        check_batch_lines(_frame({}).assign(card_number="x"))


def test_every_column_is_described() -> None:
    assert all(column.description for column in BatchLines.to_schema().columns.values())
