"""Before anything is claimed, the billing database's memory is compared with the ledger's.

The billing database is told of every claim before it leaves. So a ledger that was restored from a backup, or a second,
empty one, finds attempts there that it does not know, and claims nothing (promise 1).
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, text

from include.billing.known_attempts import known_attempts
from include.domain.errors import LedgerForgot
from include.flows.context import FlowContext
from include.ledger.store import Workspace
from include.ledger.work_tables import staged_known

_FORGOTTEN = """
    SELECT k.ledger_id, count(*) AS attempts, min(k.batch_name) AS batch_name
    FROM staged_known k LEFT JOIN attempt a
      ON a.billing_source = :billing_source AND a.charge_id = k.charge_id AND a.attempt_no = k.attempt_no
    WHERE a.invoice_number IS NULL
       OR (k.status <> 'in_flight'
           AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number AND o.status = k.status))
    GROUP BY k.ledger_id ORDER BY k.ledger_id
"""


def refuse_if_forgetful(context: FlowContext, workspace: Workspace) -> None:
    """Compare what both know of the listed charges.

    Raises:
        LedgerForgot: The billing database knows an attempt that the ledger does not; says whose, and what to do.
    """
    billing = context.profile.billing
    rows = known_attempts(
        context.billing(),
        context.profile.billing_source,
        outcomes=billing.outcomes,
        listed_in=billing.view,
        charge_id=billing.columns.get("charge_id", "charge_id"),
    )
    for page in _pages(rows):
        with workspace.stage() as connection:
            connection.execute(insert(staged_known), page)
    with workspace.stage() as connection:
        forgotten = _forgotten(connection, context.profile.billing_source)
    if forgotten:
        raise LedgerForgot(_words(context, forgotten))


def _forgotten(connection: Connection, billing_source: str) -> list[tuple[str, int, str]]:
    rows = connection.execute(text(_FORGOTTEN), {"billing_source": billing_source})
    return [(row.ledger_id, int(row.attempts), row.batch_name) for row in rows]


def _words(context: FlowContext, forgotten: list[tuple[str, int, str]]) -> str:
    ours = context.ledger.ledger_id
    found = [f"{count} of ledger {ledger} (as in {name})" for ledger, count, name in forgotten]
    said = (
        f"The billing database knows attempts of listed charges that this ledger ({ours}) does not, "
        f"or not their outcome: {'; '.join(found)}. "
    )
    if all(ledger == ours for ledger, _, _ in forgotten):
        return (
            f"{said}This ledger was restored from an older state. Nothing was claimed. "
            f"Run `python -m include.cli recover --profile {context.profile.name} --by NAME --apply`, which rebuilds "
            "them, and try again."
        )
    return (
        f"{said}Another ledger works on billing source {context.profile.billing_source}. Nothing was claimed. "
        "Point the profile's ledger connection to that ledger; if it is lost for good, "
        f"`python -m include.cli recover --profile {context.profile.name} --by NAME --adopt --apply` takes "
        "its attempts over."
    )


def _pages(rows: Iterator[Mapping[str, Any]], size: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    names = ("charge_id", "attempt_no", "ledger_id", "batch_name", "status")
    while page := [{name: row[name] for name in names} for row in islice(rows, size)]:
        yield page
