"""What the billing database knows of attempts: a second memory, beside the ledger's own, of what was claimed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Engine, String, Text, cast, column, inspect, select, table

from include.billing.engine import billing_connection, errors_named
from include.billing.outcomes_table import outcomes_table

COLUMNS: Final = (
    "profile", "charge_id", "attempt_no", "invoice_number", "ledger_id", "batch_name", "status", "response_code",
    "response_message", "approval_code", "amount", "currency", "execute_date", "decided_at",
)  # fmt: skip


def known_attempts(
    engine: Engine, billing_source: str, *, outcomes: str, listed_in: str | None = None, charge_id: str = "charge_id"
) -> Iterator[Mapping[str, Any]]:
    """The attempts of batches that `doku_charge_outcomes` holds, in the order of charge and number, streamed.

    DOKU's charges for bills are not among them: they have no batch, and `known_charges` gives them.

    Args:
        engine: The billing database.
        outcomes: The profile's `billing.outcomes`.
        listed_in: Only attempts of charges that this view lists.
        charge_id: The view's name of the charge id.

    Yields:
        `COLUMNS`; amounts are decimals in major units, `decided_at` is UTC without a timezone.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: The table, the view or a column is missing.
    """
    target = outcomes_table(outcomes)
    query = select(*(target.c[name] for name in COLUMNS)).where(
        target.c.billing_source == billing_source, target.c.batch_name.is_not(None)
    )
    if listed_in is not None:
        schema, _, name = listed_in.rpartition(".")
        view = table(name, column(charge_id), schema=schema or None)
        # Not a correlated EXISTS: some databases would then read the whole view once for every attempt.
        listed = view.c[charge_id]
        if _alike(engine, listed_in, charge_id):
            query = query.where(target.c.charge_id.in_(select(listed)))
        else:
            query = query.where(cast(target.c.charge_id, Text).in_(select(cast(listed, Text))))
    with errors_named(engine, what=f"table {outcomes}"), billing_connection(engine) as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=10_000)
        rows = streamed.execute(query.order_by(target.c.charge_id, target.c.attempt_no))
        yield from (dict(row) for row in rows.mappings())


def known_charges(engine: Engine, billing_source: str, profile: str, *, outcomes: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a profile that `doku_charge_outcomes` holds of bills, streamed. Raises as `known_attempts`."""
    target = outcomes_table(outcomes)
    where = (target.c.billing_source == billing_source, target.c.profile == profile, target.c.batch_name.is_(None))
    query = select(*(target.c[name] for name in COLUMNS)).where(*where)
    with errors_named(engine, what=f"table {outcomes}"), billing_connection(engine) as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=10_000)
        rows = streamed.execute(query.order_by(target.c.charge_id, target.c.attempt_no))
        yield from (dict(row) for row in rows.mappings())


def _alike(engine: Engine, view: str, charge_id: str) -> bool:
    """Whether the view's ids compare with ours as they are, and so by the index: without it all history is read.

    Only PostgreSQL is asked. Elsewhere two texts may have collations that cannot be compared.
    """
    if engine.dialect.name != "postgresql":
        return False
    schema, _, name = view.rpartition(".")
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        columns = inspect(connection).get_columns(name, schema or None)
    return any(str(one["name"]) == charge_id and isinstance(one["type"], String) for one in columns)
