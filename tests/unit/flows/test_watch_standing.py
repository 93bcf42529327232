"""What lies about, what ends, and runs that did not start."""

from datetime import UTC, date, datetime, timedelta

import pytest

from include.domain.errors import NotAllowed
from include.domain.states import ALARMS
from include.flows.operate import carry_out
from include.flows.outlook import outlook
from include.flows.submit import extract_and_claim
from include.flows.watch_due import next_run
from tests.flows_harness import BUSINESS_DATE, charge
from tests.unit.flows.watch_drill import Told, kinds, look, open_break

H, M = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def watched(make_merchant):
    """A merchant who is told of everything through `ops`."""
    return make_merchant(changes={"watch": {"notify": ["ops"]}})


# --- what lies about, what ends ---


def test_quarantine_too_old(watched, told):
    watched.list_charges(charge("BAD", token=None), charge("WORSE", amount="x"))
    watched.submit()
    watched.later(days=2, hours=23)
    assert ("quarantine_old", "quarantine") not in kinds(look(watched, told))
    watched.later(hours=1)
    looked = look(watched, told)
    (alert,) = [one for one in looked.alerts if one.kind == "quarantine_old"]
    assert alert.words.startswith("2 charges are quarantined, the oldest since 2026-11-20 06:00")


def test_attempts_that_are_unknown_for_too_long(watched, told):
    """5526 is listed as check_first: no break speaks of it, and nothing is attempted again until a person asks."""
    watched.list_charges(*(charge(f"C{number}") for number in range(1, 8)))
    watched.submit()
    invoices = watched.invoices()
    watched.report(*((invoices[f"C{number}"], 150_000, "0000" if number == 7 else "5526") for number in range(1, 8)))
    watched.reconcile()
    watched.later(days=2, hours=23)
    assert ("outcomes_unknown", "attempts") not in kinds(look(watched, told))
    watched.later(hours=1)
    (alert,) = [one for one in look(watched, told).alerts if one.kind == "outcomes_unknown"]
    named = ", ".join(sorted(invoices[f"C{number}"] for number in range(1, 7))[:5])
    assert alert.words.startswith("6 attempts are unknown, the oldest since 2026-11-20 06:00: ")
    assert f": {named}, ..." in alert.words
    assert "settle <invoice number> --as paid" in told.notices[-1].action
    watched.report(*((invoices[f"C{number}"], 150_000, "0000") for number in range(1, 7)), name="RPT_2.TXT")
    watched.reconcile()
    assert ("outcomes_unknown", "attempts") not in kinds(look(watched, told))


def test_breaks_too_old_are_one_matter_for_each_kind(watched, told):
    for subject in "ab":
        open_break(watched, "amount_differs", subject)
    open_break(watched, "unexpected")
    watched.now = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    assert kinds(look(watched, told)) == []
    watched.later(hours=1)
    assert kinds(look(watched, told)) == [("breaks_old", "amount_differs"), ("breaks_old", "unexpected")]
    assert told.notices[0].words.startswith("2 breaks of the kind amount differs are not resolved")
    with watched.ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE recon_break SET state = 'resolved', closed_by = 'ani', closed_at = opened_at, closed_reason = 'x'"
        )
    assert kinds(look(watched, told)) == []


def test_an_explained_break_is_old_some_days_after_it_was_explained(watched, told):
    for subject in "ab":
        open_break(watched, "amount_differs", subject)
    watched.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    for number in (1, 2):
        carry_out(watched.context, "explain_break", {"number": number}, by="ani", why="DOKU looks into it")
    watched.later(hours=71)
    assert ("breaks_old", "amount_differs") not in kinds(look(watched, told))
    watched.later(hours=1)
    assert ("breaks_old", "amount_differs") in kinds(look(watched, told))
    assert told.notices[-1].words.startswith(
        "2 breaks of the kind amount differs are not resolved, the oldest open or explained since 2026-11-22 19:00."
    )


@pytest.mark.parametrize("kind", ALARMS)
def test_money_at_risk_is_critical_at_once(watched, told, kind):
    open_break(watched, kind)
    look(watched, told)
    assert told == [("ops", "critical", "money_at_risk", "break 1")]
    watched.later(days=5)
    look(watched, told)
    assert len(told) == 1


@pytest.mark.parametrize("kind", ALARMS)
def test_money_is_at_risk_until_the_break_is_resolved(watched, told, kind):
    """That a person knows the cause gives nobody their money back."""
    open_break(watched, kind)
    carry_out(watched.context, "explain_break", {"number": 1}, by="ani", why="DOKU refunds on Monday")
    assert kinds(look(watched, told)) == [("money_at_risk", "break 1")]
    assert any("ALARM: break 1" in line for line in outlook(watched.context))
    with watched.ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE recon_break SET state = 'resolved', closed_by = 'ani', closed_at = opened_at, closed_reason = 'x'"
        )
    assert kinds(look(watched, told)) == []


def test_a_public_key_near_its_end(watched, told):
    key = {**watched.profile.batch.public_keys[0].model_dump(), "valid_until": date(2026, 12, 20)}
    watched.changed({"batch": {"public_keys": [key]}})
    watched.now = datetime(2026, 11, 19, 16, 59, tzinfo=UTC)
    assert kinds(look(watched, told)) == []
    watched.later(minutes=1)
    assert kinds(look(watched, told)) == [("key_ends", "keys/doku_public.pem")]
    watched.later(days=7)
    assert "urgent" in [one.state for one in told.notices] or look(watched, told).alerts[0].level == 2
    newer = {**key, "file": "keys/next.pem", "valid_from": date(2026, 12, 1), "valid_until": date(2027, 12, 1)}
    watched.changed({"batch": {"public_keys": [key, newer]}})
    assert ("key_ends", "keys/doku_public.pem") not in kinds(look(watched, told))


def test_a_host_key_near_its_announced_end(watched, told):
    watched.changed({"watch": {"host_key_until": date(2026, 12, 1)}})
    assert kinds(look(watched, told)) == [("host_key_ends", "host key")]
    watched.changed({"watch": {"host_key_until": date(2027, 12, 1)}})
    assert kinds(look(watched, told)) == []


def test_rules_of_re_attempts_that_are_to_be_looked_at_again(make_merchant, told):
    from include.schemas.profile import SHIPPED_CONFIG

    merchant = make_merchant(changes={"watch": {"notify": ["ops"]}, "retry": {"enabled": False}})
    rules = (SHIPPED_CONFIG / "retry_rules.toml").read_text(encoding="utf-8")
    file = merchant.profile_file.parent / "rules" / "retry_rules.toml"
    file.parent.mkdir()
    file.write_text(rules.replace("review_by = 2027-05-31", "review_by = 2026-12-10"), encoding="utf-8")
    assert kinds(look(merchant, told)) == [("rules_end", "retry_rules.toml, 2026-12-10")]
    merchant.later(days=1)
    look(merchant, told)
    assert len(told) == 1
    file.write_text("nonsense", encoding="utf-8")
    assert ("rules_end", "retry_rules.toml") in kinds(look(merchant, told))
    file.write_text(rules, encoding="utf-8")
    assert kinds(look(merchant, told)) == []


@pytest.mark.parametrize("kind", ALARMS)
def test_what_an_alert_of_money_at_risk_asks_for_is_not_refused(watched, told, kind):
    """Resolving by hand is: such a break ends with the attempts that it is about."""
    open_break(watched, kind)
    look(watched, told)
    assert "resolve-break" not in told.notices[0].action
    assert "settle <invoice number> --as" in told.notices[0].action
    with pytest.raises(NotAllowed, match="ends w"):
        carry_out(watched.context, "resolve_break", {"number": 1}, by="ani", why="done")


# --- a run that did not start ---


def test_the_schedule_is_read_as_airflow_reads_it():
    zone = __import__("zoneinfo").ZoneInfo("Asia/Jakarta")
    friday = datetime(2026, 11, 20, 6, 0, tzinfo=zone)
    assert next_run("0 6 * * *", friday, zone) == friday + 24 * H
    assert next_run("0 6 * * *", friday - M, zone) == friday
    assert next_run("0 6 * * 1-5", friday, zone) == friday + 72 * H
    assert next_run("30 5,17 * * *", friday.astimezone(UTC), zone) == friday + 11.5 * H


def test_a_view_that_cannot_be_read_is_part_of_the_words(watched, told):
    watched.list_charges(charge("C1"))
    look(watched, told)
    with watched.billing.begin() as connection:
        connection.exec_driver_sql("DROP VIEW doku_due_charges")
    watched.later(hours=26)
    assert kinds(look(watched, told)) == [("not_started", "submit")]
    assert "has no view 'doku_due_charges'" in told.notices[0].words


def test_a_dry_run_and_a_past_date_do_not_count_as_the_run(watched, told):
    watched.list_charges(charge("C1", due_date="2026-11-20"))
    look(watched, told)
    watched.later(hours=25)
    for request in ({"dry_run": True}, {"business_date": BUSINESS_DATE}):
        run = watched.run(**{"business_date": watched.context.today, **request})
        extract_and_claim(watched.context, run)
    assert kinds(look(watched, told)) == [("not_started", "submit")]


def _dead(merchant):
    """A run that was opened and whose worker died before the claim."""
    return ("not_claimed", f"run {merchant.run(business_date=merchant.context.today).run_id}")


@pytest.mark.parametrize("request_", [{}, {"dry_run": True}, {"send_past_total": 1}])
def test_a_past_date_does_not_make_up_for_a_run_that_did_not_claim(watched, told, request_):
    watched.list_charges(charge("C1"))
    dead = _dead(watched)
    watched.later(hours=2)
    run = watched.run(business_date=BUSINESS_DATE - timedelta(days=3), **request_)
    extract_and_claim(watched.context, run)
    watched.later(hours=2)
    assert kinds(look(watched, told)) == [dead]
    watched.submit("a later one")
    assert kinds(look(watched, told)) == []


def test_a_past_date_that_really_sent_makes_up_for_the_run_of_that_date(watched, told):
    watched.list_charges(charge("C1", 150_000, due_date="2026-11-20"))
    dead = _dead(watched)
    watched.later(hours=25)
    assert dead in kinds(look(watched, told))
    run = watched.run(business_date=BUSINESS_DATE, send_past_total=150_000)
    assert extract_and_claim(watched.context, run)
    assert dead not in kinds(look(watched, told))


def test_a_run_that_died_does_not_end_the_alert_that_charges_wait(watched, told):
    watched.list_charges(charge("C1", due_date="2026-11-21"))
    look(watched, told)
    watched.later(hours=25)
    assert kinds(look(watched, told)) == [("not_started", "submit")]
    dead = _dead(watched)
    watched.later(minutes=30)
    assert kinds(look(watched, told)) == [("not_started", "submit")]
    watched.later(minutes=30)
    assert kinds(look(watched, told)) == [("not_started", "submit"), dead]
    watched.submit("a later one", business_date=watched.context.today)
    assert kinds(look(watched, told)) == []


def test_where_claims_are_not_watched_a_run_that_died_is_no_run(make_merchant, told):
    merchant = make_merchant(changes={"watch": {"notify": ["ops"], "claimed_minutes": False}})
    merchant.list_charges(charge("C1", due_date="2026-11-21"))
    look(merchant, told)
    merchant.later(hours=24)
    _dead(merchant)
    merchant.later(hours=1)
    assert kinds(look(merchant, told)) == [("not_started", "submit")]
    assert "no run of it has claimed since" in told.notices[0].words


def test_once_told_the_view_is_not_read_whole_again(watched, told, monkeypatch):
    watched.list_charges(charge("C1"))
    look(watched, told)
    watched.later(hours=26)
    look(watched, told)
    monkeypatch.setattr("include.flows.watch_due.plan_of", lambda *a: pytest.fail("read whole"))
    watched.later(hours=3)
    assert kinds(look(watched, told)) == [("not_started", "submit")]
    watched.change_charges("due_date = '2027-01-01'")
    assert kinds(look(watched, told)) == []


def test_a_profile_that_runs_by_hand_is_not_expected_to_run(make_merchant, told):
    merchant = make_merchant(changes={"schedule": {"submit": ""}})
    merchant.list_charges(charge("C1"))
    look(merchant, told)
    merchant.later(days=3)
    assert kinds(look(merchant, told)) == []
