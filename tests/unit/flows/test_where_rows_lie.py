"""Where PostgreSQL keeps rows: what is found by invoice number lies in their order (docs/adr/0026)."""

import random

import pytest

from tests.flows_harness import charge
from tests.unit.conftest import POSTGRESQL


@pytest.mark.parametrize("ledger_settings", [POSTGRESQL], indirect=True)
def test_in_the_order_of_invoice_numbers_however_the_report_comes(make_merchant, ledger_settings):
    merchant = make_merchant(ledger_settings)
    merchant.list_charges(*(charge(f"C{number}", 100_000) for number in range(60)))
    merchant.submit()
    merchant.later(hours=24)
    numbers = list(merchant.invoices().values())
    random.Random(7).shuffle(numbers)
    merchant.report(*((number, 100_000, "0000") for number in numbers))
    merchant.later(minutes=20)
    merchant.reconcile()
    for table in ("attempt", "report_line", "outcome"):
        kept = merchant.sql(f"SELECT invoice_number FROM {table} ORDER BY ctid")
        assert [row["invoice_number"] for row in kept] == sorted(numbers), table
