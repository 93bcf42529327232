"""`python -m tests.tools.screenshots`: docs/images anew, from an invented merchant. Needs Chromium.

With --rows 17000 there are a million lines behind the summary; the pictures look the same.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx

from include.domain.connection import ConnectionSettings
from include.domain.states import RunKind
from include.flows import decisions
from include.flows.summarise import summarise, summary_now
from include.ledger import schema
from include.ledger.store import ledger_engine
from tests.doku_simulator.keys import KeyRing
from tests.flows_harness import BUSINESS_DATE, MORNING, TOKEN, Merchant, charge
from tests.merchants.long_history import LongHistory
from tests.services.processes import start
from tests.stack.airflow import PROJECT, AirflowStack
from tests.tools.screenshots.browser import browser

IMAGES = PROJECT / "docs" / "images"
DESKTOP, PHONE = 1200, 390
PAYDAY = 25
STORY = "POL-2026-0117/11"
_SETTINGS = {
    "retry": {"enabled": True, "pay_days": [PAYDAY]},
    "brakes": {"unusual_factor": 1e9, "max_quarantined_share": 1.0},
}


def main() -> int:
    """Make the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.screenshots", description=__doc__)
    parser.add_argument("--rows", type=int, default=250, help="first attempts of each of 60 days")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="doku-pictures-") as folder:
        root = Path(folder)
        merchant = _merchant(root / "full")
        attempts = LongHistory(merchant.ledger, BUSINESS_DATE - timedelta(days=1), rows).fill()
        sys.stdout.write(f"{attempts:,} attempts behind it\n")
        _live(merchant)
        begun = time.monotonic()
        page = summary_now(merchant.context, BUSINESS_DATE - timedelta(days=1))[0]
        sys.stdout.write(f"summary made in {time.monotonic() - begun:.1f} s, {len(page) / 1024:.0f} KiB\n")
        empty = _merchant(root / "empty")
        empty.submit()
        for name, text in (("full.html", page), ("empty.html", summary_now(empty.context, BUSINESS_DATE)[0])):
            (root / name).write_text(text, encoding="utf-8")
        _shoot(root, merchant)
    return 0


def _merchant(root: Path) -> Merchant:
    root.mkdir(parents=True)
    KeyRing(root / "keys").create()
    settings = ConnectionSettings("doku_ledger", "sqlite", host=str(root / "ledger.db"))
    engine = ledger_engine(settings)
    schema.upgrade(engine, "sandbox", MORNING)
    engine.dispose()
    return Merchant(root=root / "merchant", ledger_settings=settings, keys=root / "keys", changes=_SETTINGS)


def _live(merchant: Merchant) -> None:
    """A charge is quarantined, mended, sent, declined, attempted again on payday, and paid; others go other ways."""
    merchant.list_charges(
        charge(STORY, 450_000, customer_id="CUST-4711", billing_number="POL-2026-0117", token=None),
        charge("POL-2026-0200/11", 300_000, customer_id="CUST-0815"),
        charge("POL-2026-0201/11", 275_000, customer_id="CUST-0816", token=None, currency="USD"),
    )
    merchant.submit()
    merchant.later(hours=3)
    decisions.hold(
        merchant.context, scope="customer", subject="CUST-4711", by="ani", why="the customer called: new card"
    )
    merchant.later(hours=3)
    merchant.report((merchant.invoices()["POL-2026-0200/11"], 30_000, "0000"))
    _reconcile(merchant, "r1")
    merchant.later(hours=18)
    merchant.change_charges("token = :token WHERE charge_id = :id", token=TOKEN, id=STORY)
    _submit(merchant)
    merchant.later(hours=3)
    decisions.lift(merchant.context, scope="customer", subject="CUST-4711", by="budi", why="new card is registered")
    merchant.later(minutes=5)
    _submit(merchant)
    merchant.later(hours=4)
    merchant.report((merchant.invoices()[STORY], 450_000, "0051"), name="RPT_2.TXT")
    _reconcile(merchant, "r2")
    merchant.later(hours=17)
    while merchant.context.today.day <= PAYDAY:
        _submit(merchant)
        merchant.later(days=1)
    merchant.report((merchant.invoices()[STORY], 450_000, "0000"), name="RPT_3.TXT")
    _reconcile(merchant, "r3")


def _submit(merchant: Merchant) -> None:
    merchant.submit(business_date=merchant.context.today)


def _reconcile(merchant: Merchant, name: str) -> None:
    merchant.reconcile(name)
    summarise(merchant.context, merchant.run(RunKind.RECONCILE, name).run_id)


def _shoot(root: Path, merchant: Merchant) -> None:
    ledger = {"conn_type": "sqlite", "host": str(merchant.ledger_settings.host)}
    stack = AirflowStack(root / "airflow", env={
        "DOKU_PROFILES_DIR": str(merchant.profile_file.parent),
        "DOKU_ARTEFACTS": merchant.artefacts.as_uri(),
        "AIRFLOW_CONN_DOKU_LEDGER": json.dumps(ledger),
    })  # fmt: skip
    stack.prepare()
    server = start(
        "api-server", [sys.executable, "-m", "airflow", "api-server"], log=root / "api.log", env=stack.environment
    )
    try:
        token = _token(stack)
        with browser(root) as chromium:
            chromium.log_in(stack.url, token)
            for name, page, width, dark in (
                ("summary-desktop", "full", DESKTOP, False), ("summary-phone", "full", PHONE, False),
                ("summary-phone-dark", "full", PHONE, True), ("summary-empty-phone", "empty", PHONE, False),
            ):  # fmt: skip
                url = (root / f"{page}.html").as_uri()
                chromium.shoot(url, IMAGES / f"{name}.png", width=width, dark=dark)
            live = f"{stack.url}/doku/insurance"
            story = f"{live}/explain?charge={STORY}"
            chromium.shoot(story, IMAGES / "explain-desktop.png", width=900)
            chromium.shoot(story, IMAGES / "explain-phone.png", width=PHONE)
            chromium.shoot(f"{live}/breaks", IMAGES / "breaks.png", width=900)
            chromium.shoot(f"{stack.url}/plugin/doku", IMAGES / "menu.png", width=DESKTOP, height=760, settle=6)
    finally:
        server.ask_to_stop()
        server.stop()


def _token(stack: AirflowStack, seconds: float = 120) -> str:
    deadline = time.monotonic() + seconds
    while True:
        try:
            asked = {"username": stack.user, "password": stack.password}
            answer = httpx.post(f"{stack.url}/auth/token", json=asked, timeout=10)
            return str(answer.raise_for_status().json()["access_token"])
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
