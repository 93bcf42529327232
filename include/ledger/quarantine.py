"""Quarantined charges as matters: opened when a run rejects them, released when they are mended or by a person."""

from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, bindparam, select, text, update

from include.ledger.events import Note, add_decision
from include.ledger.tables import quarantine
from include.ledger.types import UtcDateTime

_OPEN: Final = """
    INSERT INTO quarantine (billing_source, charge_id, state, profile, reasons, first_run_id, last_run_id)
    SELECT billing_source, charge_id, 'open', :profile, max(reasons), :run_id, :run_id
    FROM quarantined_charge
    WHERE run_id = :run_id AND charge_id IS NOT NULL AND reasons <> 'row:repeated'
    GROUP BY billing_source, charge_id
    ON CONFLICT (billing_source, charge_id) DO UPDATE SET
        first_run_id = CASE quarantine.state WHEN 'open' THEN quarantine.first_run_id ELSE excluded.first_run_id END,
        state = 'open', profile = excluded.profile, last_run_id = excluded.last_run_id,
        reasons = CASE WHEN excluded.reasons = 'row:awaiting_release' THEN quarantine.reasons ELSE excluded.reasons END,
        released_by = NULL, released_at = NULL, release_reason = NULL
"""
# A row that is only repeated goes on as its first copy: no matter of the charge.

_MENDED: Final = """
    UPDATE quarantine
    SET state = 'released', released_by = 'mended', released_at = :at, release_reason = 'passes every check'
    WHERE state = 'open' AND billing_source = :billing_source AND last_run_id <> :run_id AND charge_id IN (
        SELECT s.charge_id FROM staged_charge s LEFT JOIN staged_fate f ON f.row_no = s.row_no
        WHERE s.reasons IS NULL AND coalesce(f.fate, 'claim') <> 'quarantine')
      AND NOT EXISTS (SELECT 1 FROM quarantined_charge k WHERE k.run_id = :run_id
        AND k.charge_id = quarantine.charge_id AND k.reasons <> 'row:repeated')
"""
# What this run rejected is open by it and not mended by it: it is not even looked for among what was read.


@dataclass(frozen=True)
class Matter:
    """A quarantined charge."""

    charge_id: str
    state: str
    reasons: str
    first_run_id: int
    last_run_id: int


def note_quarantine(connection: Connection, run_id: int, billing_source: str, profile: str, now: datetime) -> None:
    """Open a matter for each charge that this run quarantined; close those that it found mended."""
    connection.execute(text(dedent(_OPEN)), {"run_id": run_id, "profile": profile})
    mended = text(dedent(_MENDED)).bindparams(bindparam("at", value=now, type_=UtcDateTime))
    connection.execute(mended, {"billing_source": billing_source, "run_id": run_id})


def open_matters(connection: Connection, billing_source: str) -> list[Matter]:
    """The charges that are quarantined now, by id."""
    where = (quarantine.c.billing_source == billing_source, quarantine.c.state == "open")
    names = Matter.__dataclass_fields__
    rows = connection.execute(
        select(*(quarantine.c[name] for name in names)).where(*where).order_by(quarantine.c.charge_id)
    )
    return [Matter(*row) for row in rows]


def release_matter(
    connection: Connection, *, billing_source: str, profile: str, charge_id: str, note: Note, why: str
) -> bool:
    """A person releases a charge: the next run checks it again. False when it is not quarantined."""
    where = (
        quarantine.c.billing_source == billing_source,
        quarantine.c.charge_id == charge_id,
        quarantine.c.state == "open",
    )
    values = {
        "state": "released",
        "profile": profile,
        "released_by": note.actor,
        "released_at": note.at,
        "release_reason": why,
    }
    if connection.execute(update(quarantine).where(*where).values(**values)).rowcount != 1:
        return False
    add_decision(connection, profile, "release", charge_id, note)
    return True
