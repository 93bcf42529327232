"""Four eyes are two people, whatever their names look like; and whatever gives money up, or may take it twice, asks for
them."""

import pytest

from include.domain.errors import NotAllowed
from include.flows.approve import answer_run
from include.flows.operate import carry_out
from include.flows.people import refuse_nobody, same_person
from include.flows.verify import findings
from tests.flows_harness import charge, lost

NAME = "TKN_MCH0001_20261120_0001.TXT"
WHY = "DOKU says so"


@pytest.mark.parametrize(
    "other",
    ["Budi Santoso", " budi  santoso ", "budi\u00a0santoso", "budi santoso\u200b", "\uff42UDI\tSANTOSO"],
)
def test_a_name_that_only_looks_different_is_the_same_person(other):
    assert same_person("budi santoso", other)


@pytest.mark.parametrize("other", ["budi", "budi santosa", "budisantoso", ""])
def test_another_name_is_another_person(other):
    assert not same_person("budi santoso", other)


@pytest.mark.parametrize("by", ["", " ", "\u200b", "ANONYMOUS\u00a0"])
def test_nobody_stays_nobody(by):
    with pytest.raises(NotAllowed, match="name of a person"):
        refuse_nobody(by, WHY)


def test_who_started_a_run_does_not_approve_it_under_another_spelling(make_merchant):
    merchant = make_merchant(changes={"brakes": {"max_count": 1, "four_eyes": True}})
    merchant.list_charges(charge("C1"), charge("C2"))
    run, _ = merchant.seal(started_by="Ani Wijaya")
    for by in ("ani wijaya", "Ani\u00a0 Wijaya\u200b"):
        with pytest.raises(NotAllowed, match="may not approve it"):
            answer_run(merchant.context, run.run_id, by=by, approve=True, words="ok")
    answer_run(merchant.context, run.run_id, by="Budi", approve=True, words="ok")


@pytest.fixture
def strict(make_merchant):
    """A profile that asks for four eyes, with a charge."""
    merchant = make_merchant(changes={"decisions": {"four_eyes": True}})
    merchant.list_charges(charge("C1"))
    return merchant


def _cancel(merchant):
    return {"charge_id": "C1"}, lambda: merchant.sql("SELECT reason FROM closed_charge") == [{"reason": "cancelled"}]


def _withdrawn(merchant):
    return {"file_name": NAME}, lambda: merchant.batch(1)["state"] == "withdrawn"


def _file_refused(merchant):
    merchant.submit()
    (merchant.remote_root / "inbound" / NAME).unlink()
    return _withdrawn(merchant)


def _never_arrived(merchant):
    def taken() -> None:
        (merchant.remote_root / "inbound" / NAME).unlink()
        raise lost()

    merchant.server.plan("rename", after=taken)
    with pytest.raises(Exception, match="Nobody can say yet"):
        merchant.submit()
    return _withdrawn(merchant)


@pytest.mark.parametrize(
    ("name", "scene"), [("cancel", _cancel), ("file_refused", _file_refused), ("never_arrived", _never_arrived)]
)
def test_it_is_proposed_by_one_and_done_by_another(strict, name, scene):
    about, done = scene(strict)
    said = carry_out(strict.context, name, about, by="budi santoso", why=WHY)
    assert said.startswith("Proposed as number 1")
    assert not done()
    with pytest.raises(NotAllowed, match="may not confirm it"):
        carry_out(strict.context, "confirm", {"proposal": 1}, by="Budi  Santoso", why=WHY)
    assert not done()
    carry_out(strict.context, "confirm", {"proposal": 1}, by="ani", why=WHY)
    assert done()
    details = [row["details"] for row in strict.sql("SELECT details FROM event WHERE actor = 'budi santoso'")]
    assert any('"confirmed_by": "ani"' in one for one in details)
    assert list(findings(strict.context)) == []


def test_what_doku_took_is_not_called_refused_before_its_execute_date_is_over(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    (merchant.remote_root / "inbound" / NAME).rename(merchant.remote_root / "archive" / NAME)
    merchant.later(hours=1)
    with pytest.raises(NotAllowed, match="execute date 2026-11-20, which is not over"):
        carry_out(merchant.context, "file_refused", {"file_name": NAME}, by="ani", why=WHY)
    assert merchant.batch(1)["state"] == "delivered"
    merchant.later(days=1)
    carry_out(merchant.context, "file_refused", {"file_name": NAME}, by="ani", why=WHY)
    assert merchant.batch(1)["state"] == "withdrawn"
