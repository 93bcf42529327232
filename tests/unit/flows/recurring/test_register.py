"""The register: what the view wants is asked for once, and what DOKU says makes each bill what it is."""

from datetime import datetime, timedelta

import pytest

from include.domain.errors import (
    ApiAnswerUnreadable,
    ApiRefused,
    ApiUnauthorised,
    ApiUnreachable,
    BillingError,
    ConfigError,
    NotAllowed,
)
from include.domain.states import NotificationKind
from include.flows.housekeeping import tidy
from include.flows.recurring.cancel import bill_ended, cancel_bill
from include.flows.recurring.changes import ask_again, bill_updated
from tests.register_harness import RECURRING, TOKEN, Register, wanted

WHO = {"by": "ani", "why": "asked by phone"}


@pytest.fixture
def bills(make_merchant) -> Register:
    return Register(make_merchant(changes=RECURRING))


@pytest.fixture
def bills_on_each(make_merchant, ledger_settings) -> Register:
    return Register(make_merchant(ledger_settings, changes=RECURRING))


def test_a_bill_from_the_view_to_the_first_charge_and_to_its_end(bills_on_each):
    bills = bills_on_each
    bills.want(wanted())
    bills.register()
    assert bills.state() == "asked"
    ((path, body, _),) = bills.api.calls
    assert path == "/recurring/v1/registration"
    assert body == {
        "customer": {"id": "K-1", "name": "Ani", "email": "ani@example.org"},
        "order": {"amount": 100000, "currency": "IDR"},
        "billing": {
            "billing_number": "B-1", "description": "Donasi", "start_date": "20261101", "execute_type": "DATE",
            "execute_date": "20", "flat_status": "TRUE",
        },
    }  # fmt: skip
    assert bills.told()["checkout_url"].startswith("https://doku.test/pay/")
    bills.merchant.later(minutes=5)
    bills.hear(bills.registered())
    assert bills.take_in().states == {"done": 1}
    assert (bills.state(), bills.bill()["masked_card"], bills.bill()["token"]) == ("active", "411111******1111", TOKEN)
    bills.want(wanted(status="cancelled"))
    bills.register()
    assert bills.state() == "cancelled"
    assert bills.api.calls[-1][:2] == (
        "/recurring/v1/cancel", {"billing": {"billing_number": "B-1"}, "customer": {"id": "K-1"}}
    )  # fmt: skip
    assert bills.events() == ["wanted", "asked", "registered", "unwanted", "cancelled"]
    told = bills.told()
    assert (told["state"], told["checkout_url"], told["masked_card"]) == ("cancelled", None, "411111******1111")


def test_a_second_run_asks_for_nothing_and_tells_nothing(bills_on_each):
    bills = bills_on_each
    bills.want(wanted("B-1"), wanted("B-2", customer_id="K-2"))
    bills.register()
    first, told = bills.merchant.dump("run"), bills.told()
    bills.merchant.later(hours=1)
    done = bills.register()
    assert (len(bills.api.calls), done.told) == (2, 0)
    assert bills.merchant.dump("run") == first
    assert bills.told() == told


def test_no_token_stands_in_events_or_is_told(bills):
    bills.live()
    dump = bills.merchant.dump("bill", "notification")
    assert TOKEN not in repr(dump)
    assert TOKEN not in repr(bills.told())


def test_a_bill_that_varies_is_asked_for_without_an_amount(bills):
    bills.want(wanted(amount=None))
    bills.register()
    body = bills.api.calls[0][1]
    assert body["order"] == {"currency": "IDR"}
    assert body["billing"]["flat_status"] == "FALSE"
    assert bills.bill()["amount"] is None


def test_a_dry_run_asks_doku_for_nothing(bills):
    bills.want(wanted("B-1"), wanted("B-2", registration="bulk"))
    lines = bills.register(dry_run=True).lines()
    assert "links: 0 done, 0 refused, 1 left" in lines
    assert "bulk: 0 done, 0 refused, 1 left" in lines
    assert bills.api.calls == []
    assert bills.told()["state"] == "wanted"


def test_a_row_that_cannot_be_used_is_shown_and_the_others_go_on(bills):
    bills.want(wanted("B-1", description="card 4111111111111111"), wanted("B-2", customer_id="K-2"))
    done = bills.register()
    assert (done.wanted.listed, done.wanted.rejected) == (2, 1)
    (found,) = bills.merchant.sql("SELECT * FROM rejected_bill")
    assert (found["row_key"], found["reasons"]) == ("B-1", "description:card_number")
    assert "4111111111111111" not in repr(found)
    assert bills.merchant.sql("SELECT billing_number FROM bill") == [{"billing_number": "B-2"}]
    bills.want(wanted("B-1"))
    bills.merchant.later(minutes=15)
    bills.register()
    assert bills.merchant.sql("SELECT * FROM rejected_bill") == []


def test_rows_with_one_number_are_one_or_none(bills):
    bills.also(wanted("B-1"), wanted("B-1"), wanted("B-2", customer_id="K-2"), wanted("B-2", customer_id="K-3"))
    done = bills.register()
    assert (done.wanted.listed, done.wanted.changed, done.wanted.rejected) == (4, 1, 1)
    assert bills.merchant.sql("SELECT reasons FROM rejected_bill") == [{"reasons": "billing_number:repeated"}]


def test_a_bad_row_of_a_known_bill_changes_nothing_of_it(bills):
    bills.live()
    bills.want(wanted(amount="1.5"))
    bills.register()
    assert (bills.state(), bills.bill()["amount"]) == ("active", 100_000)
    bills.want(wanted(customer_id="K-2"))
    bills.register()
    assert bills.merchant.sql("SELECT reasons FROM rejected_bill") == [{"reasons": "customer_id:other_customer"}]
    assert bills.bill()["customer_id"] == "K-1"


def test_a_bill_that_is_not_listed_any_more_stays(bills):
    bills.live()
    with bills.merchant.billing.begin() as connection:
        connection.exec_driver_sql("DELETE FROM bills")
    bills.register()
    assert bills.state() == "active"


def test_another_profile_s_bill_is_not_taken(bills):
    bills.live()
    with bills.merchant.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE bill SET profile = 'other'")
    bills.want(wanted(amount="5.00"))
    bills.register()
    assert bills.merchant.sql("SELECT reasons FROM rejected_bill") == [{"reasons": "billing_number:other_profile"}]
    bills.hear(bills.registered(card="5"))
    assert bills.take_in().states == {"failed": 1}


def test_changed_terms_are_told_to_doku(bills):
    bills.live()
    bills.want(wanted(amount="120000.00", schedule_on="1,15"))
    bills.register()
    path, body, _ = bills.api.calls[-1]
    assert path == "/recurring/v1/update"
    assert (body["order"], body["billing"]["execute_date"]) == ({"amount": 120000}, "1,15")
    assert bills.state() == "active"
    bills.register()
    assert len(bills.api.calls) == 2
    assert bills.events() == ["wanted", "asked", "registered", "changed", "updated"]


def test_changed_terms_wait_for_a_person_where_the_profile_says_so(bills):
    bills.changed({"recurring": {"changes": "person"}})
    bills.live()
    bills.want(wanted(amount="120000.00"))
    assert bills.register().calls["changes"].left == 1
    assert len(bills.api.calls) == 1
    assert "on ani's word" in bill_updated(bills.context, billing_number="B-1", **WHO)
    assert bills.register().calls["changes"].left == 0
    with pytest.raises(NotAllowed):
        bill_updated(bills.context, billing_number="B-1", **WHO)


def test_a_change_that_doku_refuses_is_shown_and_not_repeated(bills):
    bills.live()
    bills.want(wanted(amount="120000.00"))
    bills.api.plans = [ApiRefused("Too much.", 400)]
    assert bills.register().calls["changes"].refused == 1
    assert bills.told()["reason"] == "DOKU refused the new terms: Too much."
    bills.register()
    assert len(bills.api.calls) == 2
    bills.want(wanted(amount="110000.00"))
    bills.register()
    assert (len(bills.api.calls), bills.told()["reason"]) == (3, None)


def test_terms_that_change_before_the_customer_came_get_another_link(bills):
    bills.want(wanted())
    bills.register()
    first = bills.told()["checkout_url"]
    bills.want(wanted(amount="50000.00"))
    bills.register()
    assert bills.told()["checkout_url"] != first
    assert bills.api.calls[0][2] != bills.api.calls[1][2]
    assert bills.events() == ["wanted", "asked", "changed", "asked"]


def test_terms_that_change_while_doku_is_asked_are_asked_for_next(bills):
    bills.want(wanted())

    def meanwhile():
        bills.api.before = None
        bills.want(wanted(amount="50000.00"))
        from include.flows.recurring.register import read_wanted

        read_wanted(bills.context)

    bills.api.before = meanwhile
    bills.register()
    assert bills.state() == "wanted"
    bills.register()
    assert (bills.state(), bills.api.calls[-1][1]["order"]["amount"]) == ("asked", 50_000)


def test_a_refusal_of_one_bill_does_not_stop_the_others(bills):
    bills.want(wanted("B-1"), wanted("B-2", customer_id="K-2"))
    bills.api.plans = [ApiRefused("The customer id is not known.", 400)]
    done = bills.register()
    assert (done.calls["links"].asked, done.calls["links"].refused) == (1, 1)
    assert (bills.state("B-1"), bills.state("B-2")) == ("refused", "asked")
    assert bills.told("B-1")["reason"] == "The customer id is not known."
    bills.register()
    assert len(bills.api.calls) == 2
    ask_again(bills.context, billing_number="B-1", **WHO)
    bills.register()
    assert bills.state("B-1") == "asked"


@pytest.mark.parametrize("problem", [ApiUnreachable("No answer."), ApiUnauthorised("The key is wrong.", 401)])
def test_what_is_no_fault_of_the_bill_ends_the_asking_and_is_tried_again_under_the_same_id(bills, problem):
    bills.want(wanted("B-1"), wanted("B-2", customer_id="K-2"))
    bills.api.plans = [problem]
    with pytest.raises(type(problem)):
        bills.register()
    assert len(bills.api.calls) == 1
    assert bills.told()["state"] == "wanted"  # the merchant was told all the same
    bills.register()
    assert [one[2] for one in bills.api.calls[:2]] == [bills.api.calls[0][2]] * 2
    assert bills.state("B-1") == bills.state("B-2") == "asked"


def test_an_answer_that_was_lost_is_given_again(bills):
    bills.want(wanted())
    link = {"registration": {"url": "https://doku.test/first"}}

    class Killed(BaseException):
        pass

    bills.merchant.context = _killed_at(bills, "register: DOKU has answered", Killed)
    bills.api.plans = [link]
    with pytest.raises(Killed):
        bills.register()
    bills._use()
    bills.merchant.context = _killed_at(bills, "", Killed)
    bills.register()
    assert bills.told()["checkout_url"] == "https://doku.test/first"
    assert len({one[2] for one in bills.api.calls}) == 1


def _killed_at(bills, name, error):
    from dataclasses import replace

    def step(at):
        if at == name:
            raise error

    return replace(bills.merchant.context, step=step)


def test_an_answer_without_a_link_says_where_to_look(bills):
    bills.want(wanted())
    for answer in ({}, {"registration": {"url": 5}}, {"registration": {"url": "javascript:alert(1)"}}):
        bills.api.plans, bills.api.answered = [answer], {}
        with pytest.raises(ApiAnswerUnreadable, match="answer_url"):
            bills.register()
    assert bills.state() == "wanted"


def test_a_customer_who_does_not_come_gets_another_link_where_the_profile_says_so(bills):
    bills.want(wanted())
    bills.register()
    bills.merchant.later(hours=49)
    bills.register()
    assert len(bills.api.calls) == 1
    bills.changed({"recurring": {"link_hours": 48}})
    bills.register()
    assert (len(bills.api.calls), bills.state()) == (2, "asked")
    bills.register()
    assert len(bills.api.calls) == 2


def test_only_so_many_calls_in_one_run(bills):
    bills.changed({"recurring": {"calls_at_a_time": 2}})
    bills.want(*(wanted(f"B-{number}", customer_id=f"K-{number}") for number in range(5)))
    lefts = [bills.register().calls["links"] for _ in range(3)]
    assert [one.asked for one in lefts] == [2, 2, 1]
    assert lefts[-1].left == 0


def test_the_last_day_ends_a_bill(bills):
    bills.live(ends_on="2026-12-20")
    bills.merchant.later(days=30)  # the 20th of December
    bills.register()
    assert bills.state() == "active"
    bills.merchant.later(days=1)
    bills.register()
    assert (bills.state(), len(bills.api.calls)) == ("ended", 1)
    assert bills.told()["reason"] == "its last day, 2026-12-20, is over"
    bills.want(wanted(ends_on="2027-12-20"))
    bills.register()
    assert bills.state() == "active"


@pytest.mark.parametrize("change", [{"status": "cancelled"}, {"amount": 175_000}])
def test_a_bill_that_has_ended_is_over_whatever_else_the_view_says_of_it(bills, change):
    bills.live(ends_on="2026-11-25")
    bills.merchant.later(days=6)
    bills.register()
    bills.want(wanted(ends_on="2026-11-25", **change))
    bills.register()
    assert (bills.state(), len(bills.api.calls)) == ("ended", 1)
    bills.want(wanted(ends_on="2027-12-20"))
    bills.register()
    assert bills.state() == "active"


def test_an_end_that_doku_was_never_told_of_is_a_cancellation(bills):
    bills.changed({"recurring": {"changes": "person"}})
    bills.live()
    bills.want(wanted(ends_on="2026-11-25"))
    bills.register()
    bills.merchant.later(days=6)
    bills.register()
    assert bills.state() == "cancelled"
    assert bills.api.calls[-1][0].endswith("/cancel")


def test_a_registration_after_the_end_comes_back_as_one_to_cancel(bills):
    bills.want(wanted())
    bills.register()
    bills.want(wanted(status="cancelled"))
    bills.register()
    assert (bills.state(), len(bills.api.calls)) == ("cancelled", 1)
    bills.merchant.later(minutes=10)
    bills.hear(bills.registered())
    bills.take_in()
    assert bills.state() == "cancelling"
    bills.merchant.later(minutes=1)
    bills.register()
    assert (bills.state(), bills.api.calls[-1][0]) == ("cancelled", "/recurring/v1/cancel")


def test_doku_refuses_to_end_a_bill(bills):
    bills.live()
    bills.want(wanted(status="cancelled"))
    bills.api.plans = [ApiRefused("No such bill.", 404)]
    assert bills.register().calls["ends"].refused == 1
    assert (bills.state(), bills.told()["reason"]) == ("cancelling", "DOKU refused to end it: No such bill.")
    assert "on ani's word" in bill_ended(bills.context, billing_number="B-1", evidence="dashboard", **WHO)
    assert bills.state() == "cancelled"


def test_a_person_ends_a_bill_and_the_view_does_not_bring_it_back(bills):
    bills.live()
    assert "asks DOKU to end it" in cancel_bill(bills.context, billing_number="B-1", **WHO)
    bills.register()
    assert bills.state() == "cancelled"
    bills.want(wanted(amount="1000.00"))
    bills.register()
    assert bills.state() == "cancelled"
    bills.want(wanted(status="cancelled"))
    bills.register()
    bills.want(wanted())
    bills.merchant.later(minutes=1)
    bills.register()
    assert bills.state() == "asked"
    with pytest.raises(Exception, match="has no bill B-9"):
        cancel_bill(bills.context, billing_number="B-9", **WHO)


def test_ending_a_bill_needs_four_eyes_where_the_profile_says_so(bills):
    from include.flows.propose import confirm

    bills.live()
    bills.changed({"decisions": {"four_eyes": True}})
    calls = len(bills.api.calls)
    assert "Proposed as number" in cancel_bill(bills.context, billing_number="B-1", **WHO)
    assert bills.state() == "active"
    with pytest.raises(NotAllowed, match="may not confirm"):
        confirm(bills.context, proposal=1, **WHO)
    confirm(bills.context, proposal=1, by="budi", why="right")
    assert (bills.state(), len(bills.api.calls)) == ("cancelling", calls)
    assert "Proposed" in bill_ended(bills.context, billing_number="B-1", evidence="mail", **WHO)


def test_a_profile_whose_people_end_bills_in_the_dashboard(bills):
    bills.changed({"recurring": {"cancellations": "person"}})
    bills.live()
    assert "dashboard" in cancel_bill(bills.context, billing_number="B-1", **WHO)
    assert bills.register().calls["ends"].left == 1
    assert (bills.state(), len(bills.api.calls)) == ("cancelling", 1)


def test_a_view_or_a_table_that_is_not_there_is_named(bills):
    with bills.merchant.billing.begin() as connection:
        connection.exec_driver_sql("DROP VIEW doku_bills")
    with pytest.raises(BillingError, match=r"billing\.bills"):
        bills.register()
    with bills.merchant.billing.begin() as connection:
        connection.exec_driver_sql("DROP TABLE doku_bill_status")
    with pytest.raises(BillingError, match=r"billing\.bill_status"):
        bills.register()


def test_bulk_bills_need_the_settings_for_it(bills):
    bills.want(wanted(registration="bulk"))
    with pytest.raises(ConfigError, match=r"recurring\.bulk"):
        bills.register()


# --- taking in --------------------


def test_a_registration_is_taken_in_once_however_often_it_comes(bills_on_each):
    bills = bills_on_each
    bills.want(wanted())
    bills.register()
    body = bills.registered()
    bills.hear(body)
    bills.take_in()
    before = bills.merchant.dump("run", "notification")
    bills.hear(body)
    assert bills.take_in().states == {}
    bills.hear({**body, "new_field": 1})
    assert bills.take_in().states == {"done": 1}
    assert "known already" in bills.inbox()[-1][1]
    assert bills.merchant.dump("run", "notification") == before


def test_what_cannot_be_taken_in_is_kept_with_words_and_stops_nothing(bills):
    bills.want(wanted())
    bills.register()
    bills.hear(b"not json")
    bills.hear(bills.registered("B-9"))
    bills.hear(bills.registered(customer_id="K-9"))
    bills.hear(bills.registered(status="PENDING"))
    bills.hear({**bills.registered(), "ok": 1})
    taken = bills.take_in()
    assert taken.states == {"failed": 4, "done": 1}
    assert len(taken.failed) == 4
    words = [words for state, words in bills.inbox() if state == "failed"]
    assert "no JSON object" in words[0]
    assert "B-9" in words[1]
    assert "another customer" in words[2]
    assert "success_words" in words[3]
    assert bills.state() == "active"


def test_payments_go_to_the_books_also_of_bills_that_nobody_knows(bills):
    payment = {
        "order": {"amount": 100000}, "billing": {"billing_number": "B-9"},
        "transaction": {"reference": "R-1", "status": "SUCCESS", "date": "2026-11-20T03:00:00Z"},
        "card_payment": {"response_code": "00"},
    }  # fmt: skip
    bills.hear(payment, NotificationKind.PAYMENT)
    assert bills.take_in().states == {"done": 1}
    assert bills.merchant.sql("SELECT reference FROM bill_attempt") == [{"reference": "R-1"}]
    assert bills.merchant.sql("SELECT kind FROM recon_break") == [{"kind": "unexpected_charge"}]


def test_a_card_update_changes_the_card_and_a_refused_one_does_not(bills):
    bills.live()
    first = bills.bill()["token_fingerprint"]
    bills.merchant.later(days=1)
    bills.hear(bills.registered(card="555555******4444", token="f" * 32), NotificationKind.CARD_UPDATE)
    bills.merchant.later(days=1)
    bills.hear(bills.registered(status="FAILED", card="9", token="e" * 32), NotificationKind.CARD_UPDATE)
    bills.take_in()
    now = bills.bill()
    assert (now["state"], now["masked_card"], now["token"]) == ("active", "555555******4444", "f" * 32)
    assert now["token_fingerprint"] != first
    assert bills.events()[-2:] == ["card_updated", "card_refused"]


def test_cards_that_come_in_the_wrong_order_end_with_the_last_one(bills):
    bills.live()
    start = bills.merchant.now
    for hours, card in ((2, "2"), (3, "3"), (1, "1")):
        body = bills.registered(card=card, token=card * 32, at=start + timedelta(hours=hours))
        bills.hear(body, NotificationKind.CARD_UPDATE)
    bills.take_in()
    assert (bills.bill()["masked_card"], bills.bill()["token"]) == ("3", "3" * 32)


def test_a_failed_registration_can_be_followed_by_one_that_succeeds(bills):
    bills.want(wanted())
    bills.register()
    bills.merchant.later(minutes=5)
    failed = bills.registered(status="FAILED", card_payment={"response_code": "51", "response_message": "NO FUNDS"})
    bills.hear(failed)
    bills.take_in()
    bills.register()
    assert (bills.state(), bills.told()["reason"]) == ("refused", "0051 NO FUNDS")
    bills.merchant.later(minutes=5)
    bills.hear(bills.registered())
    bills.take_in()
    assert bills.state() == "active"


def test_two_copies_of_the_task_take_one_notification_once(bills):
    from include.flows.recurring import take_in as module

    bills.want(wanted())
    bills.register()
    bills.hear(bills.registered())
    inner = bills.context

    def step(name):
        if name == "take in: before a notification is taken in" and not seen:
            seen.append(name)
            bills.take_in()

    seen: list[str] = []
    from dataclasses import replace

    taken = module.take_in(replace(inner, step=step), bills.new_run().run_id)
    assert taken.states == {}
    assert bills.events() == ["wanted", "asked", "registered"]


# --- the older interface --------------------


def test_the_older_interface_gives_a_signed_form_for_the_browser(bills):
    import json

    from include.doku.words import PAYMENT_REQUEST, words_of
    from tests.register_harness import ACCOUNT

    bills.changed({"recurring": {"dialect": "onecheckout", "checkout": {"bill_type": "D"}}})
    bills.want(wanted(description="Donasi (bulanan)"), wanted("B-2", customer_id="K-2", amount=None, schedule="day",
                      schedule_on="MON,FRI", ends_on="2027-01-31"))  # fmt: skip
    bills.register()
    told = bills.told()
    form = json.loads(told["checkout_form"])
    assert told["checkout_url"] == "https://old.doku.test/Suite/Receive"
    assert form["WORDS"] == words_of(PAYMENT_REQUEST, form, ACCOUNT)
    assert (form["AMOUNT"], form["EXECUTETYPE"], form["EXECUTEDATE"], form["FLATSTATUS"], form["ENDDATE"]) == (
        "100000.00", "DATE", "20", "TRUE", "NA"
    )  # fmt: skip
    assert (form["BILLDETAIL"], form["BILLTYPE"], form["STARTDATE"]) == ("Donasi  bulanan ", "D", "20261101")
    other = json.loads(bills.told("B-2")["checkout_form"])
    assert (other["AMOUNT"], other["EXECUTETYPE"], other["FLATSTATUS"], other["ENDDATE"]) == (
        "10000.00", "DAY", "FALSE", "20270131"
    )  # fmt: skip
    assert "s3cr3t" not in repr(told)
    fields = {"STATUSTYPE": "G", "CHAINMERCHANT": "NA", "CUSTOMERID": "K-1", "BILLNUMBER": "B-1", "STATUS": "SUCCESS",
              "TOKENID": TOKEN, "CARDNUMBER": "411111******1111"}  # fmt: skip
    bills.merchant.later(minutes=5)
    bills.hear_form(fields)
    assert bills.take_in().states == {"done": 1}
    bills.register()
    assert (bills.state(), bills.told()["checkout_form"]) == ("active", None)
    bills.want(wanted(status="cancelled"))
    assert bills.register().calls["ends"].left == 1  # it has no call for it: a person ends it


def test_the_older_interface_says_the_same_words_of_another_try(bills):
    """It tells no time: a second registration that fails for the same reason is the same message, byte by byte."""
    bills.changed({"recurring": {"dialect": "onecheckout", "checkout": {"bill_type": "D"}}})
    bills.want(wanted())
    bills.register()
    failed = {"STATUSTYPE": "G", "CHAINMERCHANT": "NA", "CUSTOMERID": "K-1", "BILLNUMBER": "B-1", "STATUS": "FAILED",
              "ERRORCODE": "5510", "MESSAGE": "CANCELLED"}  # fmt: skip
    bills.merchant.later(minutes=5)
    bills.hear_form(failed)
    bills.take_in()
    assert bills.state() == "refused"
    bills.merchant.later(minutes=5)
    bills.hear_form(failed)  # DOKU did not see our answer
    bills.take_in()
    assert bills.merchant.sql("SELECT count(*) AS n FROM bill_event WHERE kind = 'refused'") == [{"n": 1}]
    bills.want(wanted(amount="120000.00"))
    bills.merchant.later(minutes=5)
    bills.register()
    assert bills.state() == "asked"
    bills.merchant.later(minutes=5)
    bills.hear_form(failed)
    bills.take_in()
    assert bills.state() == "refused"


def test_the_older_interface_registers_the_same_card_again_after_housekeeping(bills):
    bills.changed({"recurring": {"dialect": "onecheckout", "checkout": {"bill_type": "D"}}})
    bills.want(wanted())
    bills.register()
    done = {"STATUSTYPE": "G", "CHAINMERCHANT": "NA", "CUSTOMERID": "K-1", "BILLNUMBER": "B-1", "STATUS": "SUCCESS",
            "TOKENID": TOKEN}  # fmt: skip
    bills.merchant.later(minutes=5)
    bills.hear_form(done)
    bills.take_in()
    bill_ended(bills.context, billing_number="B-1", evidence="DOKU's dashboard", **WHO)
    bills.merchant.later(days=200)
    assert tidy(bills.context).notifications == 1
    bills.want(wanted(amount="120000.00"))
    bills.register()
    ask_again(bills.context, billing_number="B-1", **WHO)
    bills.register()
    assert bills.state() == "asked"
    bills.merchant.later(minutes=5)
    bills.hear_form(done)
    bills.take_in()
    assert bills.state() == "active"


def test_the_older_interface_refuses_long_ids_in_words(bills):
    bills.changed({"recurring": {"dialect": "onecheckout"}})
    bills.want(wanted("B" * 17))
    bills.register()
    assert "16 characters" in bills.told("B" * 17)["reason"]


def test_times_of_the_table_are_utc(bills):
    bills.live()
    bills.register()
    assert datetime.fromisoformat(bills.told()["registered_at"]) == bills.merchant.now.replace(tzinfo=None)


def test_verify_makes_each_bill_anew(bills):
    from include.flows.recurring.verify_register import findings_of_register

    bills.live("B-1", "B-2")
    bills.want(wanted(amount="1000.00"))
    bills.api.plans = [ApiRefused("No.", 400)]
    bills.register()
    assert list(findings_of_register(bills.context)) == []
    with bills.merchant.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE bill SET state = 'cancelled' WHERE billing_number = 'B-1'")
        connection.exec_driver_sql("UPDATE bill SET token = 'another' WHERE billing_number = 'B-2'")
    found = list(findings_of_register(bills.context))
    assert [one.split(":")[0] for one in found] == ["bill B-1", "bill B-2"]
    assert "another" not in " ".join(found)


def test_nothing_is_expected_of_the_time_in_which_a_bill_was_over(bills):
    from include.flows.recurring.expect import expect_charges

    bills.live()
    bills.want(wanted(status="cancelled"))
    bills.register()
    bills.merchant.later(days=70)
    bills.want(wanted())
    bills.register()
    expect_charges(bills.context)
    bills.merchant.later(days=1)
    bills.hear(bills.registered())
    bills.take_in()
    expect_charges(bills.context)
    assert bills.state() == "active"
    assert bills.merchant.sql("SELECT * FROM bill_charge") == []


def test_a_mistake_of_ours_about_one_notification_stops_no_other(bills, monkeypatch):
    from include.flows.recurring import take_in as module

    bills.want(wanted(), wanted("B-2", customer_id="K-2"))
    bills.register()
    bills.merchant.later(minutes=5)
    bills.hear(bills.registered())
    bills.hear(bills.registered("B-2", customer_id="K-2"))
    inner = module._registration

    def mistaken(context, connection, one, said):
        if said.billing_number == "B-1":
            raise KeyError("something that a customer wrote")
        return inner(context, connection, one, said)

    monkeypatch.setattr(module, "_registration", mistaken)
    taken = bills.take_in()
    assert taken.states == {"failed": 1, "done": 1}
    assert "KeyError" in taken.failed[0]
    assert "customer wrote" not in taken.failed[0]
    assert (bills.state("B-1"), bills.state("B-2")) == ("asked", "active")


def test_the_same_words_under_another_request_id_are_heard_again(bills):
    """DOKU's JSON may tell no time either."""
    bills.want(wanted())
    bills.register()
    failed = bills.registered(status="FAILED", card_payment={"response_code": "51", "response_message": "NO FUNDS"})
    del failed["transaction"]["date"]
    bills.merchant.later(minutes=5)
    bills.hear(failed, request_id="first")
    bills.take_in()
    bills.hear(failed, request_id="first again, with another id")
    bills.take_in()
    assert bills.events().count("refused") == 1
    bills.want(wanted(amount="120000.00"))
    bills.merchant.later(minutes=5)
    bills.register()
    assert bills.state() == "asked"
    bills.merchant.later(minutes=5)
    bills.hear(failed, request_id="second")
    bills.take_in()
    assert bills.state() == "refused"
