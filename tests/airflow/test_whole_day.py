"""Whole business days on a real Airflow: each merchant on other databases, another server, another layout.

One Airflow, with its metadata in PostgreSQL, plays a day for every merchant; the tests then look at what is left.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from tests.alert_servers import Webhook, webhook
from tests.stack.airflow import AirflowStack
from tests.stack.books import balances_that_fail
from tests.stack.databases import Database, seeded, upgraded
from tests.stack.demo import play_the_day, read_books
from tests.stack.progress import Progress
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, SHIPPED_PROFILES, Scene
from tests.stack.simulator import start_simulator

pytestmark = [pytest.mark.airflow, pytest.mark.services]

_CHARGES = 300
# What a run writes about itself: its record, its balance, and what it saw of each charge (and when it was last seen).
_OF_RUNS = {"run", "run_balance", "run_charge", "quarantined_charge", "quarantine", "event", "event_head"}
_MERCHANTS = ("insurance", "on_postgres", "on_mariadb")


@dataclass
class Day:
    """A day that was played.

    Attributes:
        scenes: The merchants by profile name.
        books: Their books after the day.
        airflow: Still running.
    """

    scenes: dict[str, Scene]
    books: dict[str, dict[str, Any]]
    airflow: AirflowStack


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    """Where every merchant is told of what is late."""
    with webhook() as taken:
        yield taken


@pytest.fixture(scope="module")
def day(postgres, mariadb, openssh, hook, tmp_path_factory) -> Iterator[Day]:
    """One business day of every merchant."""
    root = tmp_path_factory.mktemp("day")
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    started = []
    databases = []

    def on(server: Any, name: str) -> Database:
        databases.append((server, name))
        return Database.on(server, name)

    def doku(name: str, *arguments: str) -> dict[str, Any]:
        running = start_simulator(root / f"doku-{name}", *arguments)
        started.append(running.process)
        return running.facts

    def scene(name: str, billing: Database, ledger: Database, remote: Remote, changes: dict[str, Any]) -> Scene:
        made = Scene(
            root, "insurance", today, seeded(billing, "insurance", _CHARGES, today), upgraded(ledger), remote,
            changes={**QUICK, "watch": {"notify": ["ops"]}, **changes}, name=name,
        )  # fmt: skip
        made.write_profile()
        return made

    beside_openssh = doku("openssh", "--no-sftp", "--sftp-root", str(openssh.root))
    fixed = [part for kind in ("batch", "report") for part in (f"--{kind}-layout", _layout(f"fixed-width-{kind}"))]
    try:
        scenes = {
            "insurance": scene(
                "insurance", Database.sqlite(root / "billing.sqlite"), Database.sqlite(root / "ledger.sqlite"),
                Remote.simulator(doku("plain")), {},
            ),
            "on_postgres": scene(
                "on_postgres", on(postgres, "day_billing"), on(postgres, "day_ledger"),
                Remote.openssh(openssh, beside_openssh), {"limits": {"max_rows_per_batch": 100}},
            ),
            "on_mariadb": scene(
                "on_mariadb", on(mariadb, "day_billing"), on(postgres, "day_ledger_2"),
                Remote.simulator(doku("fixed", *fixed)),
                {"batch": {"layout": "fixed-width-batch"}, "report": {"layout": "fixed-width-report"}},
            ),
        }  # fmt: skip
        shipped = (SHIPPED_PROFILES / "insurance.toml").read_text(encoding="utf-8")
        misspelt = shipped.replace('name = "insurance"', 'name = "broken"').replace("max_rows_per_", "max_row_per_")
        (root / "profiles" / "broken.toml").write_text(misspelt, encoding="utf-8")
        environment = {name: value for one in scenes.values() for name, value in one.environment().items()}
        environment["AIRFLOW_CONN_OPS"] = json.dumps({"conn_type": "http", "host": f"{hook.address}/hook"})
        metadata = on(postgres, "day_airflow").url.replace("+psycopg:", "+psycopg2:")
        with AirflowStack(root / "airflow", env=environment, metadata_url=metadata) as airflow:
            with ThreadPoolExecutor() as together:
                days = {name: together.submit(play_the_day, one, airflow, Progress()) for name, one in scenes.items()}
            yield Day(scenes, {name: played.result() for name, played in days.items()}, airflow)
    finally:
        for process in started:
            process.stop()
        for server, name in databases:
            server.drop_database(name)


@pytest.mark.parametrize("merchant", _MERCHANTS)
def test_the_books_tie_and_the_day_was_not_empty(day: Day, merchant: str):
    books = day.books[merchant]
    assert balances_that_fail(books) == []
    assert books["ties"] is True
    for term in ("sent", "paid", "declined", "quarantined"):
        assert books[term]["count"] > 0, term
    assert books["awaiting"]["count"] == books["in_flight"]["count"] == 0


def test_the_watchdog_looks_at_every_profile_and_tells_of_the_broken_one_once(day: Day, hook: Webhook):
    client = day.airflow.client
    client.unpause("doku_watchdog")  # which starts the run of the last quarter of an hour beside the one by hand
    for _ in range(2):
        run_id = client.trigger("doku_watchdog")
        assert client.wait("doku_watchdog", run_id) == "success", client.failures("doku_watchdog", run_id)
    looks = [one for one in client.task_instances("doku_watchdog", run_id) if one["task_id"] == "watch"]
    assert [one["state"] for one in looks] == ["success"] * (len(_MERCHANTS) + 1)
    client.pause("doku_watchdog")
    assert [(one["profile"], one["kind"], one["state"]) for one in hook.documents] == [
        ("broken", "profile_broken", "late")
    ]
    assert "broken.toml: limits.max_row_per_batch: unknown key" in hook.documents[0]["words"]
    assert "nothing is late" in day.scenes["on_postgres"].command("watch", "--profile", "on_postgres")


@pytest.mark.parametrize("merchant", _MERCHANTS)
def test_the_figures_follow_from_the_two_databases_alone(day: Day, merchant: str):
    scene, books = day.scenes[merchant], day.books[merchant]
    sent = _all(scene.ledger, "select count(*), sum(amount) from attempt where profile = :profile", profile=merchant)
    assert [tuple(map(int, row)) for row in sent] == [(books["sent"]["count"], books["sent"]["amount"])]
    told = _all(
        scene.billing, "select status, count(*), sum(amount) from doku_charge_outcomes where profile = :profile"
        " group by status", profile=merchant,
    )  # fmt: skip
    counted = {status: (int(count), int(amount)) for status, count, amount in told}
    expected = {name: (books[name]["count"], books[name]["amount"]) for name in ("paid", "declined", "unknown")}
    assert counted == {name: figures for name, figures in expected.items() if figures[0]}


@pytest.mark.parametrize("merchant", _MERCHANTS)
def test_the_merchant_was_charged_for_exactly_what_the_ledger_sent(day: Day, merchant: str):
    """DOKU's side of the money: no invoice number twice, none that we do not know, none that we call paid missing."""
    scene = day.scenes[merchant]
    paid = {row[0] for row in _all(scene.ledger, "select invoice_number from outcome where status = 'paid'")}
    known = {row[0] for row in _all(scene.ledger, "select invoice_number from attempt")}
    charged = _charged(scene)
    assert len(charged) == len(set(charged))
    assert paid <= set(charged) <= known


def test_a_day_above_the_batch_limit_went_out_in_several_files(day: Day):
    files = day.books["on_postgres"]["files"]
    assert len(files) > 1
    assert all(one["count"] <= 100 for one in files)


def test_a_second_run_of_the_day_changes_nothing(day: Day):
    """The submit DAG again for the same day, and reconcile again: only the runs' own records are new."""
    scene = day.scenes["insurance"]
    before = _contents(scene)
    client = day.airflow.client
    submit, reconcile = "doku_submit__insurance", "doku_reconcile__insurance"
    for dag_id, conf in ((submit, {"business_date": scene.business_date.isoformat()}), (reconcile, {})):
        run_id = client.trigger(dag_id, conf)
        assert client.wait(dag_id, run_id) == "success", client.failures(dag_id, run_id)
    assert _contents(scene) == before
    assert read_books(scene) == day.books["insurance"]


def test_a_broken_profile_is_a_dag_that_says_so(day: Day):
    client = day.airflow.client
    broken = [dag_id for dag_id in client.dag_ids() if "broken" in dag_id]
    assert len(broken) == 1
    client.unpause(broken[0])
    run_id = client.trigger(broken[0])
    assert client.wait(broken[0], run_id) == "failed"
    said = client.failures(broken[0], run_id)
    assert "broken.toml" in said
    assert "limits.max_row_per_batch" in said
    assert client.import_errors() == []


def test_no_secret_is_in_a_log_an_xcom_or_a_rendered_template(day: Day):
    """Tokens, passwords and keys are in the databases and folders they belong to, and nowhere in Airflow."""
    secrets = {name: _secrets_of(scene) for name, scene in day.scenes.items()}
    assert all(len(found) > 100 for found in secrets.values())
    pattern = re.compile("|".join(re.escape(one) for found in secrets.values() for one in sorted(found)))
    leaks = []
    for path in day.airflow.root.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".json") and path.name != "passwords.json":
            leaks += [f"{path}: {_hide(found)}" for found in pattern.findall(path.read_text(errors="replace"))[:1]]
    leaks += [f"{table}: {_hide(found)}" for table, found in _found_in_metadata(day.airflow, pattern)]
    assert leaks == []


def test_what_arrived_opens_with_openssl_alone(day: Day, tmp_path: Path):
    """The file at the server, DOKU's private key, openssl and the shell: the ledger's lines, byte for byte."""
    scene = day.scenes["insurance"]
    (name, digest), *_ = _all(scene.ledger, "select file_name, plaintext_digest from batch")
    arrived = next(path for path in scene.remote.files.rglob(name) if path.is_file())
    private = scene.remote.doku_public_key.with_name("doku_private.pem")
    script = f"""
        length=$(head -c 4 {arrived})
        tail -c +5 {arrived} | head -c $((10#$length)) | openssl base64 -d -A >wrapped
        openssl pkeyutl -decrypt -inkey {private} -pkeyopt rsa_padding_mode:none -in wrapped | tail -c 32 >key
        tail -c +$((5 + 10#$length)) {arrived} | openssl base64 -d -A |
            openssl enc -d -aes-256-ecb -K $(od -An -v -tx1 key | tr -d ' \\n') >lines
        openssl dgst -sha256 -r lines | cut -d ' ' -f 1
    """
    shell = shutil.which("bash")
    # Not pipefail: `head` ends as soon as it has its bytes, and whoever feeds it is then cut off.
    opened = subprocess.run([shell, "-eu", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout.strip() == digest
    lines = (tmp_path / "lines").read_text("ascii").splitlines()
    attempts = _all(scene.ledger, "select invoice_number, token from attempt order by batch_id, line_no")
    assert all(any(invoice in line and token in line for line in lines) for invoice, token in attempts)


def _layout(name: str) -> str:
    return str(Path(__file__).resolve().parents[2] / "include" / "config" / "layouts" / f"{name}.toml")


def _all(database: Database, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    engine = database.engine()
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement), parameters)]


def _charged(scene: Scene) -> list[str]:
    """The invoice numbers for which DOKU moved money, from the simulator's own record."""
    import json

    journal = scene.remote.doku_public_key.parents[1] / "charged.jsonl"
    return [json.loads(line)["invoice_number"] for line in journal.read_text().splitlines()]


def _contents(scene: Scene) -> dict[str, list[Any]]:
    """Everything that a second run may not touch: ledger tables, outcomes, and files at the server with their times."""
    engine = scene.ledger.engine()
    tables = set(sa.inspect(engine).get_table_names()) - _OF_RUNS
    assert {"batch", "attempt", "outcome", "report_file", "report_line"} <= tables
    found: dict[str, list[Any]] = {
        name: sorted(map(repr, _all(scene.ledger, f'select * from "{name}"'))) for name in sorted(tables)
    }
    found["outcomes"] = sorted(map(repr, _all(scene.billing, "select * from doku_charge_outcomes")))
    files = [path for path in scene.remote.files.rglob("*") if path.is_file()]
    found["files"] = sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    return found


def _secrets_of(scene: Scene) -> set[str]:
    tokens = {row[0] for row in _all(scene.ledger, "select token from attempt")}
    connections = (scene.billing.connection, scene.ledger.connection, scene.remote.sftp)
    passwords = {str(one["password"]) for one in connections if one.get("password")}
    keys = [scene.remote.merchant_private_key.read_text(), scene.remote.sftp["extra"].get("private_key", "")]
    lines = {line for key in keys for line in key.splitlines() if len(line) > 40 and "-----" not in line}
    return tokens | passwords | lines


def _found_in_metadata(airflow: AirflowStack, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Every table of Airflow's metadata: XComs, rendered templates, runs' configuration, serialised DAGs, ..."""
    url = airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        for table in sa.inspect(engine).get_table_names():
            for row in connection.execute(sa.text(f'select cast(t as text) from "{table}" t')):
                if found := pattern.search(str(row[0])):
                    yield table, found.group()
                    break


def _hide(secret: str) -> str:
    """Enough to find it, too little to use it."""
    return f"{secret[:4]}... ({len(secret)} characters)"
