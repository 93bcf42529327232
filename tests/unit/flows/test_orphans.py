"""Kept files that nothing refers to go after a while; what may be evidence of what was sent or heard never does."""

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from upath import UPath

from include.domain.errors import ArtefactError
from include.flows.artefacts import Artefacts
from include.flows.deliver import deliver
from include.flows.housekeeping import tidy, what_is_old
from include.flows.orphans import AGE
from include.flows.recover import recover
from include.flows.verify import findings
from include.ledger.metadata import metadata
from include.ledger.store import Ledger
from tests.flows_harness import charge

FOLDERS = ("sealed", "reports", "registrations", "summaries")
DAY = "2026-11-20"


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(merchant, step_name):
    """The process of whatever is done inside ends at a step."""

    def step(name):
        if name == step_name:
            raise Killed

    whole = merchant.context
    merchant.context = replace(whole, step=step)
    with pytest.raises(Killed):
        yield
    merchant.context = whole


class OnDisk:
    """The store is a folder."""

    def __init__(self, merchant):
        self.root = merchant.artefacts
        self.context = merchant.context

    def dated(self, at: datetime):
        """Everything was kept at a moment."""
        for path in self.root.rglob("*"):
            os.utime(path, (at.timestamp(), at.timestamp()))

    def remove(self):
        """Nothing is left of it."""


class InABucket:
    """The store is an object store: there are no folders, and it says itself when an object was written."""

    def __init__(self, merchant):
        self.base = UPath(f"memory://{merchant.root.parent.name}-{merchant.root.name}/doku")
        self.context = replace(merchant.context, artefacts=Artefacts(self.base))

    def dated(self, at: datetime):
        """Everything was kept at a moment."""
        for path, file in self.base.fs.store.items():
            if path.startswith(self.base.path):
                file.modified = at

    def remove(self):
        """Nothing is left of it."""
        self.base.fs.rm(self.base.path, recursive=True)


@pytest.fixture
def on_disk(merchant):
    """A merchant whose files are all of this moment, by `merchant.store.dated`."""
    merchant.store = OnDisk(merchant)
    return merchant


@pytest.fixture(params=[OnDisk, InABucket])
def stored(request, merchant):
    """The same, once in each kind of store."""
    merchant.store = request.param(merchant)
    merchant.context = merchant.store.context
    yield merchant
    merchant.store.remove()


def _later(merchant, **delta):
    """Everything that is there was kept now; then time goes by."""
    merchant.store.dated(merchant.now)
    merchant.later(**delta)


def _kept(merchant) -> list[str]:
    """Every file in the store but manifests."""
    name = merchant.profile.name
    paths = [path for folder in FOLDERS for path in merchant.context.artefacts.below(f"{folder}/{name}")]
    return [path for path in paths if path.count("/") > 2]


def _orphans(merchant) -> list[str]:
    return [one.artefact for one in what_is_old(merchant.context).orphans]


def _staying(merchant) -> dict[str, str]:
    return {one.artefact: one.words for one in what_is_old(merchant.context).staying}


def _keep(merchant, folder="sealed", name="TKN_1.TXT", content=b"x", profile="insurance"):
    return merchant.context.artefacts.keep(f"{folder}/{profile}/{DAY}", name, [content]).artefact


def _finish(merchant, times=1):
    """A whole day, its reports answered and its summary made."""
    for number in range(times):
        merchant.list_charges(charge(f"D{number}"))
        _, batches = merchant.submit(f"day {number}")
        assert batches
    merchant.report(*((invoice, 150_000, "0000") for invoice in merchant.invoices().values()))
    merchant.reconcile()


def test_an_envelope_whose_task_was_killed_before_the_ledger_knew_goes(stored):
    stored.list_charges(charge("C1"))
    with killed_at(stored, "seal: envelope kept"):
        stored.submit("day")
    (orphan,) = _kept(stored)
    stored.submit("day")
    _, named = sorted(_kept(stored), key=lambda path: path != orphan)
    _later(stored, days=8)
    before = stored.dump()
    assert _orphans(stored) == [orphan]
    assert (stored.dump(), len(_kept(stored))) == (before, 2)  # a look removes nothing
    digest = hashlib.sha256(b"".join(stored.context.artefacts.read(orphan))).hexdigest()
    assert [one.artefact for one in tidy(stored.context, "Sari").orphans] == [orphan]
    assert _kept(stored) == [named]
    (event,) = stored.sql("SELECT actor, details FROM event WHERE kind = 'housekeeping'")
    details = json.loads(event["details"])
    assert (event["actor"], details["orphan"], details["sha256"]) == ("Sari", orphan, digest)
    assert list(findings(stored.context)) == []
    assert tidy(stored.context).orphans == ()  # again: there is nothing left


def test_a_report_whose_task_was_killed_goes_once_it_was_fetched_again(stored):
    stored.list_charges(charge("C1"))
    stored.submit()
    stored.report((stored.invoices()["C1"], 150_000, "0000"))
    with killed_at(stored, "fetch: report kept"):
        stored.fetch()
    (orphan,) = [path for path in _kept(stored) if path.startswith("reports/")]
    _later(stored, days=8)
    assert _orphans(stored) == []  # it is the only copy
    assert "no report with what it holds" in _staying(stored)[orphan]
    assert tidy(stored.context).orphans == ()
    stored.reconcile()
    stored.store.dated(stored.now - timedelta(days=8))
    assert [one.artefact for one in tidy(stored.context).orphans] == [orphan]
    assert list(findings(stored.context)) == []


def test_a_part_of_a_report_goes_if_a_known_report_begins_with_it(on_disk):
    _finish(on_disk)
    (whole,) = [path for path in _kept(on_disk) if path.startswith("reports/")]
    content = b"".join(on_disk.context.artefacts.read(whole))
    part = _keep(on_disk, "reports", "RPT_1.TXT", content[:20])
    nothing = _keep(on_disk, "reports", "RPT_9.TXT", b"")
    other = _keep(on_disk, "reports", "RPT_1.TXT", content[:20] + b"?")
    unheard = _keep(on_disk, "reports", "RPT_9.TXT", content[:20])
    more = _keep(on_disk, "reports", "RPT_1.TXT", content + b"D|")
    _later(on_disk, days=8)
    assert _orphans(on_disk) == sorted([part, nothing])
    assert set(_staying(on_disk)) == {other, unheard, more}
    on_disk.context.artefacts.remove(whole)
    assert _orphans(on_disk) == [nothing]  # nobody can say any more what it began with


def test_a_summary_whose_task_was_killed_goes(on_disk):
    on_disk.list_charges(charge("C1"))
    on_disk.submit()
    on_disk.report((on_disk.invoices()["C1"], 150_000, "0000"))
    on_disk.reconcile()
    with killed_at(on_disk, "summarise: page kept"):
        _summarise(on_disk)
    left = [path for path in _kept(on_disk) if path.startswith("summaries/")]
    assert len(left) == 2
    _summarise(on_disk)
    _later(on_disk, days=8)
    assert _orphans(on_disk) == left
    tidy(on_disk.context)
    assert len(on_disk.sql("SELECT page FROM summary")) == 1
    assert list(findings(on_disk.context)) == []


def _summarise(merchant):
    from include.domain.states import RunKind
    from include.flows.summarise import summarise

    summarise(merchant.context, merchant.run(RunKind.RECONCILE).run_id)


def test_an_envelope_that_was_sealed_anew_goes(on_disk):
    on_disk.list_charges(charge("C1"), charge("C2"))
    run, (batch_id,) = on_disk.seal()
    (first,) = _kept(on_disk)
    on_disk.change_charges("amount = 7 WHERE charge_id = 'C1'")
    on_disk.later(hours=1)
    deliver(on_disk.context, batch_id, run.run_id)
    assert len(_kept(on_disk)) == 2
    _later(on_disk, days=8)
    assert _orphans(on_disk) == [first]


def test_on_each_database_what_no_row_names_goes(merchant_on_each):
    merchant_on_each.store = OnDisk(merchant_on_each)
    _finish(merchant_on_each)
    orphan = _keep(merchant_on_each)
    _later(merchant_on_each, days=8)
    assert [one.artefact for one in tidy(merchant_on_each.context).orphans] == [orphan]
    assert len(_kept(merchant_on_each)) == 2
    assert what_is_old(merchant_on_each.context).staying == ()


def test_a_young_one_stays(stored):
    young = _keep(stored)
    stored.store.dated(stored.now)
    stored.later(days=AGE.days)
    assert (_orphans(stored), tidy(stored.context).orphans, _kept(stored)) == ([], (), [young])
    stored.later(seconds=1)
    assert _orphans(stored) == [young]


def test_what_is_referred_to_stays_however_old_it_is(stored):
    _finish(stored)
    _summarise(stored)
    assert len(_kept(stored)) == 4
    _later(stored, days=1000)
    found = tidy(stored.context)
    assert (found.orphans, found.staying) == ((), ())
    assert list(findings(stored.context)) == []


def test_every_column_that_names_a_kept_file_is_asked():
    from include.ledger.housekeeping import _NAMING

    named = {str(column) for column in _NAMING}
    found = {str(column) for table in metadata.tables.values() for column in table.c if column.name == "artefact"}
    assert found | {"summary.page", "summary.sheet"} == named


def test_everything_that_is_kept_is_in_a_folder_that_is_looked_at_or_is_a_manifest(on_disk):
    _finish(on_disk)
    _summarise(on_disk)
    assert {path.name for path in on_disk.artefacts.iterdir()} <= {*FOLDERS, "manifests"}


def test_other_peoples_files_and_other_profiles_stay(stored):
    """Profiles whose names begin alike; files that this program did not name; manifests."""
    mine = _keep(stored)
    others = [_keep(stored, profile=name) for name in ("insurance_2", "insuranc", "insurance.TXT.0123abcd")]
    strange = ["sealed/insurance/NOTES.TXT", "sealed/insurance/x/A.TXT.0123abcd", f"sealed/insurance/{DAY}/A.TXT"]
    for path in strange:
        place = stored.context.artefacts._base / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    _later(stored, days=8)
    assert [one.artefact for one in tidy(stored.context).orphans] == [mine]
    for path in (*others, *strange):
        assert list(stored.context.artefacts.read(path))


def test_a_link_out_of_the_profiles_folder_is_not_followed(on_disk):
    beside = on_disk.root / "beside"
    beside.mkdir()
    (beside / "A.TXT.0123abcd").write_bytes(b"x")
    (on_disk.artefacts / "sealed" / "insurance").mkdir(parents=True)
    (on_disk.artefacts / "sealed" / "insurance" / DAY).symlink_to(beside)
    on_disk.later(days=1000)
    assert tidy(on_disk.context).orphans == ()
    assert (beside / "A.TXT.0123abcd").exists()


def test_one_that_a_task_names_meanwhile_stays(on_disk):
    """The look again inside the deletion: the row comes after the list was made."""
    on_disk.list_charges(charge("C1"))
    on_disk.seal()
    orphan = _keep(on_disk)
    _later(on_disk, days=8)

    def step(name):
        if name == "tidy: orphan":
            with on_disk.ledger.write() as connection:
                connection.execute(sa.text("UPDATE batch SET artefact = :a"), {"a": orphan})

    assert tidy(replace(on_disk.context, step=step)).orphans == ()
    assert orphan in _kept(on_disk)


def test_one_that_is_written_again_meanwhile_stays(stored):
    orphan = _keep(stored)
    _later(stored, days=8)

    def step(name):
        if name == "tidy: orphan":
            stored.store.dated(stored.now)

    assert tidy(replace(stored.context, step=step)).orphans == ()
    assert _kept(stored) == [orphan]


def test_one_that_another_copy_of_the_task_removes_meanwhile_is_nobodys_problem(stored):
    _keep(stored)
    _later(stored, days=8)

    def step(name):
        if name == "tidy: orphan":
            tidy(stored.context)

    assert tidy(replace(stored.context, step=step)).orphans == ()
    assert (_kept(stored), len(stored.sql("SELECT * FROM event"))) == ([], 1)


@pytest.mark.parametrize("at", ["tidy: orphan", "tidy: orphan gone"])
def test_killed_anywhere_the_next_run_goes_on(on_disk, at):
    _keep(on_disk)
    _keep(on_disk)
    _later(on_disk, days=8)
    with killed_at(on_disk, at):
        tidy(on_disk.context)
    assert len(_kept(on_disk)) == (2 if at == "tidy: orphan" else 1)
    tidy(on_disk.context)
    assert _kept(on_disk) == []
    assert list(findings(on_disk.context)) == []


# --- a ledger that knows less than it did --------------------


def _restore(merchant, upto):
    """The ledger as it was before `upto()` was done."""
    file = merchant.ledger_settings.host
    merchant.ledger.engine.dispose()
    shutil.copyfile(file, f"{file}.backup")
    upto()
    merchant.ledger.engine.dispose()
    shutil.copyfile(f"{file}.backup", file)


def test_after_a_restore_nothing_goes_neither_before_a_recovery_nor_after_it(on_disk):
    _finish(on_disk)
    on_disk.later(hours=1)
    known = set(_kept(on_disk))
    stale = _keep(on_disk)

    def a_day():
        on_disk.list_charges(charge("C1"))
        on_disk.submit("lost")
        on_disk.report((on_disk.invoices()["C1"], 150_000, "0000"), name="RPT_2.TXT")
        on_disk.reconcile("lost")
        _summarise(on_disk)

    _restore(on_disk, a_day)
    lost = set(_kept(on_disk)) - known - {stale}
    assert len(lost) == 4
    _later(on_disk, days=30)
    assert _orphans(on_disk) == []
    assert set(_staying(on_disk)) == lost | {stale}
    assert all("restored; run recover first" in words for words in _staying(on_disk).values())
    tidy(on_disk.context)
    recover(on_disk.context, by="ani", adopt=False, apply=True)
    assert _orphans(on_disk) == []
    assert all("last recovered" in words for words in _staying(on_disk).values())
    tidy(on_disk.context)
    assert lost <= set(_kept(on_disk))
    assert list(findings(on_disk.context)) == []
    later = _keep(on_disk)
    on_disk.later(days=8)
    place = on_disk.artefacts / later
    at = (on_disk.now - timedelta(days=7, hours=1)).timestamp()
    os.utime(place, (at, at))
    assert _orphans(on_disk) == [later]  # from the recovery on, all is as ever


def test_what_a_manifest_names_stays_though_its_events_are_all_there(on_disk):
    """A ledger restored to the moment between the manifest and the promise to rename: nothing else shows it."""
    on_disk.list_charges(charge("C1"))
    on_disk.submit()
    (sent,) = _kept(on_disk)
    on_disk.list_charges(charge("C2"))
    on_disk.submit("second")
    with on_disk.ledger.write() as connection:
        connection.execute(sa.text("UPDATE batch SET artefact = NULL WHERE artefact = :a"), {"a": sent})
    _later(on_disk, days=8)
    assert _orphans(on_disk) == []
    assert "a manifest names it" in _staying(on_disk)[sent]


def test_a_manifest_that_cannot_be_read_keeps_everything(on_disk):
    orphan = _keep(on_disk)
    folder = on_disk.artefacts / "manifests" / "insurance"
    folder.mkdir(parents=True)
    (folder / "TKN_1.TXT.json.0000000001.0123abcd").write_bytes(b"{")
    _later(on_disk, days=8)
    assert "cannot be read any more" in _staying(on_disk)[orphan]
    assert tidy(on_disk.context).orphans == ()


def _with_a_new_ledger(merchant, ledger_file, tmp_path, made_at):
    file = tmp_path / "second.db"
    shutil.copyfile(ledger_file, file)
    from include.domain.connection import ConnectionSettings
    from include.ledger.store import ledger_engine

    engine = ledger_engine(ConnectionSettings("doku_ledger", "sqlite", host=str(file)))
    with engine.begin() as connection:
        row = {"at": made_at.strftime("%Y-%m-%d %H:%M:%S.%f")}
        connection.execute(sa.text("UPDATE ledger SET ledger_id = 'another', created_at = :at"), row)
    return merchant.context_for(merchant.profile, Ledger.open(engine))


def test_a_new_ledger_leaves_alone_what_was_kept_before_it(on_disk, ledger_file, tmp_path):
    _finish(on_disk)
    before = set(_kept(on_disk))
    _later(on_disk, days=30)
    on_disk.context = _with_a_new_ledger(on_disk, ledger_file, tmp_path, on_disk.now)
    assert _orphans(on_disk) == []
    assert all("before this ledger was made" in words for words in _staying(on_disk).values())
    mine = _keep(on_disk)
    at = (on_disk.now + timedelta(hours=1)).timestamp()
    os.utime(on_disk.artefacts / mine, (at, at))
    on_disk.later(days=8)
    assert [one.artefact for one in tidy(on_disk.context).orphans] == [mine]
    assert set(_kept(on_disk)) == before


def test_where_another_ledger_keeps_its_files_too_nothing_goes(on_disk, ledger_file, tmp_path):
    _finish(on_disk)
    before = set(_kept(on_disk))
    made_at = on_disk.now - timedelta(days=30)
    _later(on_disk, days=30)
    on_disk.context = _with_a_new_ledger(on_disk, ledger_file, tmp_path, made_at)
    assert set(_staying(on_disk)) == before
    assert all("of another ledger" in words for words in _staying(on_disk).values())
    assert tidy(on_disk.context).orphans == ()


# --- the store --------------------


class _Store:
    """A store whose file system answers as it is told."""

    def __init__(self, path, caught):
        self._path, self._caught = path, caught

    def __truediv__(self, other):
        return _Store(self._path / other, self._caught)

    def __getattr__(self, name):
        return getattr(self._path, name)

    def __str__(self):
        return str(self._path)

    @property
    def fs(self):
        return self

    def invalidate_cache(self):
        """Nothing is remembered."""

    def modified(self, _path):
        raise self._caught


def test_a_store_that_does_not_say_when_a_file_was_kept_keeps_it(on_disk):
    orphan = _keep(on_disk)
    base = _Store(UPath(on_disk.artefacts.as_uri()), NotImplementedError())
    on_disk.context = replace(on_disk.context, artefacts=Artefacts(base))
    on_disk.later(days=1000)
    assert "does not say when" in _staying(on_disk)[orphan]
    assert tidy(on_disk.context).orphans == ()


def test_a_store_that_refuses_says_so_in_words(on_disk):
    _keep(on_disk)
    base = _Store(UPath(on_disk.artefacts.as_uri()), PermissionError(13, "Permission denied"))
    on_disk.context = replace(on_disk.context, artefacts=Artefacts(base))
    with pytest.raises(ArtefactError, match=r"does not say when sealed/insurance/.*Permission denied"):
        what_is_old(on_disk.context)
