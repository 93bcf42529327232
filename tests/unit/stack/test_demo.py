"""What the demo says of the days after: further attempts that are planned, and the day's page."""

from types import SimpleNamespace

from include.domain.states import RunKind
from include.flows.summarise import summarise
from tests.flows_harness import BUSINESS_DATE, Merchant, charge
from tests.stack.databases import Database
from tests.stack.demo import lines_of, read_afterwards
from tests.stack.scene import Scene


def _scene(merchant: Merchant) -> Scene:
    file = merchant.context.ledger.engine.url.database
    return Scene(
        root=merchant.root,
        merchant=merchant.profile.name,
        business_date=BUSINESS_DATE,
        billing=Database.sqlite(merchant.root / "billing.sqlite"),
        ledger=Database("sqlite", f"sqlite:///{file}", {}),
        remote=SimpleNamespace(files="files"),  # type: ignore[arg-type]
    )


def test_what_is_planned_and_where_the_page_is(make_merchant):
    merchant = make_merchant(changes={"retry": {"enabled": True}})
    merchant.list_charges(charge("C1", 150_000), charge("C2", 250_000), charge("C3", 50_000))
    merchant.submit()
    invoices = merchant.invoices()
    merchant.report(
        (invoices["C1"], 150_000, "0051"), (invoices["C2"], 250_000, "0051"), (invoices["C3"], 50_000, "0000")
    )
    merchant.reconcile()
    (made,) = summarise(merchant.context, merchant.run(RunKind.RECONCILE).run_id)
    found = read_afterwards(_scene(merchant), "IDR")
    assert found["planned"] == {"count": 2, "amount": 400_000}
    assert made.page.endswith(found["summary_page"].removeprefix(str(merchant.root)))
    planned, page = lines_of(found, "IDR")
    assert planned.split("  ")[0] == "Planned re-attempts"
    assert planned.endswith("  2 charges, Rp 400,000")
    assert page.endswith(found["summary_page"])


def test_nothing_planned_and_no_page_is_no_line(make_merchant):
    found = read_afterwards(_scene(make_merchant()), "IDR")
    assert found == {"planned": {"count": 0, "amount": 0}, "summary_page": None}
    assert lines_of(found, "IDR") == []
