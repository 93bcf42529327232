"""Rows, facts and layouts for tests; tokens here are made up, card numbers are well-known test numbers."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from include.doku.layouts.facts import FileFacts
from include.doku.layouts.read import FileReader
from include.doku.layouts.render import render_file
from include.schemas.layout import Layout, load_layout

LAYOUTS = Path(__file__).parents[3] / "include" / "config" / "layouts"
SHIPPED = ("assumed-batch", "assumed-report", "fixed-width-batch", "fixed-width-report")
DAY = date(2026, 1, 5)


def shipped(name: str) -> Layout:
    return load_layout(LAYOUTS / f"{name}.toml")


def rows(count: int, start: int = 1) -> pd.DataFrame:
    """Rows that suit every shipped layout, batch or report."""
    numbers = range(start, start + count)
    return pa.table(
        {
            "line_no": pa.array(numbers, pa.int64()),
            "invoice_number": [f"K7QZ{number:014d}01" for number in numbers],
            "charge_id": [f"PREMI-{number}" for number in numbers],
            "customer_id": [f"CUST-{number:05d}" for number in numbers],
            "billing_number": [None if number % 4 == 0 else f"POL{number:07d}" for number in numbers],
            "token": [f"tok_{number:028x}" for number in numbers],
            "amount": pa.array([number * 12_500 + 1 for number in numbers], pa.int64()),
            "currency": ["IDR"] * count,
            "execute_date": pa.array([DAY + timedelta(days=1)] * count, pa.date32()),
            "due_date": pa.array([DAY - timedelta(days=number % 7) for number in numbers], pa.date32()),
            "channel": ["CARD" if number % 2 else None for number in numbers],
            "description": [f"Premi asuransi jiwa {number}" if number % 5 else None for number in numbers],
            "response_code": ["0000" if number % 6 else "0051" for number in numbers],
            "response_message": ["Approved" if number % 6 else "Insufficient funds" for number in numbers],
            "approval_code": [f"{number:06d}" if number % 6 else None for number in numbers],
            "masked_card": ["411111******1111"] * count,
            "bank": ["014"] * count,
            "status": ["SUCCESS" if number % 6 else "FAILED" for number in numbers],
            "charged_at": pa.array([f"2026-01-06 02:{number % 60:02d}:09" for number in numbers]).cast(
                pa.timestamp("s")
            ),
        }
    ).to_pandas(types_mapper=pd.ArrowDtype)


def facts(frame: pd.DataFrame, **other: object) -> FileFacts:
    paid = int((frame["response_code"] == "0000").sum())
    made = FileFacts(
        name="TKN_MCH-0001_20260105_0001.TXT",
        merchant="MCH-0001",
        business_date=DAY,
        execute_date=DAY + timedelta(days=1),
        sequence=1,
        currency="IDR",
        count=len(frame),
        total=int(frame["amount"].sum()),
        batch_name="TKN_MCH-0001_20260105_0001.TXT",
        success_count=paid,
        failed_count=len(frame) - paid,
        date=DAY + timedelta(days=1),
        part=1,
        parts=1,
    )
    return replace(made, **other)


def rendered(layout: Layout, frame: pd.DataFrame, **other: object) -> bytes:
    return b"".join(render_file(layout, facts(frame, **other), [frame]))


def read(
    layout: Layout, data: bytes, *, chunk: int = 1 << 20, rows: int = 50_000, name: str | None = None
) -> tuple[FileReader, pd.DataFrame]:
    reader = FileReader(layout, name or "TKN_MCH-0001_20260105_0001.TXT")
    pieces = (data[start : start + chunk] for start in range(0, len(data), chunk))
    frames = list(reader.frames(pieces, rows))
    return reader, pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def written_again(layout: Layout, reader: FileReader, frame: pd.DataFrame) -> bytes:
    """What the layout would write for what was read: reading is right when this is the file itself."""
    known = {**reader.header, **reader.trailer, **reader.constants}
    made = FileFacts(
        name=reader.name,
        merchant=known.get("merchant", "MCH-0001"),
        business_date=known.get("business_date", DAY),
        execute_date=known.get("execute_date", DAY),
        sequence=known.get("sequence", 1),
        currency=reader.currency,
        count=reader.count,
        total=reader.total,
        **{
            field: known.get(field)
            for field in ("batch_name", "success_count", "failed_count", "date", "part", "parts")
        },
    )
    if "attempt_line_no" in frame:
        frame = frame.drop(columns="line_no").rename(columns={"attempt_line_no": "line_no"})
    return b"".join(render_file(layout, made, [frame]))


def chain(error: BaseException | None) -> str:
    """All that an error carries along, shown or not."""
    return "" if error is None else f"{error!r} {error.__dict__} {chain(error.__context__)} {chain(error.__cause__)}"
