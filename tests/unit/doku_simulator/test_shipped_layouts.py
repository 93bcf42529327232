"""The layouts that the package ships, read as data: the simulator does a whole batch in each of them."""

from datetime import date, datetime
from pathlib import Path

import pytest

from tests.doku_simulator.envelope import open_sealed
from tests.doku_simulator.layout import Value, load_layout, read_file, write_file
from tests.unit.doku_simulator.conftest import Start

SHIPPED = Path(__file__).resolve().parents[3] / "include" / "config" / "layouts"


def facts(number: int) -> dict[str, Value]:
    return {
        "attempt.line_no": number,
        "attempt.invoice_number": f"INS{number:010d}",
        "attempt.charge_id": f"CH{number}",
        "attempt.customer_id": f"C{number}",
        "attempt.billing_number": f"B{number}",
        "attempt.token": f"tok_{number:032d}",
        "attempt.amount": 158_100,
        "attempt.currency": "IDR",
        "attempt.execute_date": date(2026, 11, 23),
        "attempt.due_date": date(2026, 11, 23),
        "attempt.channel": "CARD",
        "attempt.description": "Premi November",
    }


@pytest.mark.parametrize("pair", ["assumed", "fixed-width"])
def test_a_batch_in_a_shipped_layout(start: Start, pair: str) -> None:
    batch_layout, report_layout = SHIPPED / f"{pair}-batch.toml", SHIPPED / f"{pair}-report.toml"
    if not (batch_layout.exists() and report_layout.exists()):
        pytest.fail(f"the package ships no {pair} layouts any more: name the new ones here")
    layout = load_layout(batch_layout)
    rows = [facts(number) for number in range(1, 4)]
    whole: dict[str, Value] = {
        "file.name": "TKN1.TXT",
        "file.count": 3,
        "file.total": 3 * 158_100,
        "batch.merchant": "M1",
        "batch.currency": "IDR",
        "batch.sequence": 1,
        "batch.business_date": date(2026, 11, 23),
        "batch.execute_date": date(2026, 11, 23),
    }
    with start(batch_layout=batch_layout, report_layout=report_layout) as merchant:
        data = merchant.sealed(write_file(layout, whole, [{**row, **whole} for row in rows], whole))
        (merchant.simulator.inbound / "TKN1.TXT").write_bytes(data)
        (result,) = merchant.simulator.process_once()
        assert (result.event, result.by_code) == ("processed", {"0000": 3}), result.reason
        sealed = (merchant.simulator.outbound / "RPT_TKN1.TXT").read_bytes()
        plain = open_sealed(sealed, merchant.simulator.keys.private("merchant"), merchant.simulator.config.envelope)
        report = read_file(load_layout(report_layout), plain)
        lines = [dict(zip(report.fields, line, strict=True)) for line in report.details]
        assert [line["line.invoice_number"] for line in lines] == [row["attempt.invoice_number"] for row in rows]
        assert {line["line.response_code"] for line in lines} == {"0000"}
        assert {line["line.amount"] for line in lines} == {158_100}
        assert all(isinstance(line["line.charged_at"], datetime) for line in lines)
        assert {**report.header, **report.trailer}["file.count"] == 3
