"""One business day on every combination of databases, servers and layouts that was tried, without Airflow."""

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from tests.integration.conftest import BUSINESS_DATE
from tests.stack import by_flows
from tests.stack.books import balances_that_fail
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, SHIPPED_PROFILES

_FIXED = {"batch": {"layout": "fixed-width-batch"}, "report": {"layout": "fixed-width-report"}}
_LAYOUTS = SHIPPED_PROFILES.parent / "layouts"
_services = pytest.mark.services


def _at_seven() -> datetime:
    """07:00 in Jakarta on the business date: before the cut-off."""
    return datetime(BUSINESS_DATE.year, BUSINESS_DATE.month, BUSINESS_DATE.day, 0, 0, tzinfo=UTC)


def _check(scene) -> dict:
    books = by_flows.books(scene)
    assert balances_that_fail(books) == []
    assert books["ties"], books["why_not"]
    assert books["awaiting"]["count"] == 0
    for term in ("paid", "declined", "quarantined"):
        assert books[term]["count"] > 0, term
    return books


@pytest.mark.parametrize(
    ("billing", "ledger"),
    [
        ("sqlite", "sqlite"),
        pytest.param("postgresql", "postgresql", marks=_services),
        pytest.param("mysql", "postgresql", marks=_services),
        pytest.param("mysql", "sqlite", marks=_services),
    ],
)
def test_databases(make_scene, billing, ledger):
    scene = make_scene(billing=billing, ledger=ledger)
    by_flows.submit(scene, _at_seven)
    by_flows.reconcile_until_done(scene, _at_seven)
    books = _check(scene)

    engine = scene.billing.engine()
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select status, count(*) from doku_charge_outcomes group by status"))
        told = {row.status: row[1] for row in rows}
    assert told["paid"] == books["paid"]["count"]
    assert told["declined"] == books["declined"]["count"]


def test_layouts_of_fixed_width(make_scene, make_doku):
    doku = make_doku(
        batch_layout=_LAYOUTS / "fixed-width-batch.toml", report_layout=_LAYOUTS / "fixed-width-report.toml"
    )
    scene = make_scene(doku=doku, changes={**QUICK, **_FIXED})
    by_flows.submit(scene, _at_seven)
    by_flows.reconcile_until_done(scene, _at_seven)
    _check(scene)


@pytest.mark.services
def test_an_openssh_server(make_scene, make_doku, openssh):
    doku = make_doku(sftp=False, sftp_root=openssh.root)
    scene = make_scene(remote=Remote.openssh(openssh, doku.describe()))
    by_flows.submit(scene, _at_seven)
    by_flows.reconcile_until_done(scene, _at_seven)
    _check(scene)


def test_a_day_in_many_files_charges_each_invoice_number_once(make_scene, make_doku):
    doku = make_doku()
    scene = make_scene(doku=doku, changes={**QUICK, "limits": {"max_rows_per_batch": 40}})
    assert len(by_flows.submit(scene, _at_seven)) > 3
    by_flows.reconcile_until_done(scene, _at_seven)
    _check(scene)
    charged = [one["invoice_number"] for one in doku.charged]
    assert len(charged) == len(set(charged))


def test_a_second_run_of_the_day_sends_nothing(make_scene, make_doku):
    doku = make_doku()
    scene = make_scene(doku=doku)
    by_flows.submit(scene, _at_seven, external_id="first")
    by_flows.reconcile_until_done(scene, _at_seven)
    books, charged = _check(scene), json.dumps(doku.charged)

    assert by_flows.submit(scene, _at_seven, external_id="second") == []
    by_flows.submit(scene, _at_seven, external_id="first")
    by_flows.reconcile_until_done(scene, _at_seven)
    assert by_flows.books(scene) == books
    assert json.dumps(doku.charged) == charged
