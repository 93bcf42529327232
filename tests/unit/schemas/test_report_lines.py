"""Report lines keep their shape; a whole card number in a report is masked before anything is kept."""

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from include.schemas.report_lines import ReportLines, check_report_lines
from include.schemas.shape import ShapeError, checked

LINE: dict[str, Any] = {"line_no": 2, "invoice_number": "INV1", "amount": 1500000, "response_code": "0000"}


def test_the_least_that_a_report_says_is_enough() -> None:
    frame = check_report_lines(pd.DataFrame([LINE]))
    assert frame.dtypes.astype(str).to_dict() == {
        "line_no": "int64",
        "invoice_number": "string[pyarrow]",
        "amount": "int64",
        "response_code": "string[pyarrow]",
    }


def test_what_else_it_says_may_be_empty() -> None:
    more = {
        "billing_number": None, "customer_id": None, "token": None, "currency": "IDR", "response_message": "APPROVED",
        "approval_code": None, "masked_card": "411111******1111", "bank": None, "channel": None, "network": "VISA",
        "advice_code": None, "charged_at": datetime.fromisoformat("2026-11-22T08:00:00"), "status": "SUCCESS",
    }  # fmt: skip
    frame = check_report_lines(pd.DataFrame([LINE | more, LINE | dict.fromkeys(more) | {"line_no": 3}]))
    assert set(frame.columns) == set(ReportLines.to_schema().columns)
    assert str(frame["charged_at"].dtype) == "timestamp[us][pyarrow]"


@pytest.mark.parametrize(
    "change",
    [
        {"invoice_number": None},
        {"response_code": ""},
        {"amount": -1},
        {"line_no": 0},
        {"something_else": "x"},
    ],
)
def test_what_is_no_report_line_is_refused(change: dict[str, Any]) -> None:
    secret = {"token": "secret-token-0123456789"}
    with pytest.raises(ShapeError) as caught:
        check_report_lines(pd.DataFrame([LINE | secret | change]))
    assert secret["token"] not in str(caught.value)


def test_a_card_number_that_doku_did_not_mask_is_masked() -> None:
    row = LINE | {"masked_card": "4111111111111111", "response_message": "card 4111-1111-1111-1111", "bank": None}
    (line,) = check_report_lines(pd.DataFrame([row])).to_dict("records")
    assert line["masked_card"] == "411111******1111"
    assert line["response_message"] == "card 4111-11**-****-1111"
    with pytest.raises(ShapeError, match="no whole card number"):
        checked(ReportLines, pd.DataFrame([row]))


def test_every_column_is_described() -> None:
    assert all(column.description for column in ReportLines.to_schema().columns.values())
