"""Bills: registration, schedules, scheduled charges, amount questions, status; and that a kill loses nothing."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doku_simulator.web.schedule import Schedule
from tests.doku_simulator.web.settings import WIB
from tests.unit.doku_simulator.conftest import Merchant, Play
from tests.unit.doku_simulator.merchant_web import WebMerchant

REGISTER = "/recurring/v1/registration"
GOOD = {"0000": 1}
ALWAYS = {"registrations_succeed": 1.0, "registrations_abandoned": 0.0}


def facts(number: int = 1, **changes: object) -> dict:
    return {
        "billing_number": f"BILL{number}", "customer_id": f"C{number}", "amount": 150_000, "execute_type": "DATE",
        "execute_date": "5", "start": "20261101", **changes,
    }  # fmt: skip


def question(number: int = 1) -> dict:
    return {
        "customer": {"id": f"C{number}"},
        "order": {"amount": 150_000},
        "billing": {
            "billing_number": f"BILL{number}", "execute_type": "DATE", "execute_date": "5", "start_date": "20261101",
        },
    }  # fmt: skip


def charged(web: WebMerchant) -> list[tuple[str, str, int]]:
    return [(one["due_day"], one["billing_number"], one["charged"]) for one in web.simulator.web.recurring]


def test_a_bill_is_registered_by_a_link_and_charged_on_its_day(play: Play) -> None:
    with play(mix=GOOD, **ALWAYS) as web:
        answer = web.ask(REGISTER, question(), "r1")
        assert answer["registration"]["url"].startswith("http://doku.example/checkout/")
        assert web.call(REGISTER, question(), "r1")[0] == 409
        web.simulator.web.advance_to("2026-11-18T20:00:00")
        (told,) = web.inbox.good("registration")
        assert (told["transaction"]["status"], told["billing"]["billing_number"]) == ("SUCCESS", "BILL1")
        assert told["token"]["id"] == web.simulator.web.vault.active("C1")[-1]["token"]
        web.simulator.web.advance_to("2027-01-31")
        assert charged(web) == [("2026-12-05", "BILL1", 150_000), ("2027-01-05", "BILL1", 150_000)]
        paid = web.inbox.good("payment")
        assert [one["card_payment"]["response_code"] for one in paid] == ["00", "00"]
        assert paid[0]["transaction"]["date"].startswith("2026-12-0")
        assert len({one["transaction"]["reference"] for one in paid}) == 2


def test_registrations_fail_and_are_abandoned_by_the_seed(play: Play) -> None:
    with play(registrations_succeed=0.7, registrations_abandoned=0.2) as web:
        for number in range(60):
            web.simulator.web.bills.register(facts(number))
        web.simulator.web.advance_to("2026-11-20")
        states = [bill.status for bill in web.simulator.web.bills.all()]
        assert {states.count(state) > 3 for state in ("active", "failed", "expired")} == {True}
        told = [one["transaction"]["status"] for one in web.inbox.good("registration")]
        assert (told.count("SUCCESS"), told.count("FAILED")) == (states.count("active"), states.count("failed"))


def test_what_is_wrong_with_a_registration_is_said(play: Play) -> None:
    with play(**ALWAYS) as web:
        for number, (path, value) in enumerate(
            [("billing_number", ""), ("execute_date", "29"), ("execute_type", "X"), ("start_date", "tomorrow")]
        ):
            body = question()
            body["billing"][path] = value
            assert web.call(REGISTER, body, f"r{number}")[0] == 400
        assert web.call(REGISTER, {**question(), "order": {"amount": 0.5}}, "r9")[0] == 400
        web.ask(REGISTER, question(), "good")
        web.simulator.web.bills.complete("BILL1")
        assert web.call(REGISTER, question(), "again")[0] == 400


def test_updates_cancelling_and_another_card(play: Play) -> None:
    with play(mix=GOOD, **ALWAYS) as web:
        web.ask(REGISTER, question(), "r1")
        web.simulator.web.bills.complete("BILL1")
        old = web.simulator.web.bills.find("BILL1").token
        change = {"billing": {"billing_number": "BILL1", "execute_date": "7"}, "order": {"amount": 99_000}}
        assert web.ask("/recurring/v1/update", change, "r2")["billing"]["status"] == "ACTIVE"
        web.ask("/recurring/v1/card-update", {"billing": {"billing_number": "BILL1"}}, "r3")
        web.simulator.web.advance_to("2026-12-20")
        assert charged(web) == [("2026-12-07", "BILL1", 99_000)]
        assert web.simulator.web.bills.find("BILL1").token != old
        assert [one["transaction"]["status"] for one in web.inbox.good("card_update")] == ["SUCCESS"]
        cancel = {"billing": {"billing_number": "BILL1"}}
        assert web.ask("/recurring/v1/cancel", cancel, "r4")["billing"]["status"] == "CANCELLED"
        web.simulator.web.advance_to("2027-03-01")
        assert len(charged(web)) == 1
        assert web.call("/recurring/v1/cancel", {"billing": {"billing_number": "OTHER"}}, "r5")[0] == 400


def active(web: WebMerchant, count: int = 1, **changes: object) -> None:
    for number in range(1, count + 1):
        web.simulator.web.bills.register(facts(number, **changes), token=f"tok{number}")


@pytest.mark.parametrize(("same_day", "hour", "days"), [(False, 4, ["15"]), (True, 4, ["05", "15"]), (True, 9, ["15"])])
def test_a_bill_registered_on_its_day(play: Play, same_day: bool, hour: int, days: list[str]) -> None:
    moment = datetime(2026, 12, 5, hour, tzinfo=WIB)
    with play(same_day=same_day, start_at=moment) as web:
        active(web, execute_date="5,15")
        web.simulator.web.advance_to("2026-12-31")
        assert [day[8:] for day, _, _ in charged(web)] == days


def test_declined_charges_are_tried_again_where_configured(play: Play) -> None:
    with play(mix={"0051": 1}, charge_retry_days=(1, 3)) as web:
        active(web)
        web.simulator.web.advance_to("2026-12-31")
        days = [(one["due_day"], one["charged_at"][:10], one["number"]) for one in web.simulator.web.recurring]
        assert [(due, number) for due, _, number in days] == [("2026-12-05", 0), ("2026-12-05", 1), ("2026-12-05", 2)]
        assert len({one["reference"] for one in web.simulator.web.recurring}) == 3
        assert [one["transaction"]["status"] for one in web.inbox.good("payment")] == ["FAILED"] * 3


@pytest.mark.parametrize(("dialect", "answer"), [("json", b'{"order":{"amount":77000}}'), ("onecheckout", b"77000.00")])
def test_varying_amounts_are_asked(play: Play, dialect: str, answer: bytes) -> None:
    with play(mix=GOOD, dialect=dialect) as web:
        active(web, 2, amount=None)
        web.inbox.amounts["BILL1"] = answer
        web.simulator.web.advance_to("2026-12-10")
        assert charged(web) == [("2026-12-05", "BILL1", 77_000)]
        assert len(web.inbox.good("amount")) == 3, "who did not answer is asked once more"
        assert [one["event"] for one in web.simulator.web.history][-1] == "skipped"
        web.simulator.web.advance_to("2027-01-10")
        assert [day for day, _, _ in charged(web)] == ["2026-12-05", "2027-01-05"]


def test_without_an_amount_it_may_also_be_declined(play: Play) -> None:
    with play(no_amount="decline", amount_asks=1) as web:
        active(web, amount=None)
        web.simulator.web.advance_to("2026-12-10")
        ((_, _, moved),) = charged(web)
        assert moved == 0
        assert web.inbox.good("payment")[0]["card_payment"]["response_code"] == "13"


def test_amounts_may_be_sent_instead(play: Play) -> None:
    with play(mix=GOOD, amount_supply="push") as web:
        active(web, amount=None)
        for period, amount in (("2026-12-05", 60_000), ("2027-01-05", 70_000)):
            body = {"billing": {"billing_number": "BILL1", "period": period}, "order": {"amount": amount}}
            web.ask("/recurring/v1/update", body, period)
        web.simulator.web.advance_to("2027-02-28")
        assert [moved for _, _, moved in charged(web)] == [60_000, 70_000]
        assert not web.inbox.good("amount")


def test_scheduled_charges_can_be_asked_for(play: Play) -> None:
    with play(mix={"0000": 1, "5536": 3, "0051": 1}) as web:
        active(web, 12)
        web.simulator.web.advance_to("2026-12-10")
        for one in web.simulator.web.recurring:
            right = "SUCCESS" if one["charged"] else "FAILED"
            for number in (one["reference"], one["request_id"], f"{one['billing_number']}-20261205"):
                answer = web.ask(f"/orders/v1/status/{number}")
                assert answer["transaction"]["status"] == right
                assert answer["order"]["invoice_number"] == one["reference"]
        told = {one["transaction"]["status"] for one in web.inbox.good("payment")}
        assert told == {"SUCCESS", "FAILED", "TIMEOUT"}


def test_the_status_of_a_registration(play: Play) -> None:
    with play(registrations_abandoned=1.0) as web:
        web.ask(REGISTER, question(), "r1")
        assert web.ask("/orders/v1/status/r1")["transaction"]["status"] == "PENDING"
        web.simulator.web.advance_to("2026-11-25")
        assert web.ask("/orders/v1/status/r1")["transaction"]["status"] == "EXPIRED"


LAYOUT = """
name = "register"
kind = "register"
[file]
[header]
columns = [{ name = "type", value = "H" }, { name = "count", source = "file.count" }]
[detail]
columns = [
    { name = "billing_number", source = "bill.billing_number" },
    { name = "customer_id", source = "bill.customer_id" },
    { name = "amount", source = "bill.amount", type = "amount", required = false },
    { name = "type", source = "bill.schedule" },
    { name = "on", source = "bill.schedule_on" },
    { name = "start", source = "bill.starts_on", type = "date" },
    { name = "token", source = "bill.token", required = false },
]
"""


@pytest.mark.parametrize("sealed", [True, False])
def test_bills_are_registered_by_file(play: Play, tmp_path: Path, sealed: bool) -> None:
    layout = tmp_path / "register.toml"
    layout.write_text(LAYOUT)
    lines = ["H|3", "B1|C1|5000|DATE|5,20|20261101|tokA", "B2|C2||DAY|MON|20261101|", "B3|C3|1|DATE|31|20261101|"]
    plain = "".join(f"{line}\r\n" for line in lines).encode()
    with play(register_layout=layout, register_sealed=sealed, **ALWAYS) as web:
        data = Merchant(web.simulator).sealed(plain) if sealed else plain
        for name in ("REG1.TXT", "REG2.TXT"):
            (web.simulator.inbound / name).write_bytes(data)
            web.simulator.process_once()
        assert {bill.billing_number: bill.status for bill in web.simulator.web.bills.all()} == {
            "B1": "active", "B2": "pending",
        }  # fmt: skip
        files = [one for one in web.simulator.web.history if one["event"].startswith("file")]
        assert [one["event"] for one in files] == ["file processed", "file again"]
        assert [one["billing_number"] for one in files[0]["refused"]] == ["B3"]
        web.simulator.web.advance_to("2026-11-19")
        assert len(web.inbox.good("registration")) == 2


def test_a_register_file_that_cannot_be_read_is_rejected(play: Play, tmp_path: Path) -> None:
    layout = tmp_path / "register.toml"
    layout.write_text(LAYOUT)
    with play(register_layout=layout) as web:
        (web.simulator.inbound / "REG1.TXT").write_bytes(b"nonsense")
        web.simulator.process_once()
        assert web.simulator.web.history[-1]["event"] == "file rejected"


class Killed(BaseException):
    pass


def test_a_kill_at_any_write_charges_nothing_twice(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill before a commit: the journals may know more than the state, and no charge is made twice."""
    from tests.doku_simulator.web.agenda import Agenda

    with play(root=tmp_path / "whole", mix={"0000": 3, "0051": 1}, charge_retry_days=(2,)) as web:
        active(web, 4)
        web.simulator.web.advance_to("2027-01-10")
        whole = web.simulator.web.recurring
    original = Agenda.plan
    for turn in range(0, 24, 5):
        left = [turn]

        def plan(self: Agenda, *args: object, left: list[int] = left, **facts: object) -> int:
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            return original(self, *args, **facts)  # type: ignore[arg-type]

        root = tmp_path / f"kill{turn}"
        with play(root=root, mix={"0000": 3, "0051": 1}, charge_retry_days=(2,)) as web:
            active(web, 4)
            monkeypatch.setattr(Agenda, "plan", plan)
            with pytest.raises(Killed):
                web.simulator.web.advance_to("2027-01-10")
            monkeypatch.setattr(Agenda, "plan", original)
        with play(root=root, mix={"0000": 3, "0051": 1}, charge_retry_days=(2,)) as web:
            web.simulator.web.advance_to("2027-01-10")
            assert web.simulator.web.recurring == whole
            assert len({one["reference"] for one in whole}) == len(whole)


DAYS = st.dates(date(2026, 1, 1), date(2028, 12, 31))


@given(
    kind=st.sampled_from(("DAY", "DATE", "FULLDATE")),
    data=st.data(),
    start=DAYS,
    length=st.none() | st.integers(0, 700),
    day=DAYS,
)
def test_next_is_the_first_due_day(kind: str, data: st.DataObject, start: date, length: int | None, day: date) -> None:
    some = {
        "DAY": st.sampled_from(("MON", "THU", "SUN")), "DATE": st.integers(1, 28).map(str),
        "FULLDATE": DAYS.map(lambda one: f"{one:%Y%m%d}"),
    }[kind]  # fmt: skip
    months = data.draw(st.lists(st.sampled_from(("JAN", "FEB", "NOV")), max_size=2))
    end = None if length is None else start + timedelta(days=length)
    schedule = Schedule.read(kind, data.draw(st.lists(some, min_size=1, max_size=3)), months, start, end)
    walked = (day + timedelta(days=number) for number in range(1200))
    assert schedule.next(day) == next((one for one in walked if schedule.due(one)), None)


def test_the_same_seed_gives_the_same_month(play: Play, tmp_path: Path) -> None:
    def month(name: str) -> list[dict]:
        with play(root=tmp_path / name, start_at=datetime(2026, 1, 1, tzinfo=WIB)) as web:
            for number in range(20):
                web.simulator.web.bills.register(facts(number, start="20260101"))
            web.simulator.web.advance_to("2026-02-28")
            assert json.loads((web.simulator.config.root / "recurring.jsonl").read_text().splitlines()[0])
            return web.simulator.web.recurring

    assert month("one") == month("two")
