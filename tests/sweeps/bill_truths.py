"""What must hold of bills after any day that was played: between DOKU's own books, the ledger and the merchant."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa

from include.schemas.profile import load_profile
from tests.doku_simulator.simulator import Simulator
from tests.stack.scene import Scene

_TOLD = """
    SELECT charge_id, invoice_number, status, amount FROM doku_charge_outcomes WHERE batch_name IS NULL
"""


def plays_bills(doku: Simulator) -> bool:
    """Whether DOKU has a clock of its own, by which it charges bills."""
    return doku.config.http is not None and doku.config.http.start_at is not None


def clock_of(doku: Simulator) -> datetime:
    """What DOKU's clock shows, which is the merchant's too."""
    return datetime.fromtimestamp(doku.web.clock.now(), UTC) if plays_bills(doku) else datetime.now(UTC)


def problems(scene: Scene, doku: Simulator) -> Iterator[str]:
    """Promises about bills that a day broke, a sentence each."""
    if not plays_bills(doku) or not load_profile(scene.profiles / f"{scene.profile}.toml").has_recurring:
        return
    yield from _registered_once(doku)
    yield from _told_what_happened(scene, doku)


def _registered_once(doku: Simulator) -> Iterator[str]:
    """Nobody here asks for a bill again: so DOKU is asked for it once, by call or by file, and no file comes again."""
    asked = Counter(one["billing_number"] for one in doku.web.history if one["event"] == "asked")
    yield from (f"bill {number} was asked for {times} times" for number, times in asked.items() if times > 1)
    for one in doku.web.history:
        if one["event"] in ("file again", "file rejected") or one.get("refused"):
            yield f"DOKU says of a file that registers bills: {one}"


def _told_what_happened(scene: Scene, doku: Simulator) -> Iterator[str]:
    """Each charge that DOKU made is told once, as paid with what moved; nothing else is told as paid."""
    engine = scene.billing.engine()
    with engine.connect() as connection:
        told = [row for row in connection.execute(sa.text(_TOLD)) if row.status == "paid"]
    engine.dispose()
    for charge, times in Counter(row.charge_id for row in told).items():
        if times > 1:
            yield f"charge {charge} was told as paid {times} times"
    paid = {row.invoice_number: int(row.amount) for row in told}
    moved = {one["reference"]: one["charged"] for one in doku.web.recurring if one["charged"]}
    for one in sorted({*moved, *paid}):
        if one not in paid:
            yield f"DOKU charged {one}, which the merchant was not told as paid"
        elif one not in moved:
            yield f"{one} was told as paid, and no money moved"
        elif paid[one] != moved[one]:
            yield f"of {one} the merchant was told {paid[one]}, and {moved[one]} moved"
