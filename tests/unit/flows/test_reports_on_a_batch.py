"""Reports on the same batches: lines are held against those of others wherever there are any (`report_batch`)."""

import random

import pytest

from include.domain.errors import NotAllowed
from include.flows.reingest import reingest
from include.flows.verify import findings
from include.ledger import matching
from tests.flows_harness import charge

BY = {"by": "ani", "why": "the bank told us what the code means"}
_CODES = ("0000", "0000", "0051", "0004", "ZZZZ", "0011")
_SEEDS = range(6)


def _report(merchant, chosen, name):
    lines = [
        (chosen.choice(merchant.numbers), chosen.choice((100_000, 100_000, 90_000)), chosen.choice(_CODES))
        for _ in range(chosen.randint(1, 5))
    ]
    paid = sum(code in ("0000", "0011") for _, _, code in lines)
    merchant.report(*lines, name=name, success=paid, failed=len(lines) - paid)


def _played(merchant, seed):
    """Two batches, some reports on both, a code listed and two reports read again, one more report."""
    chosen = random.Random(seed)
    for letter in "CD":
        merchant.list_charges(*(charge(f"{letter}{number}", 100_000) for number in range(1, 4)))
        merchant.submit()
    merchant.later(hours=48)
    merchant.numbers = [number for _, number in sorted(merchant.invoices().items())]
    for number in range(chosen.randint(2, 5)):
        _report(merchant, chosen, f"RPT_{number}.TXT")
    merchant.later(minutes=20)
    merchant.reconcile()
    code = {"code": "ZZZZ", "class": chosen.choice(("retry_later", "never")), "meaning": "x", "source": "x"}
    merchant.changed({"codes": [{**code, "certainty": "assumed"}]})
    for number in range(2):
        try:
            reingest(merchant.context, file_name=f"RPT_{number}.TXT", **BY)
        except NotAllowed:  # it decided already
            continue
    _report(merchant, chosen, "RPT_9.TXT")
    merchant.later(minutes=20)
    merchant.reconcile()
    assert list(findings(merchant.context)) == []
    assert merchant.sql("SELECT count(*) AS many FROM batch") == [{"many": 2}]
    return [
        merchant.sql("SELECT report_id, line_no, status, line_class FROM report_line ORDER BY report_id, line_no"),
        merchant.sql("SELECT invoice_number, status, response_code, amount FROM outcome ORDER BY 1, 2"),
        merchant.sql("SELECT kind, subject, amount, details, state FROM recon_break ORDER BY kind, subject"),
    ]


@pytest.mark.parametrize("seed", _SEEDS)
def test_what_is_left_out_where_a_batch_has_one_report_would_have_found_nothing(make_merchant, monkeypatch, seed):
    short = _played(make_merchant(), seed)
    monkeypatch.setattr(matching, "_OTHERS", "SELECT 1 WHERE :report_id > 0")  # as if there always were another one
    assert _played(make_merchant(), seed) == short
