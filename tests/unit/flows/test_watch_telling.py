"""Whom the watchdog tells, how often, and what becomes of it when it cannot or dies."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from include.domain.errors import LedgerError, LedgerUnreachable
from include.domain.states import ALARMS
from include.domain.watch import Watcher
from include.flows.watch import watch
from include.schemas.profile import SHIPPED_CONFIG
from tests.flows_harness import TOKEN, charge, lost
from tests.unit.flows.watch_drill import Told, kinds, look, open_break


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def watched(make_merchant):
    """A merchant who is told of everything through `ops`."""
    return make_merchant(changes={"watch": {"notify": ["ops"]}})


def test_further_channels_from_a_level_on(make_merchant, told):
    settings = {"notify": ["mail"], "notify_urgent": ["chat"], "notify_critical": ["pager"]}
    merchant = make_merchant(changes={"watch": settings})
    merchant.server.plan("connect", before=lost(), times=9)
    look(merchant, told)
    for hours in (1, 1, 3, 1):
        merchant.later(hours=hours)
        look(merchant, told)
    merchant.server.faults.clear()
    look(merchant, told)
    assert [(channel, state) for channel, state, _, _ in told] == [
        ("mail", "late"), ("chat", "urgent"), ("mail", "urgent"), ("chat", "critical"), ("mail", "critical"),
        ("pager", "critical"), ("chat", "over"), ("mail", "over"), ("pager", "over"),
    ]  # fmt: skip


def test_what_could_not_be_told_is_told_by_the_next_look(make_merchant, told):
    merchant = make_merchant(changes={"watch": {"notify": ["mail", "chat"]}})
    open_break(merchant, ALARMS[0])
    told.refuse = {"mail"}
    looked = look(merchant, told)
    assert looked.told == 1
    assert looked.problems == ("An alert could not be sent through connection mail.",)
    told.refuse = set()
    merchant.later(minutes=15)
    looked = look(merchant, told)
    assert (looked.told, looked.problems) == (1, ())
    assert [channel for channel, *_ in told] == ["chat", "mail"]
    assert {row["failure"] for row in merchant.sql("SELECT failure FROM alert_notice")} == {None}


def test_two_watchdogs_at_once_tell_once(watched, told):
    """The second looks while the first is sending."""
    open_break(watched, ALARMS[0])
    inner = []

    def send(channel, notice):
        if not inner:
            inner.append(True)
            look(watched, told, Watcher.OUTSIDE)
        told(channel, notice)

    watch(watched.context, Watcher.AIRFLOW, send)
    assert len(told) == 1


def test_two_watchdogs_in_the_same_moment_tell_once(merchant_on_each, told):
    merchant = merchant_on_each
    merchant.changed({"watch": {"notify": ["ops"]}})
    open_break(merchant, ALARMS[0])
    together = Barrier(2)

    def looks(watcher):
        together.wait(60)
        return look(merchant, told, watcher)

    with ThreadPoolExecutor(2) as pool:
        looked = list(pool.map(looks, Watcher))
    assert sorted(one.told for one in looked) == [0, 1]
    assert told == [("ops", "critical", "money_at_risk", "break 1")]


def test_a_watchdog_that_died_while_it_was_telling(watched, told):
    open_break(watched, ALARMS[0])

    def die(channel, notice):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(watched.context, Watcher.AIRFLOW, die)
    watched.later(minutes=5)
    look(watched, told, Watcher.OUTSIDE)
    assert told == []
    watched.later(minutes=6)
    look(watched, told, Watcher.OUTSIDE)
    assert len(told) == 1


def test_without_anybody_to_tell_it_is_kept(merchant, told):
    open_break(merchant, ALARMS[0])
    assert kinds(look(merchant, told)) == [("money_at_risk", "break 1")]
    assert told == []


def test_a_ledger_that_falls_silent_is_an_error(watched, told, monkeypatch):
    def broken(*words, **named):
        raise LedgerUnreachable("The ledger's database does not answer as it should.")

    monkeypatch.setattr("include.flows.watch_server.look_for_reports", broken)
    with pytest.raises(LedgerError):
        look(watched, told)


def test_no_alert_shows_a_token(watched, told):
    watched.list_charges(charge("C1"), charge("BAD", amount="x"))
    watched.seal()
    watched.server.plan("connect", before=lost(), times=99)
    for _ in range(8):
        watched.later(days=1)
        look(watched, told)
    assert len(told) == 3
    assert TOKEN not in "".join(notice.text for notice in told.notices)


def test_on_each_database(merchant_on_each, told):
    """Statements that the two databases read differently: upserts, moments, existence."""
    merchant = merchant_on_each
    merchant.changed({"watch": {"notify": ["ops"]}})
    merchant.list_charges(charge("C1", 100_000), charge("BAD", token=None))
    merchant.submit()
    merchant.report(("NOBODY", 1, "0000"), name="RPT_9.TXT")
    merchant.reconcile()
    merchant.report((merchant.invoices()["C1"], 100_000, "0051"), name="RPT_1.TXT")
    merchant.later(hours=2)
    fault = merchant.server.plan("connect", before=lost(), times=9)
    for hours in (0, 1, 1):
        merchant.later(hours=hours)
        look(merchant, told)
    merchant.server.faults.remove(fault)
    look(merchant, told, Watcher.OUTSIDE)
    merchant.later(days=4)
    looked = look(merchant, told, Watcher.OUTSIDE)
    assert {"quarantine_old", "not_taken_in", "watch_silent"} <= {one.kind for one in looked.alerts}
    assert len(told) == len(set(told))


STEPS = (
    "watch: before what was found is kept",
    "watch: what was found is kept",
    "watch: before people are told",
    "watch: people told",
)


@pytest.mark.parametrize("step", STEPS)
def test_a_watchdog_that_dies_at_any_step(watched, told, step):
    """The next look makes up for it: told once, or, where nobody knows whether it went out, once more."""
    open_break(watched, ALARMS[0])

    def die(name):
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(replace(watched.context, step=die), Watcher.AIRFLOW, told)
    for _ in range(3):
        watched.later(minutes=15)
        look(watched, told)
    assert len(told) == (2 if step == "watch: people told" else 1)
    assert len({notice.key for notice in told.notices}) == 1
    assert len(watched.sql("SELECT * FROM alert")) == 1


def test_every_step_of_the_watchdog_is_tried():
    source = (SHIPPED_CONFIG.parent / "flows").glob("watch*.py")
    found = {
        name for path in source for name in re.findall(r'context\.step\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert found == set(STEPS)
