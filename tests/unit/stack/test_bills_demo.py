"""The demos of merchants with bills: their settings can be used, and what they say of DOKU is worked out apart."""

import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.billing.outcomes import create_outcomes_table, upsert_outcomes
from include.schemas.profile import load_profile
from tests.doku_simulator.__main__ import config_of, parser
from tests.merchants import donation, internet
from tests.stack import bills_demo
from tests.stack.databases import Database
from tests.stack.remote import Remote
from tests.stack.scene import Scene
from tests.stack.toml import changed

DAY = date(2030, 3, 1)
NOW = datetime(2030, 3, 1, tzinfo=UTC)


def _scene(tmp_path: Path, merchant: str, prefix: str = "") -> Scene:
    for name in ("public", "private"):
        (tmp_path / f"{name}.pem").write_text(name)
    api = {"conn_type": "doku", "host": "http://127.0.0.1:1", "login": "MCH", "password": "x"}
    remote = Remote({"conn_type": "sftp"}, tmp_path / "public.pem", tmp_path / "private.pem", tmp_path, prefix, api)
    databases = (Database.sqlite(tmp_path / "billing.sqlite"), Database.sqlite(tmp_path / "ledger.sqlite"))
    changes = changed(bills_demo.QUICK_BILLS, bills_demo.STORIES[merchant].changes)
    return Scene(tmp_path / "scene", merchant, DAY, *databases, remote, changes)


@pytest.mark.parametrize("merchant", bills_demo.STORIES)
@pytest.mark.parametrize("prefix", ["", "/srv/doku"])
def test_the_profile_can_be_used_and_has_keys_for_all_that_is_sealed(tmp_path, merchant, prefix):
    scene = _scene(tmp_path, merchant, prefix)
    profile = load_profile(scene.write_profile())
    bulk = profile.recurring.bulk
    keys = bulk.public_keys or profile.batch.public_keys
    assert keys[0].valid_from <= DAY <= keys[0].valid_until
    assert profile.path_of(keys[0].file).read_text() == "public"
    assert bulk.folder == f"{prefix}/inbound"
    assert json.loads(scene.environment()[f"AIRFLOW_CONN_{merchant.upper()}_DOKU"])["login"] == "MCH"


def test_the_simulator_understands_its_settings(tmp_path):
    options = parser().parse_args(["--root", str(tmp_path), *bills_demo.doku_settings(tmp_path, DAY)])
    http = config_of(options).http
    assert (http.start_at.isoformat(), http.registrations_succeed) == ("2030-02-28T08:00:00+07:00", 1.0)
    assert tomllib.loads(http.register_layout.read_text())["kind"] == "register"


@pytest.mark.parametrize("day", [date(2030, month, number) for month, number in ((1, 31), (2, 28), (3, 1), (12, 30))])
@pytest.mark.parametrize("merchant", [donation, internet])
def test_whatever_day_it_is_most_bills_are_charged_on_it(tmp_path, merchant, day):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'seeded.db'}", poolclass=sa.NullPool)
    seeded = merchant.seed(engine, charges=bills_demo.COUNT, business_date=day)
    assert seeded.due > bills_demo.COUNT / 3


def test_what_doku_did_and_what_the_merchant_knows_are_compared(tmp_path):
    scene = _scene(tmp_path, "donation")
    engine = scene.billing.engine()
    create_outcomes_table(engine)
    rows = [
        {
            "billing_source": "s", "profile": "donation", "charge_id": f"P{number}/2030-03-01", "attempt_no": 1,
            "invoice_number": f"R{number}", "ledger_id": "l", "status": status, "amount": 1000, "currency": "IDR",
        }
        for number, status in enumerate(("paid", "declined", "paid", "paid"))
    ]  # fmt: skip
    upsert_outcomes(engine, rows, now=NOW)
    truth = [
        {"reference": "R0", "status": "SUCCESS", "charged": 1000},
        {"reference": "R1", "status": "FAILED", "charged": 0},
        {"reference": "R2", "status": "SUCCESS", "charged": 900},
        {"reference": "R4", "status": "SUCCESS", "charged": 50},
    ]
    (tmp_path / "recurring.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in truth))
    lines, problems = bills_demo.second_opinion(scene, tmp_path)
    assert lines == ["DOKU says it charged              3 times, Rp 1,950"]
    assert sorted(problem.split()[-1] for problem in problems) == ["charge", "differs", "paid"]
