"""Quarantine ends when a charge is mended, or when a person releases it; either way it is checked again."""

import pytest

from include.domain.errors import NotAllowed
from include.flows import decisions
from include.flows.books import books_of_day
from include.flows.verify import findings
from include.ledger.quarantine import open_matters
from tests.flows_harness import BUSINESS_DATE, TOKEN, charge

BY = {"by": "ani", "why": "a test"}
BY_PERSON = {"quarantine": {"release": "by_person"}}


def _open(merchant) -> dict[str, str]:
    with merchant.ledger.read() as connection:
        return {one.charge_id: one.reasons for one in open_matters(connection, "insurance-billing")}


def _matter(merchant, charge_id="C1"):
    (row,) = merchant.sql("SELECT * FROM quarantine WHERE charge_id = :c", c=charge_id)
    return row


def _mend(merchant, charge_id="C1"):
    merchant.change_charges("token = :token WHERE charge_id = :id", token=TOKEN, id=charge_id)


def _sent(merchant) -> list[str]:
    return sorted(merchant.invoices())


def test_a_bad_charge_is_shown_with_its_reasons_until_it_is_mended(merchant_on_each):
    merchant = merchant_on_each
    merchant.list_charges(charge("C1", token=None, currency="XXX"), charge("C2"))
    first, _ = merchant.submit()
    assert _sent(merchant) == ["C2"]
    (reasons,) = _open(merchant).values()
    assert {part.split(":")[0] for part in reasons.split(";")} == {"token", "currency"}
    merchant.change_charges("currency = 'IDR' WHERE charge_id = 'C1'")
    second, _ = merchant.submit()
    assert _open(merchant) == {"C1": "token:missing"}
    matter = _matter(merchant)
    assert (matter["first_run_id"], matter["last_run_id"]) == (first.run_id, second.run_id)
    _mend(merchant)
    merchant.submit()
    assert _sent(merchant) == ["C1", "C2"]
    matter = _matter(merchant)
    assert (matter["state"], matter["released_by"]) == ("released", "mended")
    assert list(findings(merchant.context)) == []


def test_a_charge_that_goes_bad_again_is_a_new_matter(merchant):
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()
    _mend(merchant)
    merchant.submit(dry_run=True)
    assert _matter(merchant)["state"] == "open"  # a dry run decides nothing
    decisions.hold(merchant.context, scope="charge", subject="C1", **BY)
    merchant.submit()
    assert _matter(merchant)["state"] == "released"
    merchant.change_charges("token = NULL")
    run, _ = merchant.submit()
    matter = _matter(merchant)
    assert (matter["state"], matter["first_run_id"], matter["released_by"]) == ("open", run.run_id, None)


def test_a_charge_that_is_no_longer_listed_stays_open(merchant):
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()
    merchant.change_charges("due_date = '2027-01-01'")
    merchant.submit()
    assert list(_open(merchant)) == ["C1"]


def test_one_good_and_one_bad_copy_do_not_mend_each_other(merchant):
    merchant.list_charges(charge("C1"), charge("C1", token=None))
    merchant.submit()
    assert list(_open(merchant)) == ["C1"]
    assert _sent(merchant) == []


def test_a_repeated_row_is_no_matter_of_the_charge(merchant):
    merchant.list_charges(charge("C1"), charge("C1"))
    merchant.submit()
    assert _open(merchant) == {}
    assert _sent(merchant) == ["C1"]
    assert books_of_day(merchant.context, BUSINESS_DATE)["quarantined"]["count"] == 1


def test_by_person_a_mended_charge_waits_for_its_release(make_merchant):
    merchant = make_merchant(changes=BY_PERSON)
    merchant.list_charges(charge("C1", token=None), charge("C2"))
    merchant.submit()
    _mend(merchant)
    run, _ = merchant.submit()
    assert _sent(merchant) == ["C2"]
    reasons = merchant.sql("SELECT reasons FROM quarantined_charge WHERE run_id = :r", r=run.run_id)
    assert reasons == [{"reasons": "row:awaiting_release"}]
    assert _open(merchant) == {"C1": "token:missing"}  # what it was quarantined for is still shown
    assert "the next run checks it again" in decisions.release(merchant.context, charge_id="C1", **BY)
    merchant.submit()
    assert _sent(merchant) == ["C1", "C2"]
    (event,) = merchant.sql("SELECT subject, actor FROM event WHERE kind = 'release'")
    assert event == {"subject": "C1", "actor": "ani"}
    assert list(findings(merchant.context)) == []


@pytest.mark.parametrize("release", ["when_mended", "by_person"])
def test_a_release_is_no_pass(make_merchant, release):
    """Released and still bad: quarantined again, and a release of that is asked for again."""
    merchant = make_merchant(changes={"quarantine": {"release": release}})
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()
    decisions.release(merchant.context, charge_id="C1", **BY)
    assert _open(merchant) == {}
    merchant.submit()
    assert _open(merchant) == {"C1": "token:missing"}
    assert _sent(merchant) == []
    _mend(merchant)
    merchant.submit()
    assert _sent(merchant) == ([] if release == "by_person" else ["C1"])


def test_only_what_is_quarantined_is_released_and_only_once(merchant):
    merchant.list_charges(charge("C1", token=None))
    with pytest.raises(NotAllowed, match="quarantine --profile insurance"):
        decisions.release(merchant.context, charge_id="C1", **BY)
    merchant.submit()
    decisions.release(merchant.context, charge_id="C1", **BY)
    with pytest.raises(NotAllowed, match="not in quarantine"):
        decisions.release(merchant.context, charge_id="C1", **BY)


def test_a_released_charge_of_differing_rows(make_merchant):
    merchant = make_merchant(changes=BY_PERSON)
    merchant.list_charges(charge("C1", 100), charge("C1", 200))
    merchant.submit()
    assert _open(merchant) == {"C1": "row:conflicting"}
    merchant.change_charges("amount = 200, due_date = '2027-01-01' WHERE amount = 100")
    decisions.release(merchant.context, charge_id="C1", **BY)
    merchant.submit()
    assert _sent(merchant) == ["C1"]
    assert merchant.sql("SELECT amount FROM attempt") == [{"amount": 200}]
