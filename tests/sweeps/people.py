"""What people decide by hand in a day that is played; doing it again decides nothing twice."""

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import text

from include.flows.context import FlowContext
from include.flows.operate import carry_out
from include.ledger.plans import waiting_for_setup
from tests.stack.toml import changed
from tests.sweeps.acts import Stage

_ASKED: Final = {"by": "Siti", "why": "asked DOKU"}

_UNKNOWN: Final = """
    SELECT a.invoice_number, a.line_no FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE NOT EXISTS (SELECT 1 FROM outcome s WHERE s.invoice_number = a.invoice_number AND s.status <> 'unknown')
    ORDER BY a.invoice_number
"""

_OPEN_TO_CLOSE: Final = """
    SELECT a.charge_id FROM testimony t JOIN attempt a ON a.invoice_number = t.invoice_number
    WHERE t.status = 'declined' AND NOT EXISTS (SELECT 1 FROM closed_charge c WHERE c.charge_id = a.charge_id)
    ORDER BY a.charge_id
"""

_DIFFERENCES: Final = """
    SELECT break_id FROM recon_break WHERE kind = 'amount_differs' AND state = 'open' ORDER BY break_id
"""

_EXPLAINED: Final = """
    SELECT break_id FROM recon_break WHERE kind = 'amount_differs' AND state = 'explained' ORDER BY break_id
"""

_UNANSWERED: Final = """
    SELECT b.file_name FROM batch b WHERE b.state = 'delivered' AND NOT EXISTS (
        SELECT 1 FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
        WHERE a.batch_id = b.batch_id AND o.witness = 'report')
    ORDER BY b.file_name
"""

_TAKEN_IN: Final = "SELECT file_name FROM report_file WHERE state IN ('ingested', 'written_back') ORDER BY file_name"

_LISTED: Final = {"code": "00ZZ", "class": "retry_later", "meaning": "Busy", "source": "DOKU", "certainty": "certain"}


def operate(stage: Stage) -> None:
    """A person settles what stayed unknown, closes what they called declined, explains and resolves differences."""
    with stage.context() as context:
        for invoice, line in _rows(context, _UNKNOWN):
            about = {"invoice_number": invoice, "outcome": "paid" if line % 2 else "declined"}
            carry_out(context, "settle", {**about, "evidence": "DOKU's mail"}, **_ASKED)
        for (charge,) in _rows(context, _OPEN_TO_CLOSE):
            carry_out(context, "close", {"charge_id": charge, "reason": "written_off"}, by="Siti", why="too old")
        for (number,) in _rows(context, _DIFFERENCES):
            carry_out(context, "explain_break", {"number": number}, **_ASKED)
        for (number,) in _rows(context, _EXPLAINED):
            carry_out(context, "resolve_break", {"number": number, "difference": "stands"}, **_ASKED)


def say_refused(stage: Stage) -> None:
    """DOKU says that it has nothing of what was delivered and not answered."""
    with stage.context() as context:
        for (name,) in _rows(context, _UNANSWERED):
            carry_out(context, "file_refused", {"file_name": name}, **_ASKED)


def say_mended(stage: Stage) -> None:
    """DOKU has mended what was wrong in the merchant's set-up."""
    with stage.context() as context:
        with context.ledger.read() as connection:
            waiting = waiting_for_setup(connection, context.profile.name)
        if waiting:
            carry_out(context, "setup_mended", {}, **_ASKED)


def list_the_code(stage: Stage) -> None:
    """DOKU says what the code means that the simulator makes up, and the profile lists it."""
    replace(stage.scene, changes=changed(stage.scene.changes, {"codes": [_LISTED]})).write_profile()


def read_again(stage: Stage) -> None:
    """Each report that was taken in is read again."""
    with stage.context() as context:
        for (name,) in _rows(context, _TAKEN_IN):
            carry_out(context, "reingest", {"file_name": name}, **_ASKED)


def _rows(context: FlowContext, query: str) -> list[Any]:
    with context.ledger.read() as connection:
        return list(connection.execute(text(query)))
