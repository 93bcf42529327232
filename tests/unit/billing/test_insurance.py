"""The example merchant: one schema for every database, the same customers each time, a view that lists what it must."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.billing.due_charges import read_due_charges
from include.billing.outcomes import upsert_outcomes
from include.schemas.due_charges import DueChargeRules, validate_due_charges
from include.schemas.layout import load_layout
from include.schemas.profile import SHIPPED_CONFIG, load_profile
from tests.merchants import insurance
from tests.unit.billing.conftest import BillingDatabase

DAY = date(2026, 11, 22)
CONTENT = "SELECT * FROM doku_due_charges ORDER BY charge_id, amount"


def _listed(database: BillingDatabase) -> set[str]:
    reading = read_due_charges(database.engine, view="doku_due_charges", columns={}, due_by=DAY, chunk_rows=500)
    return {charge for frame in reading for charge in frame["charge_id"]}


def _outcome(charge_id: str, status: str, attempt_no: int = 1) -> dict[str, Any]:
    return {
        "billing_source": "insurer",
        "profile": "insurance",
        "charge_id": charge_id,
        "attempt_no": attempt_no,
        "ledger_id": "l",
        "status": status,
        "amount": 1,
        "currency": "IDR",
    }


def test_a_charge_is_listed_until_it_is_paid_or_withdrawn_by_the_merchant(database: BillingDatabase) -> None:
    insurance.seed(database.owner, charges=10, business_date=DAY, bad_share=0)
    charges = sorted(_listed(database))[:6]
    statuses = ["in_flight", "declined", "unknown", "withdrawn", "paid", "reversed"]
    upsert_outcomes(database.engine, [_outcome(*pair) for pair in zip(charges, statuses, strict=True)])
    assert _listed(database) & set(charges) == set(charges[:4])
    upsert_outcomes(database.engine, [_outcome(charges[1], "paid", attempt_no=2)])
    database.run(
        "UPDATE insurer_premiums SET cancelled_on = '2026-11-22' WHERE premium_id = :charge", charge=charges[0]
    )
    assert _listed(database) & set(charges) == {charges[2], charges[3]}


def test_the_same_seed_gives_the_same_rows(tmp_path: Path, sqlite_database: BillingDatabase) -> None:
    insurance.seed(sqlite_database.owner, charges=300, business_date=DAY, seed=3)
    first = sqlite_database.all(CONTENT)
    for statement in ("VIEW doku_due_charges", *(f"TABLE {name}" for name in _tables(sqlite_database))):
        sqlite_database.run(f"DROP {statement}")
    insurance.seed(sqlite_database.owner, charges=300, business_date=DAY, seed=3)
    assert sqlite_database.all(CONTENT) == first


def _tables(database: BillingDatabase) -> list[str]:
    return [row["name"] for row in database.all("SELECT name FROM sqlite_master WHERE type = 'table'")]


def test_every_way_of_being_bad_occurs_and_about_three_in_a_hundred_are(database: BillingDatabase) -> None:
    seeded = insurance.seed(database.owner, charges=3000, business_date=DAY)
    assert sum(seeded.bad.values()) == 90
    assert len(seeded.bad) == (21 if database.kind == "sqlite" else 19)
    assert seeded.late > 0
    assert seeded.rows > seeded.due


def test_the_command_line_fills_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--url", f"sqlite:///{tmp_path / 'insurer.db'}", "--charges", "50", "--date", DAY.isoformat()]
    assert insurance.main([*arguments, "--bad-share", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] > 40


@pytest.mark.parametrize(
    ("layout_name", "harmless"),
    [("assumed-batch", set()), ("fixed-width-batch", {"description_delimiter"})],  # nothing is delimited there
)
def test_the_shipped_layouts_take_the_good_charges_and_refuse_the_bad_ones(
    sqlite_database: BillingDatabase, layout_name: str, harmless: set[str]
) -> None:
    seeded = insurance.seed(sqlite_database.owner, charges=1000, business_date=DAY)
    layout = load_layout(SHIPPED_CONFIG / "layouts" / f"{layout_name}.toml")
    rules = DueChargeRules.of(load_profile(SHIPPED_CONFIG / "profiles" / "insurance.toml"), layout, DAY)
    reading = read_due_charges(sqlite_database.engine, view="doku_due_charges", columns={}, due_by=DAY, chunk_rows=300)
    checked = pd.concat([validate_due_charges(frame, rules) for frame in reading], ignore_index=True)
    twice = sum(count for way, count in seeded.bad.items() if way.startswith("listed_twice"))
    bad = sum(count for way, count in seeded.bad.items() if way not in harmless)
    rejected = checked[checked["reasons"].notna()]
    assert len(rejected) == bad - twice
    assert checked["charge_id"].duplicated().sum() == twice
    assert checked["late"].sum() == seeded.late
    assert not any(number in text for number in insurance.TEST_CARD_NUMBERS for text in _texts(rejected))


def _texts(frame: pd.DataFrame) -> list[str]:
    return [str(value) for row in frame.to_numpy().tolist() for value in row]
