"""A summary with many lines behind it: the figures tie, the page stays small, and the time is printed.

SWEEP=all makes it a million lines and more; otherwise it is a sample.
"""

import os
import sys
import time
from datetime import timedelta

import pytest

from include.domain.states import RunKind
from include.flows.summarise import summarise, summary_now
from tests.flows_harness import BUSINESS_DATE
from tests.merchants.long_history import LongHistory

ROWS = 17_000 if os.environ.get("SWEEP") == "all" else 250


def test_a_summary_of_two_months(merchant_on_each, capsys):
    merchant = merchant_on_each
    attempts = LongHistory(merchant.ledger, BUSINESS_DATE, ROWS).fill()
    merchant.later(hours=9)
    run = merchant.run(RunKind.RECONCILE)
    begun = time.monotonic()
    (made,) = summarise(merchant.context, run.run_id)
    seconds = time.monotonic() - begun
    (kept,) = merchant.sql("SELECT page FROM summary")
    size = len(b"".join(merchant.context.artefacts.read(kept["page"])))
    with capsys.disabled():
        kind = merchant.ledger.engine.dialect.name
        sys.stdout.write(f"\n{attempts:,} attempts in {kind}: summarised in {seconds:.1f} s, {size / 1024:.0f} KiB\n")
    assert made.business_date == BUSINESS_DATE
    assert size < 300 * 1024
    sheet = summary_now(merchant.context, BUSINESS_DATE)[1]
    cells = [line.split(",") for line in sheet.splitlines()]
    window = {line[3]: (int(line[6]), int(line[7])) for line in cells if line[2] == "window"}
    assert window["sent"][0] == attempts
    parts = [window[name] for name in ("paid", "declined", "withdrawn", "unknown", "awaiting", "reversed")]
    assert tuple(map(sum, zip(*parts, strict=True))) == window["sent"]
    (paid,) = merchant.sql(
        "SELECT count(*) AS n, sum(a.amount) AS amount FROM outcome o JOIN attempt a USING (invoice_number) "
        "WHERE o.status = 'paid' AND a.attempt_no = 2"
    )
    assert window["recovered"] == (paid["n"], int(paid["amount"]))


@pytest.mark.parametrize("days", [1, 59])
def test_an_earlier_day_of_it_costs_no_more(merchant, days):
    LongHistory(merchant.ledger, BUSINESS_DATE, 20).fill()
    day = BUSINESS_DATE - timedelta(days=days)
    page = summary_now(merchant.context, day)[0]
    assert f"{day.day} {day:%b %Y}" in page
