"""Several copies of a claim at the same moment: one winner for each charge, and no error noise."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from include.domain.connection import ConnectionSettings
from include.ledger import store
from include.ledger.books import kept_lines, refuse_unless_run_ties, run_lines
from include.ledger.store import ledger_engine
from tests.unit.ledger.lab import row

COPIES = 4


def _at_once(work) -> list:
    barrier = Barrier(COPIES)

    def one(number: int):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(COPIES) as pool:
        return list(pool.map(one, range(COPIES)))


def _attempts(lab) -> Counter[str]:
    return Counter(one["charge_id"] for one in lab.sql("SELECT charge_id FROM attempt"))


def _rows():
    return [row(f"C{number:02}") for number in range(30)]


def test_copies_of_one_run_agree(lab):
    """A task that Airflow started several times."""
    run = lab.run()
    endings = _at_once(lambda _: lab.claim(*_rows(), run=run, max_rows=10)[1])
    assert endings == [endings[0]] * COPIES
    assert len(endings[0]) == 3
    assert _attempts(lab) == Counter({f"C{number:02}": 1 for number in range(30)})


@pytest.mark.parametrize("profiles", [["insurance"] * COPIES, [f"p{number}" for number in range(COPIES)]])
def test_runs_that_overlap_claim_each_charge_once(lab, profiles):
    """Overlapping backfills, and profiles that share a billing source; each run sees half of what another sees."""

    def claim(number: int):
        profile = profiles[number]
        return lab.claim(*_rows()[number * 5 :], profile=profile, remote_folder=f"sftp:/{profile}")[0]

    runs = _at_once(claim)
    assert set(_attempts(lab).values()) == {1}
    assert len(_attempts(lab)) == 30
    for run in runs:
        with lab.ledger.read() as connection:
            at_claim = [line for line in kept_lines(connection, run.run_id) if line.term in ("rows", "due")]
            refuse_unless_run_ties([*at_claim, *run_lines(connection, run.run_id)])


def test_a_run_is_opened_once(lab):
    runs = _at_once(lambda _: lab.run(external_id="scheduled__1"))
    assert runs == [runs[0]] * COPIES


def test_a_file_that_is_just_being_opened_or_closed_by_another_is_waited_for(tmp_path):
    """The first connection makes SQLite's write-ahead log, the last removes it; others are told BUSY just then."""
    for number in range(40):
        file = tmp_path / f"{number}.db"
        with sqlite3.connect(file) as made:
            made.execute("CREATE TABLE counted (number INTEGER)")
        made.close()

        def use(_: int, file: Path = file) -> None:
            engine = ledger_engine(ConnectionSettings("ledger", "sqlite", host=str(file)))
            with engine.connect() as connection, connection.begin():
                connection.execute(sa.text("SELECT count(*) FROM counted"))
            with engine.connect().execution_options(doku_write=True) as connection, connection.begin():
                connection.execute(sa.text("INSERT INTO counted VALUES (1)"))

        _at_once(use)
        with sqlite3.connect(file) as counted:
            assert counted.execute("SELECT count(*) FROM counted").fetchone() == (COPIES,)
        counted.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY])
def test_only_a_busy_file_is_tried_again(code):
    answers = [_sqlite_error(code), _sqlite_error(code), None]

    def do() -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    store._patiently(do)
    assert answers == []
    answers += [_sqlite_error(sqlite3.SQLITE_IOERR), None]
    with pytest.raises(sqlite3.OperationalError):
        store._patiently(do)
    assert answers == [None]


def _sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error
