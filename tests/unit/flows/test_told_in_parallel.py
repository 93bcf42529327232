"""Several tell the merchant at once: what was read before more was known does not replace it."""

from include.flows import tell_merchant
from include.flows.ingest import ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import conclude_batches, write_back
from include.flows.settle import settle_now
from include.flows.verify import findings
from tests.flows_harness import charge

_WHO = {"evidence": "DOKU's mail", "by": "ani", "why": "asked"}


def test_a_report_told_late_does_not_replace_what_was_settled_meanwhile(merchant_on_each, monkeypatch):
    merchant = merchant_on_each
    merchant.list_charges(charge("C1", 100_000), charge("C2", 100_000))
    merchant.submit()
    merchant.later(hours=2)
    numbers = merchant.invoices()
    merchant.report((numbers["C1"], 100_000, "ZZZZ"), (numbers["C2"], 100_000, "0000"), name="RPT_1.TXT")
    merchant.fetch()
    ingest_fetched(merchant.context)
    conclude_batches(merchant.context, None)
    plan_next_attempts(merchant.context, None)
    write = tell_merchant.upsert_outcomes

    def settled_before_it_is_written(engine, rows, **how):
        read = list(rows)
        monkeypatch.setattr(tell_merchant, "upsert_outcomes", write)
        settle_now(merchant.context, invoice_number=numbers["C1"], outcome="paid", **_WHO)
        assert merchant.told()["C1", 1]["status"] == "paid"
        return write(engine, read, **how)

    monkeypatch.setattr(tell_merchant, "upsert_outcomes", settled_before_it_is_written)
    write_back(merchant.context)
    assert merchant.told()["C1", 1]["status"] == "paid"
    assert merchant.told()["C2", 1]["status"] == "paid"
    assert list(findings(merchant.context)) == []
