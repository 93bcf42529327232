"""What the billing database knows of attempts: of listed charges only, and quickly however many there are."""

from datetime import UTC, datetime
from typing import Any

from include.billing.known_attempts import known_attempts
from include.billing.outcomes import create_outcomes_table
from tests.unit.billing.conftest import BillingDatabase, MakeView

MANY = 2_000
READS_EACH = 20
"""MariaDB read the whole view once for each attempt: as many rows as there are, for each."""


def _tell(database: BillingDatabase, *charge_ids: str) -> None:
    create_outcomes_table(database.engine)
    row: dict[str, Any] = {
        "billing_source": "insurer", "profile": "insurance", "attempt_no": 1, "ledger_id": "6f6e1b7e", "amount": 1,
        "batch_name": "TKN_1.TXT",
        "status": "in_flight", "currency": "IDR", "updated_at": datetime(2026, 11, 22, tzinfo=UTC).replace(tzinfo=None),
    }  # fmt: skip
    database.insert("doku_charge_outcomes", [row | {"charge_id": charge_id} for charge_id in charge_ids])


def _known(database: BillingDatabase, listed_in: str | None = "doku_due_charges") -> list[str]:
    rows = known_attempts(database.engine, "insurer", outcomes="doku_charge_outcomes", listed_in=listed_in)
    return [row["charge_id"] for row in rows]


def test_only_attempts_of_charges_that_are_listed(database: BillingDatabase, make_view: MakeView) -> None:
    make_view({"charge_id": "C1"}, {"charge_id": "C3"}, {"charge_id": None})
    _tell(database, "C1", "C2", "C3")
    assert _known(database) == ["C1", "C3"]
    assert _known(database, None) == ["C1", "C2", "C3"]


def test_a_view_with_charge_ids_as_numbers(database: BillingDatabase, make_view: MakeView) -> None:
    make_view({"charge_id": 7}, charge_id="INTEGER")
    _tell(database, "7", "8")
    assert _known(database) == ["7"]


def test_many_listed_charges_of_which_each_has_an_attempt(database: BillingDatabase, make_view: MakeView) -> None:
    names = [f"C{number:06}" for number in range(MANY)]
    make_view(*({"charge_id": name} for name in names))
    _tell(database, *names)
    before = _reads(database)
    assert _known(database) == names
    assert _reads(database) - before <= READS_EACH * MANY


def _reads(database: BillingDatabase) -> int:
    """How many rows MariaDB has read by now; others do not say."""
    if database.kind not in ("mysql", "mariadb"):
        return 0
    return sum(int(row["Value"]) for row in database.all("SHOW GLOBAL STATUS LIKE 'Handler_read%'"))
