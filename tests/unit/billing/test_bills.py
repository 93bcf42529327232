"""The merchant's view of bills and their table of what became of them, on each database."""

from datetime import UTC, datetime

import pytest

from include.billing.bills import create_status_table, read_wanted_bills, upsert_bill_status
from include.domain.errors import BillingError
from include.schemas.bills import BillLimits, read_bills

NOW = datetime(2026, 11, 20, 1, 2, 3, 456, tzinfo=UTC)
LIMITS = BillLimits(50_000_000, frozenset({"IDR"}))
_VIEW = (
    "CREATE TABLE pledge (no VARCHAR(40), donor VARCHAR(40), amount DECIMAL(18,2), first_day DATE, last_day DATE)",
    (
        "CREATE VIEW doku_bills AS SELECT no AS billing_number, donor AS customer_id, amount, 'IDR' AS currency, "
        "'date' AS schedule, '1,15' AS schedule_on, first_day AS starts_on, last_day AS ends_on, "
        "'link' AS registration, 'wanted' AS status FROM pledge"
    ),
)


def test_the_view_is_read_as_it_is_meant(database):
    database.run(*_VIEW)
    rows = [
        {"no": f"B-{number}", "donor": "K", "amount": amount, "first_day": "2026-11-01", "last_day": last}
        for number, (amount, last) in enumerate([("150000.00", None), (None, "2027-02-28"), ("0.50", None)])
    ]
    database.insert("pledge", rows)
    chunks = list(read_wanted_bills(database.engine, view="doku_bills", chunk_rows=2))
    assert [len(chunk) for chunk in chunks] == [2, 1]
    first, second, third = (one for chunk in chunks for one in read_bills(chunk, 1, LIMITS))
    assert (first.terms.amount, first.terms.schedule.ends_on) == (150_000, None)
    assert (second.terms.amount, str(second.terms.schedule.ends_on)) == (None, "2027-02-28")
    assert third.reasons == "amount:not_whole"


def test_a_view_without_a_needed_column_is_named(database):
    database.run("CREATE TABLE t (no VARCHAR(10))", "CREATE VIEW doku_bills AS SELECT no AS billing_number FROM t")
    with pytest.raises(BillingError, match="customer_id"):
        list(read_wanted_bills(database.engine, view="doku_bills", chunk_rows=2))


def test_the_table_is_written_once_and_changed_in_place(database):
    create_status_table(database.owner)
    row = {
        "billing_source": "s", "billing_number": "B-1", "profile": "p", "customer_id": "K", "state": "asked",
        "reason": "x" * 900, "checkout_url": "https://doku.test/1", "checkout_form": '{"A": "é"}', "asked_at": NOW,
    }  # fmt: skip
    upper = {**row, "billing_number": "b-1"}

    def write(*rows):
        done = upsert_bill_status(database.engine, rows, table="doku_bill_status", now=NOW)
        return done.inserted, done.changed, done.same

    assert write(row, upper) == (2, 0, 0)
    assert write(row, upper) == (0, 0, 2)
    assert write({**row, "state": "active", "checkout_url": None, "masked_card": "4111"}) == (0, 1, 0)
    found = {one["billing_number"]: one for one in database.all("SELECT * FROM doku_bill_status")}
    assert (found["B-1"]["state"], found["B-1"]["checkout_url"], len(found["B-1"]["reason"])) == ("active", None, 500)
    assert found["b-1"]["state"] == "asked"
