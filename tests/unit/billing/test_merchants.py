"""The charity's and the provider's databases: what the package reads and writes is there, on every database."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from include.billing.bill_amounts import bill_amounts
from include.billing.bills import check_status_table, read_wanted_bills, upsert_bill_status
from include.billing.due_charges import read_due_charges
from include.billing.outcomes import check_outcomes_table, upsert_outcomes
from include.billing.token_customers import read_token_customers
from include.billing.tokens_table import check_tokens_table, upsert_tokens
from include.schemas.bills import BillLimits, read_bills
from include.schemas.profile import SHIPPED_CONFIG, load_profile
from tests.merchants import donation, internet
from tests.unit.billing.conftest import BillingDatabase

DAY = date(2026, 11, 22)
END_OF_MONTH = date(2026, 12, 31)
NOW = datetime(2026, 11, 21, 23, 0, tzinfo=UTC)


def _read(database: BillingDatabase, merchant: str) -> list[Any]:
    """The bills of the view as the register reads them."""
    limits = BillLimits.of(load_profile(SHIPPED_CONFIG / "profiles" / f"{merchant}.toml"))
    chunks = read_wanted_bills(database.engine, view="doku_bills", chunk_rows=100)
    return [bill for chunk in chunks for bill in read_bills(chunk, 1, limits)]


def _outcome(charge_id: str, status: str) -> dict[str, Any]:
    return {
        "billing_source": "s", "profile": "p", "charge_id": charge_id, "attempt_no": 1, "ledger_id": "l",
        "status": status, "amount": 150_000, "currency": "IDR", "execute_date": DAY,
    }  # fmt: skip


@pytest.mark.parametrize("day", [DAY, END_OF_MONTH])
def test_the_charitys_pledges_are_bills(database: BillingDatabase, day: date) -> None:
    seeded = donation.seed(database.owner, charges=300, business_date=day)
    bills = _read(database, "donation")
    good = [bill.terms for bill in bills if bill.terms is not None]
    wanted = [terms for terms in good if terms.wanted]
    assert len(bills) == seeded.rows == 300
    assert len(bills) - len(good) == sum(seeded.bad.values()) == len(seeded.bad) == 6
    assert len(wanted) == seeded.wanted
    assert sum(day in set(terms.schedule.expected_days(day, day)) for terms in wanted) == seeded.due
    assert Counter(str(terms.registration) for terms in wanted) == {"link": seeded.link, "bulk": seeded.bulk}
    assert all(terms.amount is not None for terms in good)


def test_the_charity_sees_what_was_given(database: BillingDatabase) -> None:
    donation.seed(database.owner, charges=10, business_date=DAY, bad_share=0)
    check_outcomes_table(database.engine)
    check_status_table(database.engine, "doku_bill_status")
    upsert_outcomes(database.engine, [_outcome("PL00000003/2026-11-22", "paid"), _outcome("other/2026-11-22", "paid")])
    (row,) = database.all("SELECT * FROM donations_received")
    assert (row["pledge_number"], str(row["given_on"])[:10], row["status"]) == ("PL00000003", "2026-11-22", "paid")


@pytest.mark.parametrize("day", [DAY, END_OF_MONTH])
def test_the_providers_subscriptions_are_bills_or_invoices(database: BillingDatabase, day: date) -> None:
    seeded = internet.seed(database.owner, charges=300, business_date=day)
    bills = _read(database, "internet")
    good = [bill.terms for bill in bills if bill.terms is not None]
    due = [terms for terms in good if day in set(terms.schedule.expected_days(day, day))]
    assert (len(good), len(due)) == (seeded.bills, seeded.due)
    assert sum(terms.amount is None for terms in good) == seeded.varying
    varying = [terms.billing_number for terms in due if terms.amount is None]
    amounts = bill_amounts(database.engine, "doku_bill_amounts", varying, day, day)
    assert len(varying) - len(amounts) == seeded.unknown
    assert all(one.amount and not one.problem for one in amounts.values())
    listed = [row for chunk in _due(database, day) for row in chunk.to_dict("records")]
    assert len(listed) == seeded.invoices + sum(count for way, count in seeded.bad.items() if way.startswith("invoice"))
    customers = [row for chunk in read_token_customers(
        database.engine, view="doku_token_customers", chunk_rows=50) for row in chunk]  # fmt: skip
    assert {row.customer_id for row in customers} == {row["customer_id"] for row in listed}
    assert {row.channel for row in customers} == {None, "CREDIT_CARD"}


def test_the_provider_charges_the_chosen_token_and_a_subscription_may_change_sides(database: BillingDatabase) -> None:
    internet.seed(database.owner, charges=20, business_date=DAY, bad_share=0)
    check_tokens_table(database.engine)
    customer = database.all("SELECT customer_id, charge_id FROM doku_due_charges ORDER BY charge_id")[0]
    tokens = [
        {
            "billing_source": "s", "profile": "internet", "customer_id": customer["customer_id"], "token": token,
            "channel": "CREDIT_CARD", "status": status, "chosen": chosen, "first_seen": NOW, "last_seen": NOW,
        }
        for token, status, chosen in (("a" * 32, "active", 0), ("b" * 32, "active", 1), ("c" * 32, "lost", 0))
    ]  # fmt: skip
    assert upsert_tokens(database.engine, tokens, now=NOW).inserted == 3
    assert upsert_tokens(database.engine, tokens, now=NOW).same == 3
    rows = database.all(f"SELECT token FROM doku_due_charges WHERE charge_id = '{customer['charge_id']}'")
    assert rows == [{"token": "b" * 32}]
    upsert_outcomes(database.engine, [_outcome(customer["charge_id"], "paid")])
    assert database.all(f"SELECT token FROM doku_due_charges WHERE charge_id = '{customer['charge_id']}'") == []

    number = database.all("SELECT billing_number FROM doku_bills ORDER BY billing_number")[0]["billing_number"]
    status = {
        "billing_source": "s", "billing_number": number, "profile": "internet", "customer_id": "S", "state": "active",
    }  # fmt: skip
    upsert_bill_status(database.engine, [status], table="doku_bill_status", now=NOW)
    database.run("UPDATE subscriptions SET collected_by = 'batch' WHERE subscription_number = :number", number=number)
    (bill,) = [bill for bill in _read(database, "internet") if bill.key == number]
    assert not bill.terms.wanted


def _due(database: BillingDatabase, day: date) -> Any:
    return read_due_charges(database.engine, view="doku_due_charges", columns={}, due_by=day, chunk_rows=100)


@pytest.mark.parametrize("merchant", [donation, internet])
def test_the_same_seed_gives_the_same_rows(
    merchant: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for name in ("one", "two"):
        url = f"sqlite:///{tmp_path / name}.db"
        assert merchant.main(["--url", url, "--charges", "60", "--date", DAY.isoformat()]) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]
    assert said[0]["rows"] == 60
    assert _dump(tmp_path / "one.db") == _dump(tmp_path / "two.db")


def _dump(file: Path) -> list[str]:
    import sqlite3

    return list(sqlite3.connect(file).iterdump())
