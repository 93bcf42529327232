"""`verify` finds what somebody changed behind the flows' back, and says nothing of a healthy ledger, however large."""

import hashlib
import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.doku.envelope import seal
from include.domain.invoice_numbers import charge_stem
from include.flows.seal import render_batch
from include.flows.verify import findings
from include.ledger.batches import all_batches
from include.ledger.chain import append
from include.ledger.layouts import keep_layout
from tests.stack import by_flows
from tests.sweeps import acts, crash
from tests.sweeps.acts import Stage
from tests.sweeps.conftest import POSTGRESQL
from tests.sweeps.sample import FULL
from tests.sweeps.scenarios import SCENARIOS
from tests.sweeps.workshop import Workshop

_LEDGERS = ["sqlite", POSTGRESQL]


@pytest.fixture(scope="module")
def days(request, tmp_path_factory, doku_keys):
    """Gives an ordinary day that is over, on a kind of ledger: its scene, and how to put everything back."""
    made = {}
    with ExitStack() as stack:

        def day(ledger):
            if ledger not in made:
                server = request.getfixturevalue("postgres") if ledger == "postgresql" else None
                workshop = Workshop(tmp_path_factory.mktemp("days"), doku_keys.parent / "keys", server)
                scene, doku = stack.enter_context(workshop.scene(ledger, 60, SCENARIOS["day"].settings))
                stage = Stage(scene, lambda: crash._work(doku))
                for do in (acts.claim, acts.seal, acts.deliver_all, acts.close, acts.reconcile):
                    do(stage)
                assert _found(scene) == []
                made[ledger] = (scene, stack.enter_context(workshop.as_it_was(scene)))
            return made[ledger]

        yield day


@pytest.fixture
def played(days, ledger):
    """An ordinary day that is over; its scene."""
    scene, put_back = days(ledger)
    yield scene
    put_back()


def _found(scene):
    with by_flows.context_of(scene) as context:
        return list(findings(context))


def _change(scene, *statements, **values):
    engine = scene.ledger.engine()
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), values)
    engine.dispose()


pytestmark = pytest.mark.parametrize("ledger", _LEDGERS)

_PAID = "(SELECT min(invoice_number) FROM outcome WHERE status = 'paid')"


_UNPROVED = f"""
    INSERT INTO outcome (invoice_number, status, decided_at, witness, proof)
    VALUES ({_PAID}, 'reversed', '2026-11-20 00:00:00', 'person', '')
"""


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"UPDATE attempt SET amount = amount + 1 WHERE invoice_number = {_PAID}", "was claimed with"),
        (f"UPDATE attempt SET amount = amount + 1 WHERE invoice_number = {_PAID}", "cannot be rendered again"),
        (f"UPDATE attempt SET description = 'other' WHERE invoice_number = {_PAID}", "changed after it was sealed"),
        (f"UPDATE attempt SET amount = amount + 1 WHERE invoice_number = {_PAID}", "doku_charge_outcomes"),
        ("UPDATE batch SET total_amount = total_amount + 1 WHERE batch_id = 1", "was claimed with"),
        ("DELETE FROM event WHERE seq = 3", "events before it are missing"),
        ("DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)", "last events of insurance are missing"),
        ("UPDATE event SET actor = 'nobody' WHERE seq = 2", "was altered after it was written"),
        (f"UPDATE outcome SET report_line_no = 9999 WHERE invoice_number = {_PAID}", "has no witness (report)"),
        (_UNPROVED, "has no witness (person)"),
        ("DELETE FROM outcome WHERE status = 'paid'", "doku_charge_outcomes"),
        ("UPDATE batch SET state = 'delivered' WHERE batch_id = 1", "its last event says reconciled"),
        ("DELETE FROM report_batch", "is not kept as a report on it"),
    ],
)
def test_a_change_in_the_ledger(played, statement, words):
    _change(played, statement)
    assert any(words in finding for finding in _found(played)), _found(played)


def test_what_was_referred_to_is_gone(played):
    """Deleted past the ledger's own checks, as a restore of some of its tables leaves it."""
    on_sqlite = played.ledger.kind == "sqlite"  # which checks references only for those who ask it to
    role = "SELECT 1" if on_sqlite else "SET LOCAL session_replication_role = replica"
    _change(played, role, f"DELETE FROM attempt WHERE invoice_number = {_PAID}")
    expected = "1 rows of outcome refer by invoice_number to a row of attempt that is not there."
    assert expected in _found(played)


def test_a_check_is_switched_off(played):
    if played.ledger.kind == "postgresql":
        _change(played, "ALTER TABLE outcome DISABLE TRIGGER USER")
        assert any("fk_outcome_report_id_insert of table outcome is missing" in one for one in _found(played))


def test_the_last_event_cut_off_with_its_head(played):
    """Whoever also mends the head is given away by the manifests, as far as one was kept after that event."""
    _change(
        played,
        "DELETE FROM event WHERE seq > 3",
        "UPDATE event_head SET seq = 3, hash = (SELECT hash FROM event WHERE seq = 3)",
    )
    found = _found(played)
    assert any("which is missing or was altered since" in finding for finding in found), found


def test_a_swapped_archive_file(played):
    for kind in ("sealed", "reports", "manifests"):
        file = next(path for path in sorted((played.artefacts / kind).rglob("*")) if path.is_file())
        content = file.read_bytes()
        file.write_bytes(content.replace(content[:1], b" ", 1) if kind == "manifests" else b"x" + content[1:])
        found = _found(played)
        assert any(file.name in finding and "was altered" in finding for finding in found), (kind, found)
        file.write_bytes(content)
    file.unlink()
    assert any("is gone" in finding for finding in _found(played))


def test_two_archive_files_swapped_with_each_other(played):
    one, two = sorted(path for path in (played.artefacts / "sealed").rglob("*") if path.is_file())
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert len([finding for finding in _found(played) if "was altered" in finding]) == 2


def test_a_second_live_attempt_is_refused_by_the_ledger_itself(played):
    columns = (
        "billing_source, charge_id, profile, batch_id, customer_id, token, amount, currency, due_date, execute_date"
    )
    insert = (
        "INSERT INTO attempt (invoice_number, attempt_no, previous_invoice_number, previous_status, line_no, rule, "
        f"{columns}) SELECT %s, %s, %s, %s, 9000, 'by hand', {columns} FROM attempt WHERE invoice_number = {_PAID}"
    )
    again = "substr(invoice_number, 1, 18) || '02'"
    forged = [
        ("substr(invoice_number, 1, 17) || 'X01'", "1", "NULL", "NULL"),  # the same number of the same charge
        (again, "2", "NULL", "NULL"),  # a second one that follows nothing
        (again, "2", "invoice_number", "'paid'"),  # one that follows a paid one
        (again, "2", "invoice_number", "'declined'"),  # one that claims that the first was declined
        (again, "2", "(SELECT min(invoice_number) FROM outcome WHERE status = 'declined')", "'declined'"),  # another's
    ]
    with by_flows.context_of(played) as context:
        for values in forged:
            with pytest.raises(sa.exc.IntegrityError), context.ledger.engine.begin() as connection:
                connection.execute(sa.text(insert % values))
    assert _found(played) == []
    if played.ledger.kind == "sqlite":  # which checks references only for those who ask it to; verify finds it then
        _change(played, "DROP TRIGGER attempt_not_after_paid", insert % forged[3])
        assert any("has 2 attempts that are neither declined nor withdrawn" in one for one in _found(played))


def test_a_healthy_ledger_of_many_attempts(make_workshop, ledger):
    """100,000 attempts in under a minute (a twentieth of them in `make test`)."""
    attempts, per_batch = (100_000, 10_000) if FULL else (5_000, 2_500)
    with make_workshop(ledger).scene(ledger, 60, SCENARIOS["day"].settings) as (scene, _):
        with by_flows.context_of(scene, lambda: datetime(2026, 11, 20, tzinfo=UTC)) as context:
            _grow(context, scene, attempts, per_batch)
            began = time.monotonic()
            assert list(findings(context)) == []
            took = time.monotonic() - began
        assert took < 60 * attempts / 100_000 + 10
        folder = Path("var/sweeps")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"verify-{ledger}.json").write_text(json.dumps({"attempts": attempts, "seconds": round(took, 1)}))
        _change(scene, "UPDATE attempt SET amount = amount + 1 WHERE line_no = 1 AND batch_id = 1")
        assert any("was claimed with" in finding for finding in _found(scene))


_WAY = ("claimed", "sealed", "delivering", "renaming", "delivered", "reconciled")


def _grow(context, scene, attempts, per_batch):
    """A ledger of so many attempts, all answered and told: written set-based, sealed and chained as the flows would."""
    layout, key = context.batch_layout(), context.public_key(scene.business_date)
    source, now = context.profile.billing_source, context.clock()
    with context.ledger.write() as connection:
        keep_layout(connection, digest=layout.digest, name=layout.name, kind=layout.kind, text=layout.text, at=now)
    for number in range(attempts // per_batch):
        _grow_batch(context, scene, number + 1, per_batch, layout, now, source)
    with context.ledger.read() as connection:
        batches = all_batches(connection, scene.profile)
    for batch in batches:
        plaintext = hashlib.sha256(b"".join(render_batch(context, batch))).hexdigest()
        envelope = seal(render_batch(context, batch), key, context.profile.batch.envelope)
        kept = context.artefacts.keep("sealed", batch.file_name, envelope)
        _change(
            scene,
            "UPDATE batch SET plaintext_digest = :plain, envelope_digest = :envelope, artefact = :path "
            "WHERE batch_id = :id",
            plain=plaintext, envelope=kept.digest, path=kept.artefact, id=batch.batch_id,
        )  # fmt: skip
        with context.ledger.write() as connection:
            for count, state in enumerate(_WAY, 1):
                append(
                    connection, scene.profile,
                    {"kind": "batch", "subject": batch.file_name, "batch_id": batch.batch_id, "batch_event_no": count,
                     "state": state, "at": now, "run_id": batch.run_id, "actor": "test", "details": "{}"},
                )  # fmt: skip


def _grow_batch(context, scene, number, size, layout, now, source):
    stems = [charge_stem(source, f"C{number}-{line}") for line in range(1, size + 1)]
    rows = [
        {"i": f"{stem}01", "c": f"C{number}-{line}", "l": line, "k": f"K{line}", "a": 100_000 + line}
        for line, stem in enumerate(stems, start=1)
    ]
    total = sum(row["a"] for row in rows)
    day = scene.business_date.isoformat()
    moment = now.replace(tzinfo=None).isoformat(sep=" ")
    content = hashlib.sha256(str(number).encode()).hexdigest()
    kept = context.artefacts.keep("reports", f"R{number}", [str(number).encode()])
    assert kept.digest == content
    with scene.ledger.engine().begin() as connection:

        def execute(statement, given=None):
            connection.execute(sa.text(statement), given or {})

        execute(
            "INSERT INTO run (run_id, kind, profile, external_id, business_date, opened_at, dry_run, past, state) "
            f"VALUES ({number}, 'submit', :profile, 'run-{number}', '{day}', '{moment}', false, false, 'closed')",
            {"profile": scene.profile},
        )
        for term in ("rows", "due"):
            execute(
                "INSERT INTO run_balance (run_id, batch_id, currency, term, detail, count, amount) "
                f"VALUES ({number}, 0, 'IDR', '{term}', '', {size}, {total})"
            )
        execute(
            "INSERT INTO batch (batch_id, profile, billing_source, run_id, merchant, business_date, sequence, "
            "execute_date, currency, file_name, remote_folder, layout_digest, line_count, total_amount, "
            "withdrawn_count, withdrawn_amount, state, created_at, claims_written_at) "
            f"VALUES ({number}, :profile, :source, {number}, 'MCH0001', '{day}', {number}, '{day}', 'IDR', "
            f"'TKN_{number}.TXT', 'x:/inbound', :layout, {size}, {total}, 0, 0, 'reconciled', '{moment}', '{moment}')",
            {"profile": scene.profile, "source": source, "layout": layout.digest},
        )
        execute(
            "INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, profile, batch_id, line_no, "
            "customer_id, token, amount, currency, due_date, execute_date, channel, description, rule) "
            f"VALUES (:i, '{source}', :c, 1, '{scene.profile}', {number}, :l, :k, "
            f"'0123456789abcdef0123456789abcdef', :a, 'IDR', '{day}', '{day}', 'CREDIT_CARD', 'Premi', 'first')",
            rows,
        )
        execute(
            "INSERT INTO report_file (report_id, profile, file_name, content_digest, size, artefact, state, "
            f"line_count, total_amount, fetched_at, ingested_at, written_back_at) VALUES ({number}, :profile, "
            f"'RPT_{number}.TXT', :content, 1, :path, 'written_back', {size}, {total}, '{moment}', '{moment}', "
            f"'{moment}')",
            {"profile": scene.profile, "content": content, "path": kept.artefact},
        )
        execute(
            "INSERT INTO report_line (report_id, line_no, invoice_number, amount, currency, response_code, status, "
            f"line_class) SELECT {number}, line_no, invoice_number, amount, 'IDR', '0000', 'paid', 'answer' "
            f"FROM attempt WHERE batch_id = {number}"
        )
        execute(f"INSERT INTO report_batch (report_id, batch_id) VALUES ({number}, {number})")
        execute(
            "INSERT INTO outcome (invoice_number, status, response_code, amount, decided_at, witness, report_id, "
            f"report_line_no) SELECT invoice_number, status, response_code, amount, '{moment}', 'report', report_id, "
            f"line_no FROM report_line WHERE report_id = {number}"
        )
    with context.ledger.write() as connection:
        append(
            connection, scene.profile,
            {"kind": "report", "subject": f"RPT_{number}.TXT", "batch_id": None, "batch_event_no": None, "state": None,
             "at": now, "run_id": None, "actor": "ingest", "details": "{}"},
        )  # fmt: skip
    with scene.billing.engine().begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO doku_charge_outcomes (billing_source, profile, charge_id, attempt_no, invoice_number, "
                f"ledger_id, batch_name, status, response_code, amount, currency) VALUES ('{source}', "
                f"'{scene.profile}', :c, 1, :i, '{context.ledger.ledger_id}', 'TKN_{number}.TXT', 'paid', '0000', "
                ":a, 'IDR')"
            ),
            rows,
        )
