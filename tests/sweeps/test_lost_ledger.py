"""A ledger restored from an older state, or a second one: nothing is sent twice, and the message says how to go on."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from include.domain.errors import LedgerForgot
from include.flows.decisions import arrived, never_arrived
from include.flows.recover import recover
from tests.stack import by_flows
from tests.stack.databases import Database, upgraded
from tests.sweeps import acts, crash
from tests.sweeps.acts import Stage
from tests.sweeps.sample import FULL
from tests.sweeps.scenarios import ORDINARY

_PLAIN = {**ORDINARY, "limits": {"max_rows_per_batch": 20}}
_BARE = {**_PLAIN, "batch": {"archive_folder": None}, "report": {"delete_after": True}}
"""A server that shows nothing of what it took, and reports that are deleted once they are written back."""

_SAMPLE = (
    "claim: run opened", "claim: committed", "seal: committed", "deliver: claims told", "deliver: promise committed",
    "deliver: before it is recorded", "fetch: report kept", "ingest: committed",
)  # fmt: skip

_SUBMIT = (acts.claim, acts.seal, acts.deliver_all, acts.close)


def _backup(ledger: Database, to: Path) -> None:
    source = sqlite3.connect(ledger.connection["host"])
    target = sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


def _restore(scene, backup: Path) -> None:
    file = Path(scene.ledger.connection["host"])
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    shutil.copyfile(backup, file)


def _play_with_backups(scene, doku, upto):
    """The day up to an act; a backup of the ledger at each step, by its number and name."""
    folder = scene.root / "backups"
    folder.mkdir()
    made = []

    def step(name):
        made.append((name, folder / f"{len(made)}.db"))
        _backup(scene.ledger, made[-1][1])

    stage = Stage(scene, lambda: crash._work(doku), step=step)
    for do in (*_SUBMIT, acts.reconcile):
        do(stage)
        if do is upto:
            break
    return made


def _next_day(scene, doku, *, adopt=False):
    """The next day's run; what it says is done, as a person would. The words of what stopped it."""
    stage = Stage(scene, lambda: crash._work(doku), day=1, run="next")
    said = ""
    try:
        acts.claim(stage)
    except LedgerForgot as caught:
        said = caught.message
        with stage.context() as context:
            assert recover(context, by="Siti", adopt=adopt, apply=False)
            found = recover(context, by="Siti", adopt=adopt, apply=True)
            assert recover(context, by="Siti", adopt=adopt, apply=True) == [], "recovering again finds more"
            taken = {one["name"] for one in doku.files}
            for one in (one for one in found if one.state == "unknown"):
                ask = arrived if one.file_name in taken else never_arrived
                ask(context, file_name=one.file_name, by="Siti", why="DOKU says so")
    for do in (*_SUBMIT, acts.reconcile, acts.reconcile):
        do(stage)
    return said


def _check(scene, doku, usual):
    found = list(crash.problems(scene, doku))
    assert found == [], "\n".join(found)
    with by_flows.context_of(scene) as context, context.ledger.read() as connection:
        from include.ledger.batches import all_batches

        states = {one.file_name: str(one.state) for one in all_batches(connection, scene.profile)}
    assert set(states.values()) <= {"reconciled", "withdrawn", "delivered"}, states


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("settings", [_PLAIN, _BARE], ids=["archive shown", "nothing shown"])
@pytest.mark.parametrize("upto", [acts.deliver_all, acts.reconcile], ids=lambda act: f"after {act.__name__}")
def test_restored_from_a_backup(make_workshop, settings, upto):
    workshop = make_workshop("sqlite")
    with workshop.scene("sqlite", 60, settings) as (scene, doku):
        names = [name for name, _ in _play_with_backups(scene, doku, upto)]
    few = _SAMPLE if (settings, upto) == (_PLAIN, acts.reconcile) else _SAMPLE[1:5:3]
    chosen = range(len(names)) if FULL else [names.index(name) for name in few]
    failed = []
    for number in chosen:
        with workshop.scene("sqlite", 60, settings) as (scene, doku):
            backups = _play_with_backups(scene, doku, upto)
            charged = len(doku.charged)
            crash._work(doku)
            assert upto is acts.deliver_all or len(doku.charged) == charged
            _restore(scene, backups[number][1])
            said = ""
            try:
                said = _next_day(scene, doku)
                _check(scene, doku, None)
            except (AssertionError, Exception) as caught:  # noqa: BLE001 - all of them are findings
                failed.append(f"backup at {number} {names[number]} ({said[:60]}): {type(caught).__name__}: {caught}")
            assert not said or "recover --profile insurance" in said
    assert failed == [], "\n".join(failed)


def test_a_second_empty_ledger(make_workshop, tmp_path):
    workshop = make_workshop("sqlite")
    with workshop.scene("sqlite", 60, _PLAIN) as (scene, doku):
        _play_with_backups(scene, doku, acts.reconcile)
        before = len(doku.processed)
        upgraded(Database.sqlite(tmp_path / "second.db"))
        _restore(scene, tmp_path / "second.db")
        stage = Stage(scene, lambda: crash._work(doku), day=1, run="second")
        with pytest.raises(LedgerForgot, match="Another ledger works on billing source insurance-billing"):
            acts.claim(stage)
        with stage.context() as context, pytest.raises(LedgerForgot, match="--adopt"):
            recover(context, by="Siti", adopt=False, apply=True)
        said = _next_day(scene, doku, adopt=True)
        assert "Point the profile's ledger connection to that ledger" in said
        again = {one["invoice_number"] for one in doku.processed[before:]}
        assert again.isdisjoint(one["invoice_number"] for one in doku.processed[:before])
        _check(scene, doku, None)
