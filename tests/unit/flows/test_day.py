"""A whole day by the flows, with the simulated DOKU in the same folder; and again, which changes nothing."""

import pytest

from include.flows.books import books_of_day
from include.flows.verify import findings
from include.ledger.books import totals
from tests.flows_harness import BUSINESS_DATE, charge

# What a further run of the day may add: its own record, its balance, and what it passed over.
_RUN_TABLES = ("run", "run_balance", "run_charge", "quarantined_charge", "quarantine")


def _a_day(merchant):
    merchant.list_charges(
        *(charge(f"C{number:03}", 10_000 + number) for number in range(40)),
        charge("NO-TOKEN", token=None),
        charge("HALF", "1000.50"),
        charge("TWICE"),
        charge("TWICE"),
        charge("TWO-FORMS"),
        charge("TWO-FORMS", 99_000),
        charge("OLD", due_date="2026-01-01"),
    )


def test_a_day(merchant_on_each):
    merchant = merchant_on_each
    _a_day(merchant)
    _, (batch_id,) = merchant.submit()
    with merchant.doku() as doku:
        doku.process_once()
        merchant.reconcile()
        charged = {one["invoice_number"] for one in doku.charged}

    books = books_of_day(merchant.context, BUSINESS_DATE)
    assert books["ties"], books["why_not"]
    assert books["rows"]["count"] == 47
    assert books["sent"] == {"count": 41, "amount": sum(10_000 + n for n in range(40)) + 150_000}
    assert books["quarantined"]["count"] == 5
    assert books["held"]["by_reason"] == {"late": {"count": 1, "amount": 150_000}}
    assert merchant.states(batch_id) == [
        "claimed", "sealed", "delivering", "renaming", "delivered", "reconciled",
    ]  # fmt: skip

    told = merchant.told()
    assert len(told) == 41
    assert {told[key]["invoice_number"] for key in told if told[key]["status"] == "paid"} <= charged
    assert sum(one["status"] == "paid" for one in told.values()) == books["paid"]["count"]
    assert list(findings(merchant.context)) == []


def test_the_same_day_again_changes_nothing(merchant_on_each):
    merchant = merchant_on_each
    _a_day(merchant)
    merchant.submit("first")
    with merchant.doku() as doku:
        doku.process_once()
        merchant.reconcile("first reconciliation")
        before, books = merchant.dump(*_RUN_TABLES), books_of_day(merchant.context, BUSINESS_DATE)

        merchant.later(minutes=10)
        merchant.submit("first")
        merchant.reconcile("first reconciliation")
        run, batch_ids = merchant.submit("second")
        merchant.reconcile("second reconciliation")
        doku.process_once()

    assert batch_ids == []
    assert merchant.dump(*_RUN_TABLES) == before
    assert books_of_day(merchant.context, BUSINESS_DATE) == books

    second = books_of_day(merchant.context, BUSINESS_DATE, run.run_id)
    assert second["ties"], second["why_not"]
    assert second["sent"] == {"count": 0, "amount": 0}
    settled = second["settled"]["by_reason"]
    assert settled.pop("paid")["count"] == books["paid"]["count"]
    assert set(settled) <= {"never_again", "mandate_ended"}
    assert second["rows"] == books["rows"]


def test_clearing_a_closed_run_keeps_its_figures(merchant):
    _a_day(merchant)
    run, _ = merchant.submit("first")
    kept = merchant.sql("SELECT * FROM run_balance ORDER BY batch_id, currency, term, detail")
    merchant.later(days=2)
    again, _ = merchant.submit("first")
    assert again.run_id == run.run_id
    assert again.business_date == run.business_date
    assert not again.past
    assert merchant.sql("SELECT * FROM run_balance ORDER BY batch_id, currency, term, detail") == kept


def test_reconcile_without_anything_is_no_error(merchant):
    assert merchant.reconcile() == []
    assert merchant.submit()[1] == []


def test_a_day_of_several_files_has_one_name_and_one_line_for_each_attempt(make_merchant):
    merchant = make_merchant(changes={"limits": {"max_rows_per_batch": 7}})
    merchant.list_charges(*(charge(f"C{number:03}") for number in range(23)))
    run, batch_ids = merchant.submit()
    assert len(batch_ids) == 4
    names = sorted(merchant.server.files("/inbound"))
    assert names == [f"TKN_MCH0001_20261120_{number:04}.TXT" for number in (1, 2, 3, 4)]
    rows = merchant.sql(
        "SELECT batch_id, count(*) AS n, max(line_no) AS last FROM attempt GROUP BY batch_id ORDER BY 1"
    )
    assert [(row["n"], row["last"]) for row in rows] == [(7, 7), (7, 7), (7, 7), (2, 2)]
    with merchant.doku() as doku:
        doku.process_once()
        merchant.reconcile()
        assert len({one["invoice_number"] for one in doku.charged}) == len(doku.charged)
    with merchant.ledger.read() as connection:
        from include.ledger.books import run_lines

        assert totals(run_lines(connection, run.run_id))["IDR", "sent"] == (23, 23 * 150_000)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_the_size_of_chunks_makes_no_difference(make_merchant, chunk):
    merchant = make_merchant(changes={"billing": {"chunk_rows": chunk}})
    _a_day(merchant)
    merchant.submit()
    books = books_of_day(merchant.context, BUSINESS_DATE)
    assert books["ties"]
    assert (books["sent"]["count"], books["quarantined"]["count"], books["held"]["count"]) == (41, 5, 1)
