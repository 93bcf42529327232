"""Which facts a column of one of our files may carry, and of which types (the first is the default)."""

from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["batch", "report", "register"]
ColumnType = Literal["text", "integer", "amount", "date", "datetime"]
SourceTypes = Mapping[str, tuple[ColumnType, ...]]

IGNORED: Final = "ignored"
"""Source of a column that a report has and nobody here needs: checked for its characters and its length, then "
"dropped."""

_TEXT: Final[tuple[ColumnType, ...]] = ("text",)
_INTEGER: Final[tuple[ColumnType, ...]] = ("integer",)
_AMOUNT: Final[tuple[ColumnType, ...]] = ("amount",)
_DATE: Final[tuple[ColumnType, ...]] = ("date",)

_BATCH: Final[SourceTypes] = {
    "batch.merchant": _TEXT,
    "batch.business_date": _DATE,
    "batch.execute_date": _DATE,
    "batch.sequence": _INTEGER,
    "batch.currency": _TEXT,
}

LINE_SOURCES: Final[Mapping[Kind, SourceTypes]] = {
    "batch": {
        "attempt.line_no": _INTEGER,
        "attempt.invoice_number": _TEXT,
        "attempt.charge_id": _TEXT,
        "attempt.customer_id": _TEXT,
        "attempt.billing_number": _TEXT,
        "attempt.token": _TEXT,
        "attempt.amount": _AMOUNT,
        "attempt.currency": _TEXT,
        "attempt.execute_date": _DATE,
        "attempt.due_date": _DATE,
        "attempt.channel": _TEXT,
        "attempt.description": _TEXT,
        **_BATCH,
    },
    "report": {
        "line.invoice_number": _TEXT,
        "line.billing_number": _TEXT,
        "line.customer_id": _TEXT,
        "line.token": _TEXT,
        "line.amount": _AMOUNT,
        "line.currency": _TEXT,
        "line.response_code": _TEXT,
        "line.response_message": _TEXT,
        "line.approval_code": _TEXT,
        "line.masked_card": _TEXT,
        "line.bank": _TEXT,
        "line.channel": _TEXT,
        "line.network": _TEXT,
        "line.advice_code": _TEXT,
        "line.charged_at": ("datetime", "date"),
        "line.status": _TEXT,
        IGNORED: _TEXT,
    },
    "register": {
        "bill.line_no": _INTEGER,
        "bill.billing_number": _TEXT,
        "bill.customer_id": _TEXT,
        "bill.customer_name": _TEXT,
        "bill.email": _TEXT,
        "bill.phone": _TEXT,
        "bill.amount": _AMOUNT,
        "bill.currency": _TEXT,
        "bill.flat": _TEXT,
        "bill.execute_type": _TEXT,
        "bill.execute_on": _TEXT,
        "bill.execute_months": _TEXT,
        "bill.starts_on": _DATE,
        "bill.ends_on": _DATE,
        "bill.description": _TEXT,
        "batch.merchant": _TEXT,
        "batch.business_date": _DATE,
        "batch.sequence": _INTEGER,
        "batch.currency": _TEXT,
    },
}
"""Facts of a detail line. Those of `batch.` are the same on every line."""

HEADER_SOURCES: Final[Mapping[Kind, SourceTypes]] = {
    "batch": {
        "file.name": _TEXT,
        "file.count": _INTEGER,
        "file.total": _AMOUNT,
        **_BATCH,
    },
    "report": {
        "file.name": _TEXT,
        "file.batch_name": _TEXT,
        "file.count": _INTEGER,
        "file.total": _AMOUNT,
        "file.success_count": _INTEGER,
        "file.failed_count": _INTEGER,
        "file.success_total": _AMOUNT,
        "file.failed_total": _AMOUNT,
        "file.batch_count": _INTEGER,
        "file.batch_total": _AMOUNT,
        "file.date": ("date", "datetime"),
        "file.part": _INTEGER,
        "file.parts": _INTEGER,
        IGNORED: _TEXT,
    },
    "register": {
        "file.name": _TEXT,
        "file.count": _INTEGER,
        "file.total": _AMOUNT,
        "batch.merchant": _TEXT,
        "batch.business_date": _DATE,
        "batch.sequence": _INTEGER,
        "batch.currency": _TEXT,
    },
}
"""Facts of a header or a trailer. `file.count` and `file.total` are of the file's own lines and are checked against
them; `file.batch_count` and `file.batch_total` are of the whole batch where its report comes in parts, and are not."""

KEPT_LENGTHS: Final[Mapping[str, int]] = {
    "line.invoice_number": 64,
    "line.response_code": 10,
    "line.approval_code": 40,
    "line.masked_card": 30,
    "line.bank": 60,
}
"""Most characters of a report's facts that are kept: a column may be wider, a longer value refuses the file."""

REQUIRED_SOURCES: Final[Mapping[Kind, tuple[tuple[tuple[str, ...], tuple[Literal["header", "detail"], ...]], ...]]] = {
    "batch": (
        (("attempt.invoice_number",), ("detail",)),
        (("attempt.token",), ("detail",)),
        (("attempt.amount",), ("detail",)),
        (("attempt.execute_date", "batch.execute_date"), ("detail", "header")),
    ),
    "report": (
        (("line.invoice_number",), ("detail",)),
        (("line.amount",), ("detail",)),
        (("line.response_code",), ("detail",)),
    ),
    "register": (
        (("bill.billing_number",), ("detail",)),
        (("bill.customer_id",), ("detail",)),
        (("bill.execute_type",), ("detail",)),
        (("bill.execute_on",), ("detail",)),
        (("bill.starts_on",), ("detail",)),
    ),
}
"""What a layout cannot do without: one of the sources, in one of the sections."""
