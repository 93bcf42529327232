"""The sealed trail: a changed, missing, cut-off or foreign event shows."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from include.domain.errors import LedgerError
from include.ledger.chain import GENESIS, broken_links, hash_at, hash_of, head, lock_chain
from include.ledger.events import Note, add_decision
from include.ledger.store import Ledger, ledger_engine

AT = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_settings):
    opened = Ledger.open(ledger_engine(ledger_settings))
    yield opened
    opened.engine.dispose()


def _write(ledger, count=5, profile="insurance"):
    for number in range(count):
        with ledger.write() as connection:
            note = Note(AT + timedelta(minutes=number), "ani", None, {"why": f"reason {number}", "list": [1, 2]})
            add_decision(connection, profile, "hold", f"charge C{number}", note)


def _broken(ledger, profile="insurance") -> list[str]:
    with ledger.read() as connection:
        return list(broken_links(connection, profile))


def _execute(ledger, statement):
    with ledger.write() as connection:
        connection.exec_driver_sql(statement)


def test_an_unbroken_chain(ledger):
    assert _broken(ledger) == []
    _write(ledger)
    assert _broken(ledger) == []
    with ledger.read() as connection:
        seq, sealed = head(connection, "insurance")
        assert (seq, sealed) == (5, hash_at(connection, "insurance", 5))
        assert hash_at(connection, "insurance", 0) == GENESIS
        assert hash_at(connection, "insurance", 6) is None
        assert head(connection, "donation") == (0, GENESIS)


def test_each_profile_has_a_chain_of_its_own(ledger):
    _write(ledger, 2)
    _write(ledger, 3, "donation")
    assert _broken(ledger) == _broken(ledger, "donation") == []
    _execute(ledger, "UPDATE event SET actor = 'x' WHERE profile = 'donation' AND seq = 2")
    assert _broken(ledger) == []
    assert len(_broken(ledger, "donation")) == 1


@pytest.mark.parametrize(
    "change",
    ["actor = 'budi'", "subject = 'charge C9'", "details = '{}'", "kind = 'lift'", "at = '2020-01-01 00:00:00+00:00'",
     "run_id = NULL, state = 'paid'", "previous_hash = 'x'", "hash = 'x'"],
)  # fmt: skip
def test_a_changed_event_shows(ledger, change):
    seq = 5
    _write(ledger)
    try:
        _execute(ledger, f"UPDATE event SET {change} WHERE seq = {seq}")
    except LedgerError:
        return  # a constraint of the ledger refuses it already
    found = _broken(ledger)
    assert found
    assert any(
        f"event {seq} of insurance" in one or f"event {seq + 1} of" in one or "last events" in one for one in found
    )


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_a_missing_event_shows(ledger, seq):
    _write(ledger)
    _execute(ledger, f"DELETE FROM event WHERE seq = {seq}")
    assert any("1 events before it are missing" in one for one in _broken(ledger))


def test_a_cut_off_end_shows(ledger):
    _write(ledger)
    _execute(ledger, "DELETE FROM event WHERE seq > 3")
    assert _broken(ledger) == ["The last events of insurance are missing: 3 are there, 5 were written."]


def test_everything_cut_off_shows(ledger):
    _write(ledger)
    _execute(ledger, "DELETE FROM event")
    assert _broken(ledger) == ["The last events of insurance are missing: 0 are there, 5 were written."]


def test_an_event_that_was_sealed_anew_shows_at_the_next_one(ledger):
    """Whoever alters an event and recomputes its own hash still breaks the one behind it."""
    from sqlalchemy import select

    from include.ledger.tables import event

    _write(ledger)
    with ledger.write() as connection:
        row = dict(connection.execute(select(event).where(event.c.seq == 2)).mappings().one())
        row["actor"] = "budi"
        values = {"actor": "budi", "hash": hash_of(row)}
        connection.execute(event.update().where(event.c.seq == 2).values(**values))
    (found,) = _broken(ledger)
    assert found.startswith("event 3 of insurance")
    assert "does not follow the event before it" in found


def test_the_hash_does_not_depend_on_the_timezone_a_database_answers_in():
    row = {"profile": "p", "seq": 1, "at": AT, "details": "{}"}
    jakarta = AT.astimezone(timezone(timedelta(hours=7)))
    assert hash_of(row) == hash_of({**row, "at": jakarta})
    assert hash_of(row) != hash_of({**row, "at": AT + timedelta(microseconds=1)})


def test_columns_do_not_run_into_each_other():
    assert hash_of({"kind": "ab", "subject": "c"}) != hash_of({"kind": "a", "subject": "bc"})
    assert hash_of({"kind": None}) != hash_of({"kind": "null"})


def test_an_event_of_a_transaction_that_was_undone_leaves_no_gap(ledger):
    _write(ledger, 2)
    with ledger.write() as connection:
        add_decision(connection, "insurance", "hold", "charge X", Note(AT, "ani", None, {}))
        connection.rollback()
    _write(ledger, 2)
    assert _broken(ledger) == []
    with ledger.read() as connection:
        assert head(connection, "insurance")[0] == 4


def test_the_lock_is_taken_twice_by_one_transaction(ledger):
    with ledger.write() as connection:
        lock_chain(connection, "insurance")
        lock_chain(connection, "insurance")
