"""Writing outcomes back: once, whatever is repeated, and never a weaker status over a stronger one."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from include.billing.outcomes import (
    IN_FLIGHT,
    Columns,
    UpsertCounts,
    check_outcomes_table,
    create_outcomes_table,
    outcomes_table,
    upsert_outcome_columns,
    upsert_outcomes,
)
from include.domain.errors import BillingError
from include.domain.states import STRENGTH
from tests.merchants import insurance
from tests.unit.billing.conftest import BillingDatabase

NOW = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
LADDER = [IN_FLIGHT, *sorted(STRENGTH, key=STRENGTH.__getitem__)]
PAIRS = [(first, second) for first in LADDER for second in LADDER]


def _claim(charge_id: str = "C1", **other: Any) -> dict[str, Any]:
    return {
        "billing_source": "insurer",
        "profile": "insurance",
        "charge_id": charge_id,
        "attempt_no": 1,
        "invoice_number": "INV0001",
        "ledger_id": "6f6e1b7e-0000-4000-8000-000000000001",
        "batch_name": "TKN_INSURER_20261122_0001.TXT",
        "status": "in_flight",
        "amount": 1500000,
        "currency": "IDR",
        "execute_date": date(2026, 11, 22),
    } | other


def _paid(charge_id: str = "C1", **other: Any) -> dict[str, Any]:
    answer = {"status": "paid", "response_code": "0000", "response_message": "APPROVED", "approval_code": "A12345"}
    return _claim(charge_id, **(answer | {"decided_at": NOW} | other))


@pytest.fixture
def outcomes(database: BillingDatabase) -> BillingDatabase:
    create_outcomes_table(database.engine)
    return database


def _rows(database: BillingDatabase) -> list[dict[str, Any]]:
    return database.all("SELECT * FROM doku_charge_outcomes ORDER BY charge_id, attempt_no")


def test_a_claim_is_inserted_then_the_same_then_changed_by_its_outcome(outcomes: BillingDatabase) -> None:
    assert upsert_outcomes(outcomes.engine, [_claim()], now=NOW) == UpsertCounts(inserted=1)
    before = _rows(outcomes)
    assert upsert_outcomes(outcomes.engine, [_claim()], now=LATER) == UpsertCounts(same=1)
    assert _rows(outcomes) == before
    assert upsert_outcomes(outcomes.engine, [_paid()], now=LATER) == UpsertCounts(changed=1)
    (row,) = _rows(outcomes)
    assert (row["status"], row["response_code"]) == ("paid", "0000")
    assert row["updated_at"] != before[0]["updated_at"]
    assert upsert_outcomes(outcomes.engine, [_paid()], now=LATER + timedelta(days=1)) == UpsertCounts(same=1)


def test_a_late_claim_does_not_replace_an_outcome(outcomes: BillingDatabase) -> None:
    upsert_outcomes(outcomes.engine, [_paid()], now=NOW)
    before = _rows(outcomes)
    assert upsert_outcomes(outcomes.engine, [_claim()], now=LATER) == UpsertCounts(same=1)
    assert _rows(outcomes) == before


def test_a_reversal_replaces_a_payment(outcomes: BillingDatabase) -> None:
    upsert_outcomes(outcomes.engine, [_paid()], now=NOW)
    assert upsert_outcomes(outcomes.engine, [_paid(status="reversed")], now=LATER) == UpsertCounts(changed=1)


def test_moments_are_utc_in_whole_seconds(outcomes: BillingDatabase) -> None:
    jakarta = timezone(timedelta(hours=7))
    upsert_outcomes(outcomes.engine, [_paid(decided_at=NOW.astimezone(jakarta))], now=NOW)
    (row,) = _rows(outcomes)
    assert str(row["decided_at"]).startswith("2026-11-22 08:00:00")
    assert str(row["updated_at"]).startswith("2026-11-22 08:00:00")


def test_moments_are_utc_in_a_column_with_a_timezone_too(postgres_database: BillingDatabase) -> None:
    create_outcomes_table(postgres_database.engine)
    postgres_database.run(
        "ALTER TABLE doku_charge_outcomes ALTER decided_at TYPE TIMESTAMPTZ, ALTER updated_at TYPE TIMESTAMPTZ",
        f"ALTER DATABASE {postgres_database.settings.schema} SET timezone = 'Asia/Jakarta'",
    )
    upsert_outcomes(postgres_database.engine, [_paid()], now=NOW)
    assert upsert_outcomes(postgres_database.engine, [_paid()], now=LATER) == UpsertCounts(same=1)
    (row,) = _rows(postgres_database)
    assert row["decided_at"] == NOW.replace(microsecond=0)


@pytest.mark.parametrize("amount", [1500000, "1500000.00", Decimal("1500000.0")])
def test_amounts_are_exact(outcomes: BillingDatabase, amount: Any) -> None:
    upsert_outcomes(outcomes.engine, [_claim(amount=amount)], now=NOW)
    assert upsert_outcomes(outcomes.engine, [_claim(amount=Decimal(1500000))], now=NOW).same == 1
    assert Decimal(str(_rows(outcomes)[0]["amount"])) == 1500000
    upsert_outcomes(outcomes.engine, [_claim("C2", amount="999999999999.99")], now=NOW)
    assert upsert_outcomes(outcomes.engine, [_claim("C2", amount="999999999999.99")], now=NOW).same == 1


def test_rows_come_from_any_iterable_and_in_several_transactions(outcomes: BillingDatabase) -> None:
    def made() -> Iterator[dict[str, Any]]:
        return (_claim(f"C{number:03}", invoice_number=f"INV{number}") for number in range(25))

    assert upsert_outcomes(outcomes.engine, made(), now=NOW, rows_per_transaction=10) == UpsertCounts(inserted=25)
    assert upsert_outcomes(outcomes.engine, made(), now=LATER, rows_per_transaction=7) == UpsertCounts(same=25)
    assert len(_rows(outcomes)) == 25


def test_the_last_of_two_rows_with_one_key_counts(outcomes: BillingDatabase) -> None:
    assert upsert_outcomes(outcomes.engine, [_claim(), _paid()], now=NOW) == UpsertCounts(inserted=1, same=1)
    assert _rows(outcomes)[0]["status"] == "paid"


def test_a_long_message_is_cut_and_stays_the_same(outcomes: BillingDatabase) -> None:
    long = _paid(response_message="DECLINED " * 100)
    upsert_outcomes(outcomes.engine, [long], now=NOW)
    assert upsert_outcomes(outcomes.engine, [long], now=LATER).same == 1


def test_nothing_to_write_is_nothing(outcomes: BillingDatabase) -> None:
    assert upsert_outcomes(outcomes.engine, [], now=NOW) == UpsertCounts()


@pytest.mark.parametrize(
    "row",
    [
        _claim(amount=1500000.0),
        _claim(decided_at=datetime(2026, 11, 22)),  # noqa: DTZ001
        _claim(token="x"),
        _claim(charge_id=None),
        _claim(updated_at=NOW),
        _claim(status="settled"),
        _claim(status=None),
    ],
)
def test_what_can_not_be_right_is_refused(outcomes: BillingDatabase, row: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each its own
        upsert_outcomes(outcomes.engine, [row], now=NOW)
    assert _rows(outcomes) == []


def test_charges_that_differ_in_case_are_two(outcomes: BillingDatabase) -> None:
    assert upsert_outcomes(outcomes.engine, [_claim("a1"), _claim("A1")], now=NOW) == UpsertCounts(inserted=2)


def test_a_table_that_takes_two_charges_for_one_is_refused(mariadb_database: BillingDatabase) -> None:
    create_outcomes_table(mariadb_database.engine)
    for column, length in (("charge_id", 200), ("billing_source", 40)):
        mariadb_database.run(
            f"ALTER TABLE doku_charge_outcomes MODIFY {column} VARCHAR({length}) COLLATE utf8mb4_general_ci NOT NULL"
        )
    with pytest.raises(BillingError, match="differ only in case"):
        upsert_outcomes(mariadb_database.engine, [_claim("a1"), _claim("A1")], now=NOW)
    assert _rows(mariadb_database) == []


def test_two_writers_at_once_end_with_one_row_each(outcomes: BillingDatabase) -> None:
    rows = [_claim(f"C{number:03}") for number in range(200)]

    def write(order: int) -> UpsertCounts:
        return upsert_outcomes(outcomes.engine, rows[::order], now=NOW, rows_per_transaction=20)

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(write, (1, -1)))
    assert len(_rows(outcomes)) == 200
    assert all(count.inserted + count.changed + count.same == 200 for count in counts)


def test_a_missing_table_is_named_with_its_key(database: BillingDatabase) -> None:
    with pytest.raises(BillingError) as caught:
        upsert_outcomes(database.engine, [_claim()], now=NOW)
    assert "no table 'doku_charge_outcomes'" in caught.value.message
    assert "billing.outcomes" in caught.value.message


def test_missing_columns_are_named(outcomes: BillingDatabase) -> None:
    outcomes.run(
        "ALTER TABLE doku_charge_outcomes DROP COLUMN ledger_id",
        "ALTER TABLE doku_charge_outcomes DROP COLUMN next_attempt_on",
    )
    with pytest.raises(BillingError, match="misses the columns ledger_id, next_attempt_on"):
        check_outcomes_table(outcomes.engine)


def test_a_table_without_the_unique_key_is_refused(outcomes: BillingDatabase) -> None:
    outcomes.run("CREATE TABLE copied AS SELECT * FROM doku_charge_outcomes")
    with pytest.raises(BillingError, match="no unique key on charge_id, attempt_no, billing_source"):
        upsert_outcomes(outcomes.engine, [_claim()], table="copied", now=NOW)


@pytest.mark.parametrize(
    "instead",
    [
        "ALTER TABLE doku_charge_outcomes ADD UNIQUE (charge_id, attempt_no, billing_source) DEFERRABLE",
        "CREATE UNIQUE INDEX one ON doku_charge_outcomes (charge_id, attempt_no, billing_source) WHERE status = 'paid'",
        "CREATE UNIQUE INDEX one ON doku_charge_outcomes (lower(charge_id), attempt_no, billing_source)",
        "CREATE UNIQUE INDEX one ON doku_charge_outcomes (charge_id, attempt_no, billing_source, status)",
    ],
)
def test_a_unique_key_that_does_not_hold_for_every_row_at_once_is_refused_before_a_claim(
    postgres_database: BillingDatabase, instead: str
) -> None:
    create_outcomes_table(postgres_database.engine)
    drop = "ALTER TABLE doku_charge_outcomes DROP CONSTRAINT uq_doku_charge_outcomes"
    postgres_database.run(drop, instead)
    with pytest.raises(BillingError, match="no unique key on charge_id, attempt_no, billing_source that holds for"):
        check_outcomes_table(postgres_database.engine)


def test_a_unique_key_in_another_order_with_other_columns_beside_it_will_do(postgres_database: BillingDatabase) -> None:
    create_outcomes_table(postgres_database.engine)
    postgres_database.run(
        "ALTER TABLE doku_charge_outcomes DROP CONSTRAINT uq_doku_charge_outcomes",
        "CREATE UNIQUE INDEX one ON doku_charge_outcomes (billing_source, charge_id, attempt_no) INCLUDE (profile)",
    )
    check_outcomes_table(postgres_database.engine)
    assert upsert_outcomes(postgres_database.engine, [_claim()], now=NOW) == UpsertCounts(inserted=1)
    assert upsert_outcomes(postgres_database.engine, [_paid()], now=LATER) == UpsertCounts(changed=1)


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE"])
def test_a_right_that_is_only_needed_later_is_asked_for_before_a_claim(
    postgres_database: BillingDatabase, right: str
) -> None:
    create_outcomes_table(postgres_database.engine)
    rights = ", ".join({"SELECT", "INSERT", "UPDATE"} - {right})
    postgres_database.run("CREATE ROLE teller LOGIN", f"GRANT {rights} ON doku_charge_outcomes TO teller")
    limited = sa.create_engine(postgres_database.owner.url.set(username="teller"))
    try:
        with pytest.raises(BillingError, match=r"does not permit this\. Grant .* SELECT, INSERT and UPDATE"):
            check_outcomes_table(limited)
        postgres_database.run(f"GRANT {right} ON doku_charge_outcomes TO teller")
        check_outcomes_table(limited)
        upsert_outcomes(limited, [_claim()], now=NOW)
        assert upsert_outcomes(limited, [_paid()], now=LATER) == UpsertCounts(changed=1)
    finally:
        limited.dispose()
        postgres_database.run("DROP OWNED BY teller", "DROP ROLE teller")


def test_columns_of_the_merchant_s_own_stay(outcomes: BillingDatabase) -> None:
    upsert_outcomes(outcomes.engine, [_claim()], now=NOW)
    outcomes.run(
        "ALTER TABLE doku_charge_outcomes ADD note VARCHAR(20)", "UPDATE doku_charge_outcomes SET note = 'called'"
    )
    upsert_outcomes(outcomes.engine, [_paid()], now=LATER)
    (row,) = _rows(outcomes)
    assert (row["status"], row["note"]) == ("paid", "called")


def test_the_example_s_table_is_one_that_can_be_written(database: BillingDatabase) -> None:
    insurance.create_schema(database.owner)
    check_outcomes_table(database.engine)
    assert upsert_outcomes(database.engine, [_paid()], now=NOW) == UpsertCounts(inserted=1)
    assert upsert_outcomes(database.engine, [_paid()], now=LATER) == UpsertCounts(same=1)
    assert upsert_outcomes(database.engine, [_claim("C2")], now=NOW) == UpsertCounts(inserted=1)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one who looked before the other wrote; PostgreSQL never looks."""
    monkeypatch.setattr("include.billing.upsert._present", lambda *_: {})
    monkeypatch.setattr("include.billing.upsert._refuse_unless", lambda *_: None)


def _said(status: str, charge_id: str, by: str) -> dict[str, Any]:
    return _paid(charge_id, status=str(status), response_code=by, next_attempt_on=date(2026, 12, 1 + len(by)))


def _in_both_orders(database: BillingDatabase) -> None:
    upsert_outcomes(database.engine, [_said(first, f"{first} {second}", "1") for first, second in PAIRS], now=NOW)
    upsert_outcomes(database.engine, [_said(second, f"{first} {second}", "22") for first, second in PAIRS], now=LATER)


def _assert_strongest_whole(database: BillingDatabase) -> None:
    rows = {row["charge_id"]: row for row in _rows(database)}
    for first, second in PAIRS:
        row = rows[f"{first} {second}"]
        expected = (
            (second, "22", "2026-12-03") if LADDER.index(second) >= LADDER.index(first) else (first, "1", "2026-12-02")
        )
        assert (row["status"], row["response_code"], str(row["next_attempt_on"])) == expected
        assert ("09:00" in str(row["updated_at"])) == (expected[1] == "22")


def test_a_weaker_status_never_replaces_a_stronger_one(outcomes: BillingDatabase) -> None:
    _in_both_orders(outcomes)
    _assert_strongest_whole(outcomes)
    weaker = [_said(second, f"{first} {second}", "1") for first, second in PAIRS]
    assert upsert_outcomes(outcomes.engine, [one for one in weaker if one["status"] == IN_FLIGHT], now=LATER) == (
        UpsertCounts(changed=1, same=len(LADDER) - 1)
    )


@pytest.mark.usefixtures("blind")
def test_a_weaker_status_that_loses_a_race_never_replaces_a_stronger_one(outcomes: BillingDatabase) -> None:
    _in_both_orders(outcomes)
    _assert_strongest_whole(outcomes)


def test_columns_keep_the_strongest_as_rows_do(postgres_database: BillingDatabase) -> None:
    create_outcomes_table(postgres_database.engine)
    for number, moment in enumerate((NOW, LATER)):
        rows = [_said(pair[number], f"{pair[0]} {pair[1]}", "1" if number == 0 else "22") for pair in PAIRS]
        names = [column.name for column in outcomes_table().columns if column.name not in ("updated_at", "decided_at")]
        page = Columns(len(rows), {name: [row[name] for row in rows] for name in names}, {"decided_at": None})
        counts = upsert_outcome_columns(postgres_database.engine, [page], now=moment)
    assert counts == UpsertCounts(changed=21, same=15)
    _assert_strongest_whole(postgres_database)


@pytest.mark.parametrize("there", [(), ("C1",), ("C1", "C2", "C3")])
def test_rows_that_should_be_new_are_written_as_ever_where_they_are_not(
    postgres_database: BillingDatabase, there: tuple[str, ...]
) -> None:
    create_outcomes_table(postgres_database.engine)
    upsert_outcomes(postgres_database.engine, [_paid(one, batch_name="before") for one in there[:1]], now=NOW)
    upsert_outcomes(postgres_database.engine, [_claim(one, batch_name="before") for one in there[1:]], now=NOW)
    rows = [_claim(one) for one in ("C1", "C2", "C3", "C3")]
    names = [column.name for column in outcomes_table().columns if column.name in rows[0]]
    empty = dict.fromkeys(("response_code", "response_message", "approval_code", "decided_at", "next_attempt_on"))
    page = Columns(len(rows), {name: [row[name] for row in rows] for name in names}, empty, new=True)
    counts = upsert_outcome_columns(postgres_database.engine, [page], now=LATER)
    inserted, changed = 3 - len(there), max(len(there) - 1, 0)  # C1 is paid: a claim gives way to that
    assert counts == UpsertCounts(inserted=inserted, changed=changed, same=4 - inserted - changed)
    kept = {row["charge_id"]: (row["status"], row["batch_name"]) for row in _rows(postgres_database)}
    claim = ("in_flight", rows[0]["batch_name"])
    assert kept == {"C1": ("paid", "before") if there else claim, "C2": claim, "C3": claim}


def test_of_two_who_tell_the_same_new_rows_the_second_finds_them(postgres_database: BillingDatabase) -> None:
    create_outcomes_table(postgres_database.engine)
    rows = [_claim(f"C{number:03}") for number in range(50)]
    names = [column.name for column in outcomes_table().columns if column.name in rows[0]]
    empty = dict.fromkeys(("response_code", "response_message", "approval_code", "decided_at", "next_attempt_on"))
    page = Columns(len(rows), {name: [row[name] for row in rows] for name in names}, empty, new=True)
    at = NOW.replace(tzinfo=None, microsecond=0)
    with ThreadPoolExecutor(1) as pool:
        with postgres_database.owner.begin() as connection:
            connection.execute(outcomes_table().insert(), [{**row, "updated_at": at} for row in rows[20:30]])
            waits = pool.submit(upsert_outcome_columns, postgres_database.engine, [page], now=NOW)
            time.sleep(0.3)
            assert not waits.done()
        assert waits.result(timeout=60) == UpsertCounts(inserted=40, same=10)
    assert len(_rows(postgres_database)) == 50


def test_two_writers_at_once_end_with_the_strongest(outcomes: BillingDatabase) -> None:
    ids = [f"C{number:03}" for number in range(100)]
    upsert_outcomes(outcomes.engine, [_claim(one) for one in ids[::2]], now=NOW)

    def write(status: str) -> None:
        rows = [_said(status, one, status[:2]) for one in ids]
        upsert_outcomes(outcomes.engine, rows[:: -1 if status == "paid" else 1], now=LATER, rows_per_transaction=10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("unknown", "paid")))
    assert {(row["status"], row["response_code"]) for row in _rows(outcomes)} == {("paid", "pa")}


@pytest.mark.parametrize("there", [True, False])
def test_who_waits_for_a_stronger_one_gives_way_to_it(server_database: BillingDatabase, there: bool) -> None:
    database, table = server_database, outcomes_table()
    create_outcomes_table(database.engine)
    upsert_outcomes(database.engine, [_claim()] if there else [], now=NOW)
    stronger: Any = table.update().values(status="paid", response_code="0000")
    if not there:
        at = NOW.replace(tzinfo=None, microsecond=0)
        stronger = table.insert().values(_paid(decided_at=at, updated_at=at))
    with ThreadPoolExecutor(1) as pool:
        with database.owner.begin() as connection:
            connection.execute(stronger)
            waits = pool.submit(upsert_outcomes, database.engine, [_said("unknown", "C1", "1")], now=LATER)
            time.sleep(0.3)
            assert not waits.done()
        waits.result(timeout=60)
    (row,) = _rows(database)
    assert (row["status"], row["response_code"]) == ("paid", "0000")


@pytest.mark.parametrize("looks", [True, False])
def test_a_status_that_nobody_knows_gives_way_to_outcomes_and_to_no_claim(
    outcomes: BillingDatabase, looks: bool, request: pytest.FixtureRequest
) -> None:
    upsert_outcomes(outcomes.engine, [_paid("C1"), _paid("C2")], now=NOW)
    outcomes.run("UPDATE doku_charge_outcomes SET status = 'refunded'")
    if not looks:
        request.getfixturevalue("blind")
    upsert_outcomes(outcomes.engine, [_claim("C1"), _said("unknown", "C2", "1")], now=LATER)
    assert [row["status"] for row in _rows(outcomes)] == ["refunded", "unknown"]


def test_a_status_that_nobody_knows_replaces_claims_only(postgres_database: BillingDatabase) -> None:
    create_outcomes_table(postgres_database.engine)
    upsert_outcomes(postgres_database.engine, [_claim("C1"), _said("unknown", "C2", "1")], now=NOW)
    rows = [_said("refunded", one, "1") for one in ("C1", "C2")]
    names = [column.name for column in outcomes_table().columns if column.name not in ("updated_at", "decided_at")]
    page = Columns(len(rows), {name: [row[name] for row in rows] for name in names}, {"decided_at": None})
    upsert_outcome_columns(postgres_database.engine, [page], now=LATER)
    assert [row["status"] for row in _rows(postgres_database)] == ["refunded", "unknown"]


def test_of_a_bill_the_latest_counts(outcomes: BillingDatabase) -> None:
    upsert_outcomes(outcomes.engine, [_paid(batch_name=None)], now=NOW, of_bills=True)
    taken_back = _paid(batch_name=None, status="withdrawn", amount=0)
    assert upsert_outcomes(outcomes.engine, [taken_back], now=LATER, of_bills=True) == UpsertCounts(changed=1)
    assert _rows(outcomes)[0]["status"] == "withdrawn"


@pytest.mark.usefixtures("blind")
def test_a_claim_that_loses_a_race_does_not_replace_an_outcome(outcomes: BillingDatabase) -> None:
    upsert_outcomes(outcomes.engine, [_paid()], now=NOW)
    before = _rows(outcomes)
    upsert_outcomes(outcomes.engine, [_claim(), _claim("C2")], now=LATER)
    assert _rows(outcomes)[0] == before[0]
    upsert_outcomes(outcomes.engine, [_paid(status="reversed", response_code="X1")], now=LATER)
    first, second = _rows(outcomes)
    assert (first["status"], first["response_code"], second["status"]) == ("reversed", "X1", "in_flight")
