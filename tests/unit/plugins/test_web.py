"""The pages, in Airflow's own web app: who may see them, what they say, and what never stands in them."""

import html
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.domain.states import RunKind
from include.flows.summarise import summarise
from include.schemas.profile import SHIPPED_CONFIG
from tests.flows_harness import TOKEN, charge
from tests.unit.plugins.notified import CLIENT_ID, SECRET, TAKES_ALL, signed

PROJECT = Path(__file__).resolve().parents[3]
PAGES = ("books", "books/2026-11-20", "breaks", "quarantine", "summaries", "inbox", "explain", "explain?charge=C1")
BROWSER = {"accept": "text/html,application/xhtml+xml"}
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def airflow_client(tmp_path_factory):
    """Airflow's web app with our plugin, without a server: people ani (admin), vera (viewer) and nora (no role)."""
    folder = tmp_path_factory.mktemp("airflow")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in ("ani", "vera", "nora")}), encoding="utf-8")
    settings = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ani:admin,vera:viewer,nora:",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-for-tests-that-is-long-enough-to-sign-with-0123456789abcd",
        "AIRFLOW__API__BASE_URL": "http://testserver",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        # The metadata database of the tests' own Airflow home; made once.
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], env=os.environ, check=True, capture_output=True
        )
        from airflow.api_fastapi.app import create_app
        from starlette.testclient import TestClient

        with TestClient(create_app(), raise_server_exceptions=False, follow_redirects=False) as client:
            yield client


@pytest.fixture
def visit(airflow_client, deployed):
    """`visit("/doku/", by="vera")`: a page as somebody gets it."""
    tokens = {}

    def go(path, by=None, headers=None, method="GET"):
        if by and by not in tokens:
            tokens[by] = airflow_client.post("/auth/token", json={"username": by, "password": by}).json()[
                "access_token"
            ]
        airflow_client.cookies.clear()
        sent = {"Authorization": f"Bearer {tokens[by]}"} if by else {}
        return airflow_client.request(method, path, headers={**sent, **(headers or {})})

    return go


@pytest.fixture
def day(deployed):
    """A day with something on every page."""
    deployed.list_charges(
        charge("C1", 100_000), charge("C2", 250_000), charge("BAD & <b>", 70_000, token=None),
        charge("C 3/4?#&é", 30_000),
    )  # fmt: skip
    deployed.submit()
    numbers = deployed.invoices()
    deployed.report((numbers["C1"], 100_000, "0000"), (numbers["C2"], 1, "0051"))
    deployed.reconcile("r1")
    summarise(deployed.context, deployed.run(RunKind.RECONCILE, "r1").run_id)
    return deployed


# What Airflow itself answers to anybody: the way to log in, its own health, and pages that hold no data.
_OPEN_IN_AIRFLOW = {
    *("/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/{rest_of_path:path}", "/auth/{rest_of_path:path}"),
    *("/auth/openapi.json", "/auth/docs", "/auth/docs/oauth2-redirect", "/auth/redoc", "/execution/changelog"),
    *("/execution/docs", "/execution/docs/oauth2-redirect", "/execution/redoc"),
    *("/api/v2/monitor/health", "/api/v2/version"),
}
# Questions that Airflow takes by POST, since they are long.
_ASKED_BY_POST = re.compile(r".*/(list|get_?logs|dry_?run)$")


def routes_of(app, prefix=""):
    """(method, path with its parameters in braces) of every route, mounted apps included."""
    for route in app.routes:
        path = f"{prefix}{getattr(route, 'path', '')}"
        yield from ((method, path) for method in sorted(getattr(route, "methods", None) or ()))
        if hasattr(getattr(route, "app", None), "routes"):
            yield from routes_of(route.app, path)


def test_anybody_reaches_the_notification_paths_and_nothing_else(visit, airflow_client, day):
    """Whatever else answers without a login is Airflow's own front door."""
    routes = list(routes_of(airflow_client.app))
    assert len(routes) > 150
    answered = {path for method, path in routes if visit(re.sub(r"\{[^}]*\}", "1", path), method=method).is_success}
    assert answered <= _OPEN_IN_AIRFLOW
    prefixes = [getattr(route, "path", "") for route in airflow_client.app.routes]
    assert prefixes.index("/doku/notifications") < prefixes.index("/doku")
    assert visit("/doku/notifications/health").json() == {"status": "not ready"}  # this profile takes none
    for path in ("", "insurance/books", "../insurance/books", "%2e%2e/insurance/books", "insurance/payment"):
        for method in ("GET", "POST"):
            refused = visit(f"/doku/notifications/{path}", method=method)
            assert refused.status_code in (401, 404, 405), path
            assert "Rp" not in refused.text


def test_a_notification_is_taken_without_a_login(airflow_client, deployed, monkeypatch):
    connection = {"conn_type": "http", "login": CLIENT_ID, "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_INSURANCE_DOKU", json.dumps(connection))
    deployed.changed(TAKES_ALL)
    body, now = b'{"order": {"amount": 150000}}', datetime.now(UTC)
    for secret, status in ((SECRET, 200), ("guessed", 401)):
        headers = signed("payment", body, at=now, secret=secret)
        answer = airflow_client.post("/doku/notifications/insurance/payment", content=body, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)
    (row,) = deployed.sql("SELECT * FROM notification")
    assert bytes(row["body"]) == body


def test_a_viewer_changes_nothing(visit, airflow_client, day):
    before = day.dump()
    done = {
        (method, path)
        for method, path in routes_of(airflow_client.app)
        if method not in ("GET", "HEAD") and not path.startswith(("/auth/token", "/execution"))
        if visit(re.sub(r"\{[^}]*\}", "1", path), "vera", method=method).is_success
    }
    assert {path for _, path in done if not _ASKED_BY_POST.fullmatch(path)} == set()
    for kind in ("payment", "report_ready", "amount"):
        assert visit(f"/doku/notifications/insurance/{kind}", "vera", method="POST").status_code == 404
    assert day.dump() == before


def test_nobody_sees_anything_without_logging_in(visit, day):
    kept = ("summaries/1", "summaries/1.csv")
    for path in ("/doku/", *(f"/doku/insurance/{page}" for page in (*PAGES, *kept))):
        refused = visit(path)
        assert refused.status_code == 401, path
        assert refused.text == "Log in to Airflow first."
        sent = visit(path, headers=BROWSER)
        assert sent.status_code == 303
        assert sent.headers["location"].startswith("/auth/login?next=http%3A%2F%2Ftestserver%2Fdoku%2F")
        forged = visit(path, headers={"Authorization": "Bearer forged", **BROWSER})
        assert forged.status_code == 403
        assert "Rp" not in forged.text


def test_the_cookie_of_the_login_is_enough(visit, airflow_client, day):
    answer = airflow_client.post("/auth/token", json={"username": "vera", "password": "vera"})
    found = visit("/doku/", headers={"cookie": f"_token={answer.json()['access_token']}"})
    assert found.status_code == 200


def test_a_person_who_may_read_the_dag_sees_all_pages(visit, day):
    for page, by in ((page, by) for page in PAGES for by in ("ani", "vera")):
        found = visit(f"/doku/insurance/{page}", by)
        assert found.status_code == 200, (page, found.text)
        assert found.headers["content-type"] == "text/html; charset=utf-8"
        assert TOKEN not in found.text
        for link in re.findall(r'href="([^"]*)"', found.text):
            assert link.startswith("/doku/"), link
    assert 'href="/doku/insurance/books"' in visit("/doku/", "vera").text


def test_who_may_not_read_the_dag_sees_none_of_its_pages(visit, day):
    index = visit("/doku/", "nora")
    assert "There is no profile that you may look at." in index.text
    for page in PAGES:
        refused = visit(f"/doku/insurance/{page}", "nora")
        assert refused.status_code == 403
        assert "Rp" not in refused.text


def test_it_is_asked_about_the_dag_of_that_very_profile(visit, day, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    asked = []

    def may(*, method, details, user, access_entity=None):
        asked.append((method, details.id))
        return False

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", may)
    assert visit("/doku/insurance/books", "ani").status_code == 403
    assert asked == [("GET", "doku_reconcile__insurance")]


def test_a_profile_without_batches_is_for_readers_of_its_own_dag(visit, deployed, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    shipped = (SHIPPED_CONFIG / "profiles" / "donation.toml").read_bytes()
    (deployed.profile_file.parent / "donation.toml").write_bytes(shipped)
    asked = []

    def may(*, method, details, user, access_entity=None):
        asked.append(details.id)
        return details.id == "doku_recurring__donation"

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", may)
    page = visit("/doku/donation/bills", "vera")
    assert (page.status_code, "There is no bill yet" in page.text) == (200, True)
    assert visit("/doku/insurance/books", "vera").status_code == 403
    assert asked == ["doku_recurring__donation", "doku_reconcile__insurance"]
    index = visit("/doku/", "vera").text
    assert "/doku/donation/bills" in index
    assert "/doku/insurance" not in index


def test_bills_are_shown_where_there_are_any(visit, deployed):
    assert visit("/doku/insurance/bills", "vera").status_code == 404
    deployed.changed({"recurring": {}})
    for query in ("", "?state=active", "?bill=B-1", f"?bill={SCRIPT}", "?after=B-1&state=nonsense"):
        page = visit(f"/doku/insurance/bills{query}", "vera")
        assert page.status_code == 200
        assert SCRIPT not in page.text
    assert visit("/doku/insurance/bills").status_code == 401


def test_looking_changes_nothing_and_there_is_nothing_else_to_do(visit, day):
    before = day.dump()
    for page in ("", *(f"insurance/{page}" for page in PAGES)):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert visit(f"/doku/{page}", "ani", method=method).status_code == 405
    for page in (*PAGES, "summaries/1", "summaries/1.csv"):
        assert visit(f"/doku/insurance/{page}", "vera").status_code == 200
    assert day.dump() == before


def test_what_the_pages_say(visit, day):
    books = visit("/doku/insurance/books", "vera").text
    assert "Fri 20 Nov 2026" in books
    assert "Rp 100,000" in books
    assert "The books tie." in visit("/doku/insurance/books/2026-11-20", "vera").text
    assert "amount differs" in visit("/doku/insurance/breaks", "vera").text
    assert "There is none." in visit("/doku/insurance/breaks?resolved=true", "vera").text
    assert "token:missing" in visit("/doku/insurance/quarantine", "vera").text
    assert "It is paid, with attempt 1" in visit("/doku/insurance/explain?charge=C1", "vera").text
    assert "has never seen charge C9" in visit("/doku/insurance/explain?charge=C9", "vera").text


def test_charge_ids_of_any_form_can_be_followed(visit, day):
    listed = visit("/doku/insurance/quarantine", "vera").text
    headings = {
        re.findall(r"<h1>(.*?)</h1>", visit(html.unescape(link), "vera").text)[0]
        for link in re.findall(r'href="(/doku/insurance/explain\?charge=[^"]*)"', listed)
    }
    assert headings == {"Charge BAD &amp; &lt;b&gt;", "Charge C 3/4?#&amp;é"}


def test_scripts_stay_text_wherever_they_come_from(visit, deployed):
    deployed.list_charges(charge(SCRIPT, customer_id=SCRIPT), charge(f"{SCRIPT}2", customer_id=SCRIPT, token=None))
    deployed.submit()
    from include.flows import decisions

    decisions.hold(deployed.context, scope="charge", subject=SCRIPT, by="ani", why=SCRIPT)
    for page in (*PAGES, f"explain?charge={SCRIPT}", f"quarantine?after={SCRIPT}", f"explain?charge=%22%3E{SCRIPT}"):
        assert SCRIPT not in visit(f"/doku/insurance/{page}", "vera").text, page


def test_every_answer_forbids_scripts_and_is_not_kept(visit, day):
    for page in (*PAGES, "summaries/1", "summaries/1.csv", "summaries/99", "books/never"):
        headers = visit(f"/doku/insurance/{page}", "vera").headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), page
        assert "script-src" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_kept_summary_is_served_as_it_was_kept(visit, day):
    (row,) = day.sql("SELECT * FROM summary")
    kept = b"".join(day.context.artefacts.read(row["page"]))
    assert visit("/doku/insurance/summaries/1", "vera").content == kept
    sheet = visit("/doku/insurance/summaries/1.csv", "vera")
    assert sheet.headers["content-disposition"] == 'attachment; filename="summary_insurance_2026-11-20.csv"'
    assert sheet.text.startswith("profile,business_date,section,")
    (day.artefacts / row["page"]).write_bytes(b"<html>other</html>")
    altered = visit("/doku/insurance/summaries/1", "vera")
    assert altered.status_code == 500
    assert "was altered" in altered.text


def test_long_lists_have_pages(visit, deployed, monkeypatch):
    from include.flows import pages

    monkeypatch.setattr(pages, "PAGE_ROWS", 3)
    deployed.list_charges(*(charge(f"B{n}", token=None) for n in range(7)))
    deployed.submit()
    seen, link = [], "/doku/insurance/quarantine"
    while link:
        text = visit(link, "vera").text
        seen += re.findall(r">(B\d)</a>", text)
        (link, *_) = [*re.findall(r'href="([^"]*after=[^"]*)"', text), ""]
    assert seen == [f"B{n}" for n in range(7)]


def test_addresses_that_make_no_sense(visit, day):
    for page, status in (
        ("insurance/books/2026-13-40", 422), ("insurance/summaries/x", 422), ("insurance/summaries/99", 404),
        ("nobody/books", 404), ("NOBODY/books", 422), ("insurance/nothing", 404), ("..%2f..%2fetc/books", 404),
        (f"insurance/explain?charge={'x' * 300}", 422), (f"insurance/books?before={SCRIPT}", 422),
    ):  # fmt: skip
        found = visit(f"/doku/{page}", "vera")
        assert found.status_code == status, (page, found.status_code)
        assert SCRIPT not in found.text


def test_what_is_wrong_is_said_in_words_and_without_values(visit, day, monkeypatch, caplog):
    monkeypatch.delenv("DOKU_ARTEFACTS")
    wrong = visit("/doku/insurance/books", "vera")
    assert wrong.status_code == 500
    assert "DOKU_ARTEFACTS" in wrong.text
    monkeypatch.setenv("DOKU_ARTEFACTS", day.artefacts.as_uri())

    def broken(*_, **__):
        raise RuntimeError(f"row with {TOKEN}")

    from include.flows import pages

    monkeypatch.setattr(pages, "breaks_page", broken)
    unexpected = visit("/doku/insurance/breaks", "vera")
    assert unexpected.status_code == 500
    assert "Unexpected builtins.RuntimeError" in unexpected.text
    assert TOKEN not in unexpected.text
    assert TOKEN not in caplog.text


def test_a_ledger_that_is_not_there_is_one_sentence(visit, deployed, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_DOKU_LEDGER")
    found = visit("/doku/insurance/books", "vera")
    assert found.status_code == 500
    assert "connection doku_ledger: Airflow has no such connection" in found.text


def test_a_day_without_anything(visit, deployed):
    for page in PAGES:
        assert visit(f"/doku/insurance/{page}", "vera").status_code == 200


def test_there_is_one_entry_in_the_menu(visit, deployed):
    from airflow import plugins_manager

    (plugin,) = [one for one in plugins_manager._get_plugins()[0] if one.name == "doku"]
    (entry,) = plugin.external_views
    assert (entry["destination"], entry["href"]) == ("nav", "/doku/")
    assert visit(entry["href"], "vera").status_code == 200


def test_other_airflow_processes_do_not_import_the_web_app():
    script = "import sys; import plugins.doku_plugin; print('fastapi' in sys.modules, 'plugins.web.app' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == "False"


def test_later_days_come_first(visit, day):
    day.now += timedelta(days=1)
    day.submit(business_date=day.context.today)
    text = visit("/doku/insurance/books", "vera").text
    assert text.index("Sat 21 Nov 2026") < text.index("Fri 20 Nov 2026")
    assert "no summary yet" in text
    assert "21 Nov" not in visit("/doku/insurance/books?before=2026-11-21", "vera").text
