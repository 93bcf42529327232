"""The ledger as it began"""

import sqlalchemy as sa
from alembic import op

from include.ledger.types import Id, Key, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Promise 1, once more: whatever freed an attempt, a charge that is paid gets no further one. What is recovered from the
# billing database is no new attempt.
_PAID = """
    SELECT 1 FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.billing_source = NEW.billing_source AND a.charge_id = NEW.charge_id AND a.attempt_no < NEW.attempt_no
      AND o.status IN ('paid', 'reversed')
"""
_NOT_AFTER_PAID = {
    "sqlite": [
        f"""
        CREATE TRIGGER attempt_not_after_paid BEFORE INSERT ON attempt
        WHEN NEW.attempt_no > 1 AND NEW.rule <> 'recovered' AND EXISTS ({_PAID})
        BEGIN SELECT RAISE(ABORT, 'attempt_not_after_paid'); END
        """
    ],
    "postgresql": [
        f"""
        CREATE FUNCTION attempt_not_after_paid() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS ({_PAID}) THEN
                RAISE EXCEPTION 'attempt_not_after_paid'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'attempt_not_after_paid';
            END IF;
            RETURN NEW;
        END $$
        """,
        """
        CREATE TRIGGER attempt_not_after_paid BEFORE INSERT ON attempt FOR EACH ROW
        WHEN (NEW.attempt_no > 1 AND NEW.rule <> 'recovered') EXECUTE FUNCTION attempt_not_after_paid()
        """,
    ],
}


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    # attempt and outcome refer to each other: SQLite takes a reference to a table that is not there yet, PostgreSQL not.
    previous_outcome = sa.ForeignKeyConstraint(
        ["previous_invoice_number", "previous_status"],
        ["outcome.invoice_number", "outcome.status"],
        name="fk_attempt_previous_outcome",
    )
    op.create_table(
        "alert",
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("kind", Key(30), nullable=False, comment="What is wrong (include.domain.watch)"),
        sa.Column("subject", Key(255), nullable=False, comment="What it is about"),
        sa.Column("episode", sa.Integer(), nullable=False, comment="1, 2, ...: it was over in between"),
        sa.Column("level", sa.Integer(), nullable=False, comment="1 late, 2 urgent, 3 critical; only rises"),
        sa.Column("late_since", UtcDateTime(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False, comment="The fact, as it was last seen"),
        sa.Column("action", sa.Text(), nullable=False, comment="The safe thing to do now"),
        sa.Column("runbook", Key(100), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("raised_at", UtcDateTime(), nullable=False, comment="When it came to its level"),
        sa.Column("cleared_at", UtcDateTime(), nullable=True, comment="When the watchdog saw that it was over"),
        sa.CheckConstraint("level BETWEEN 1 AND 3", name=op.f("ck_alert_level_known")),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alert")),
        sa.UniqueConstraint("profile", "kind", "subject", "episode", name="uq_alert_matter"),
        comment="What the watchdog found: one open row for each matter, however often it looks.",
    )
    op.create_index("ix_alert_open", "alert", ["profile", "cleared_at"], unique=False)
    op.create_table(
        "closed_charge",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("charge_id", Key(200), nullable=False),
        sa.Column("profile", Key(40), nullable=False, comment="In whose trail it stands"),
        sa.Column("reason", Key(40), nullable=False, comment="cancelled, ...: no further attempt is made"),
        sa.Column("closed_by", Key(100), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False, comment="Why, in the person's words"),
        sa.Column(
            "amount",
            sa.BigInteger(),
            nullable=True,
            comment="As it was last listed; a listed charge that differs is quarantined",
        ),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("customer_id", Key(200), nullable=True),
        sa.PrimaryKeyConstraint("billing_source", "charge_id", name=op.f("pk_closed_charge")),
        comment="Charges that get no further attempt, by whom and why.",
    )
    op.create_table(
        "event_head",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", Key(64), nullable=False),
        sa.PrimaryKeyConstraint("profile", name=op.f("pk_event_head")),
        comment="The last event of each profile, so that a cut-off end shows; manifests carry it too.",
    )
    op.create_table(
        "expectation",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("stage", Key(20), nullable=False, comment="sent, acknowledged, reported, ... (include.domain.watch)"),
        sa.Column("subject", Key(255), nullable=False, comment="A batch file, a run, a report, a server"),
        sa.Column(
            "expected_by", UtcDateTime(), nullable=False, comment="Fixed once, by the profile's settings of that moment"
        ),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("met_at", UtcDateTime(), nullable=True, comment="When the watchdog first saw that it was reached"),
        sa.PrimaryKeyConstraint("profile", "stage", "subject", name=op.f("pk_expectation")),
        comment="By when each stage has to be reached; set, judged and met by the watchdog.",
    )
    op.create_index("ix_expectation_open", "expectation", ["profile", "met_at"], unique=False)
    op.create_table(
        "hold",
        sa.Column("hold_id", Id, nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("scope", Key(10), nullable=False),
        sa.Column(
            "subject",
            Key(200),
            nullable=False,
            comment="A charge id, a customer id, a batch file's name or a profile's",
        ),
        sa.Column("profile", Key(40), nullable=False, comment="In whose trail it stands"),
        sa.Column("placed_by", Key(100), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("released_by", Key(100), nullable=True),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("scope IN ('charge', 'customer', 'batch', 'profile')", name=op.f("ck_hold_scope_known")),
        sa.CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name=op.f("ck_hold_released_whole")),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_hold")),
        comment="Not now: a charge, a customer, a batch or a whole profile, by whom and why.",
    )
    op.create_index("ix_hold_subject", "hold", ["billing_source", "scope", "subject"], unique=False)
    op.create_table(
        "layout",
        sa.Column("digest", Key(64), nullable=False, comment="SHA-256 of the text, hex"),
        sa.Column("name", Key(60), nullable=False),
        sa.Column("kind", Key(10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("stored_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_layout")),
        comment="The layouts that batch files and reports were written in, whole, so that old ones stay readable.",
    )
    op.create_table(
        "ledger",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column(
            "ledger_id", Key(36), nullable=False, comment="UUID; written beside every claim in the billing database"
        ),
        sa.Column("environment", Key(10), nullable=False, comment="sandbox or production, for good"),
        sa.Column(
            "fingerprint_key", Key(64), nullable=False, comment="Keys the fingerprints of tokens; it never leaves here"
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_ledger_only_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_ledger")),
        comment="Which ledger this is: it belongs to one environment.",
    )
    op.create_table(
        "proposal",
        sa.Column("proposal_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("operation", Key(30), nullable=False),
        sa.Column("subject", Key(250), nullable=False, comment="What it is about: an invoice number, a charge"),
        sa.Column("about", sa.Text(), nullable=False, comment="JSON: what was asked for, whole"),
        sa.Column("effect", sa.Text(), nullable=False, comment="What it would do, as it was shown"),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("proposed_by", Key(100), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=False),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("answered_by", Key(100), nullable=True),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("(state = 'open') = (answered_by IS NULL)", name=op.f("ck_proposal_answered_whole")),
        sa.CheckConstraint("state <> 'confirmed' OR answered_by <> proposed_by", name=op.f("ck_proposal_four_eyes")),
        sa.CheckConstraint("state IN ('open', 'confirmed', 'withdrawn')", name=op.f("ck_proposal_state_known")),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_proposal")),
        comment="Decisions that a second person has to confirm before they have any effect.",
    )
    op.create_index(
        "uq_proposal_open",
        "proposal",
        ["profile", "operation", "subject"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "recon_break",
        sa.Column("break_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("kind", Key(30), nullable=False),
        sa.Column("subject", Key(200), nullable=False, comment="What it is about, so that it is opened once"),
        sa.Column("invoice_number", Key(64), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="The difference, or the amount at stake"),
        sa.Column("details", sa.Text(), nullable=False, comment="In words, with both sides"),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("explained_by", Key(100), nullable=True),
        sa.Column("explained_at", UtcDateTime(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("closed_by", Key(100), nullable=True, comment="A person, or `rule` where what was missing came"),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_reason", sa.Text(), nullable=True),
        sa.Column(
            "booked",
            sa.BigInteger(),
            nullable=True,
            comment="The difference that stays in the books of a resolved break",
        ),
        sa.CheckConstraint("(state = 'resolved') = (closed_by IS NOT NULL)", name=op.f("ck_recon_break_closed_whole")),
        sa.CheckConstraint(
            "booked IS NULL OR (kind IN ('amount_differs', 'partial_approval') AND state = 'resolved')",
            name=op.f("ck_recon_break_booked_difference"),
        ),
        sa.CheckConstraint(
            "kind IN ('amount_differs', 'conflict', 'unexpected', 'other_profile', 'missing_line', 'partial_approval', 'partial_refund', 'unlisted_code', 'witnesses_disagree', 'paid_while_in_flight', 'collected_twice')",
            name=op.f("ck_recon_break_kind_known"),
        ),
        sa.CheckConstraint(
            "state <> 'explained' OR explained_by IS NOT NULL", name=op.f("ck_recon_break_explained_whole")
        ),
        sa.CheckConstraint("state IN ('open', 'explained', 'resolved')", name=op.f("ck_recon_break_state_known")),
        sa.PrimaryKeyConstraint("break_id", name=op.f("pk_recon_break")),
        sa.UniqueConstraint("profile", "kind", "subject", name="uq_recon_break_subject"),
        comment="What reconciliation could not tie: open, explained, resolved; by whom and why.",
    )
    op.create_index(op.f("ix_recon_break_invoice_number"), "recon_break", ["invoice_number"], unique=False)
    op.create_index("ix_recon_break_state", "recon_break", ["profile", "state"], unique=False)
    op.create_table(
        "run",
        sa.Column("run_id", Id, nullable=False),
        sa.Column("kind", Key(10), nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("external_id", Key(320), nullable=False, comment="Airflow's run id and what was asked of it"),
        sa.Column(
            "business_date", sa.Date(), nullable=False, comment="Fixed here once, whatever is cleared or retried later"
        ),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("past", sa.Boolean(), nullable=False, comment="The business date was over when the run was opened"),
        sa.Column(
            "send_past_total",
            sa.BigInteger(),
            nullable=True,
            comment="The total (smallest units) that may go out for a past date",
        ),
        sa.Column(
            "send_past_after",
            sa.Date(),
            nullable=True,
            comment="Charges due by this day belong to an earlier date that send_past names",
        ),
        sa.Column(
            "started_by", Key(100), nullable=True, comment="Who started it by hand; null: the schedule, so nobody"
        ),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('submit', 'reconcile')", name=op.f("ck_run_kind_known")),
        sa.CheckConstraint("state IN ('open', 'claimed', 'closed')", name=op.f("ck_run_state_known")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
        sa.UniqueConstraint("kind", "profile", "external_id", name=op.f("uq_run_kind")),
        comment="Runs of the DAGs (and of the command line).",
    )
    op.create_table(
        "watch_look",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("watcher", Key(20), nullable=False, comment="airflow (doku_watchdog) or outside (the command line)"),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "watcher", name=op.f("pk_watch_look")),
        comment="When the watchdogs looked: each notices when the other has fallen silent.",
    )
    op.create_table(
        "alert_notice",
        sa.Column("alert_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False, comment="0: it is over"),
        sa.Column("channel", Key(200), nullable=False, comment="Connection id of the mail server or webhook"),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column(
            "taken_at",
            UtcDateTime(),
            nullable=True,
            comment="A watchdog is sending it since; the other one leaves it alone",
        ),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True, comment="Why the last try to send it failed"),
        sa.CheckConstraint("level BETWEEN 0 AND 3", name=op.f("ck_alert_notice_level_known")),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.alert_id"], name=op.f("fk_alert_notice_alert_id")),
        sa.PrimaryKeyConstraint("alert_id", "level", "channel", name=op.f("pk_alert_notice")),
        comment="What people are told of an alert: once for each level and channel.",
    )
    op.create_table(
        "approval",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("plaintext_digest", Key(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("answer", Key(10), nullable=False),
        sa.Column("answered_by", Key(100), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.CheckConstraint("answer IN ('approved', 'refused')", name=op.f("ck_approval_answer_known")),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_approval_run_id")),
        sa.PrimaryKeyConstraint("run_id", "plaintext_digest", name=op.f("pk_approval")),
        comment="A person's answer to the brakes of a run; it holds for exactly that count, total and content.",
    )
    op.create_table(
        "batch",
        sa.Column("batch_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("merchant", Key(30), nullable=False, comment="As it stands in the file and in its name"),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="1, 2, ... within profile and business date"),
        sa.Column("execute_date", sa.Date(), nullable=False),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("file_name", Key(100), nullable=False),
        sa.Column("remote_folder", Key(300), nullable=False, comment="SFTP connection id and folder"),
        sa.Column("layout_digest", Key(64), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_count", sa.Integer(), nullable=False, comment="Of line_count: withdrawn one by one"),
        sa.Column("withdrawn_amount", sa.BigInteger(), nullable=False),
        sa.Column("state", Key(12), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column(
            "looked_at", UtcDateTime(), nullable=True, comment="When its charges were last compared with the view"
        ),
        sa.Column("plaintext_digest", Key(64), nullable=True),
        sa.Column("plaintext_size", sa.BigInteger(), nullable=True),
        sa.Column("envelope_digest", Key(64), nullable=True),
        sa.Column("envelope_size", sa.BigInteger(), nullable=True),
        sa.Column(
            "key_fingerprint", Key(60), nullable=True, comment="DOKU's public key that the envelope was sealed with"
        ),
        sa.Column(
            "artefact", sa.Text(), nullable=True, comment="Where the envelope is kept, relative to the artefact store"
        ),
        sa.Column(
            "claims_written_at", UtcDateTime(), nullable=True, comment="The claims stand in doku_charge_outcomes since"
        ),
        sa.Column("withdrawal_written_at", UtcDateTime(), nullable=True, comment="The withdrawal stands there since"),
        sa.Column("delivery_try", Key(32), nullable=True, comment="Whose delivery it is: only that try may rename"),
        sa.Column("delivered_at", UtcDateTime(), nullable=True),
        sa.Column("reconciled_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('claimed', 'sealed', 'delivering', 'renaming', 'unknown', 'delivered', 'reconciled', 'withdrawn')",
            name=op.f("ck_batch_state_known"),
        ),
        sa.CheckConstraint("line_count > 0", name=op.f("ck_batch_not_empty")),
        sa.ForeignKeyConstraint(["layout_digest"], ["layout.digest"], name=op.f("fk_batch_layout_digest")),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_batch_run_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch")),
        sa.UniqueConstraint("profile", "business_date", "sequence", name="uq_batch_sequence"),
        sa.UniqueConstraint("remote_folder", "file_name", name=op.f("uq_batch_remote_folder")),
        comment="Batch files, one row each.",
    )
    op.create_index("ix_batch_open", "batch", ["profile", "state"], unique=False)
    op.create_index(op.f("ix_batch_run_id"), "batch", ["run_id"], unique=False)
    op.create_table(
        "brake",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "plaintext_digest", Key(64), nullable=False, comment="SHA-256 over the plaintext digests of the batches"
        ),
        sa.Column("kind", Key(30), nullable=False, comment="Which brake; `none` for a run that passed them all"),
        sa.Column("count", sa.Integer(), nullable=False, comment="Of what would be sent"),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False, comment="The figure and the limit"),
        sa.Column("pulled_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_brake_run_id")),
        sa.PrimaryKeyConstraint("run_id", "plaintext_digest", "kind", name=op.f("pk_brake")),
        comment="What stopped a run before delivery, judged once its batches were sealed.",
    )
    op.create_table(
        "quarantine",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("charge_id", Key(200), nullable=False),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False, comment="Of the last run that rejected it"),
        sa.Column("first_run_id", sa.BigInteger(), nullable=False),
        sa.Column("last_run_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "released_by",
            Key(100),
            nullable=True,
            comment="A person, or `mended` where the profile releases mended charges itself",
        ),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'released')", name=op.f("ck_quarantine_state_known")),
        sa.ForeignKeyConstraint(["first_run_id"], ["run.run_id"], name=op.f("fk_quarantine_first_run_id")),
        sa.ForeignKeyConstraint(["last_run_id"], ["run.run_id"], name=op.f("fk_quarantine_last_run_id")),
        sa.PrimaryKeyConstraint("billing_source", "charge_id", name=op.f("pk_quarantine")),
        comment="Quarantined charges as matters: open until released. A released one is checked again, not waved through.",
    )
    op.create_table(
        "quarantined_charge",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=True, comment="As it was read; card numbers masked"),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("billing_number", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="0 where it could not be read"),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=False, comment='All of them: "field:reason;field:reason"'),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_quarantined_charge_run_id")),
        sa.PrimaryKeyConstraint("run_id", "row_no", name=op.f("pk_quarantined_charge")),
        comment="Charges that failed validation in a run. Never holds a token.",
    )
    op.create_index("ix_quarantined_charge_charge", "quarantined_charge", ["billing_source", "charge_id"], unique=False)
    op.create_table(
        "report_file",
        sa.Column("report_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("file_name", Key(255), nullable=False, comment="The name it was first seen under"),
        sa.Column("content_digest", Key(64), nullable=False, comment="SHA-256 of the bytes as fetched"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("artefact", sa.Text(), nullable=False),
        sa.Column("state", Key(12), nullable=False),
        sa.Column("layout_digest", Key(64), nullable=True),
        sa.Column("line_count", sa.Integer(), nullable=True),
        sa.Column("total_amount", sa.BigInteger(), nullable=True),
        sa.Column(
            "batch_name", Key(100), nullable=True, comment="The batch file that it says it answers, if it says so"
        ),
        sa.Column("part", sa.Integer(), nullable=True, comment="1, 2, ... where it says that it is one of several"),
        sa.Column("parts", sa.Integer(), nullable=True, comment="Of how many; all of them together are complete"),
        sa.Column("refused_reason", sa.Text(), nullable=True),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.Column("ingested_at", UtcDateTime(), nullable=True),
        sa.Column(
            "planned_at", UtcDateTime(), nullable=True, comment="What comes next is decided for all that it declined"
        ),
        sa.Column("written_back_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('fetched', 'ingested', 'written_back', 'refused')", name=op.f("ck_report_file_state_known")
        ),
        sa.ForeignKeyConstraint(["layout_digest"], ["layout.digest"], name=op.f("fk_report_file_layout_digest")),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_report_file")),
        sa.UniqueConstraint("profile", "content_digest", name=op.f("uq_report_file_profile")),
        comment="DOKU's reports, once by their content.",
    )
    op.create_index("ix_report_file_state", "report_file", ["profile", "state"], unique=False)
    op.create_table(
        "run_balance",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="0: the whole run"),
        sa.Column("currency", Key(20), nullable=False),
        sa.Column("term", Key(20), nullable=False, comment="rows, settled, due, sent, ... (design, promise 2)"),
        sa.Column("detail", Key(200), nullable=False, comment="A reason or a code; empty: the term's sum"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_run_balance_run_id")),
        sa.PrimaryKeyConstraint("run_id", "batch_id", "currency", "term", "detail", name=op.f("pk_run_balance")),
        comment="The books of each run and batch, as they were when the run was closed.",
    )
    op.create_table(
        "run_charge",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("charge_id", Key(200), nullable=False),
        sa.Column("customer_id", Key(200), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", Key(20), nullable=True),
        sa.Column("fate", Key(10), nullable=False),
        sa.Column("reason", Key(40), nullable=False),
        sa.CheckConstraint(
            "fate IN ('settled', 'held', 'deferred', 'in_flight')", name=op.f("ck_run_charge_fate_known")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_run_charge_run_id")),
        sa.PrimaryKeyConstraint("run_id", "row_no", name=op.f("pk_run_charge")),
        comment="Listed charges that a run neither sent nor quarantined, and why.",
    )
    op.create_index(op.f("ix_run_charge_charge_id"), "run_charge", ["charge_id"], unique=False)
    op.create_table(
        "summary",
        sa.Column("summary_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="The reconciliation that made it"),
        sa.Column(
            "figures_digest", Key(64), nullable=False, comment="SHA-256 of the figures; the same ones make no new page"
        ),
        sa.Column(
            "figures", sa.Text(), nullable=False, comment="JSON: everything that the page says; no charge, no token"
        ),
        sa.Column(
            "page", sa.Text(), nullable=False, comment="Where the HTML page is kept, relative to the artefact store"
        ),
        sa.Column("page_digest", Key(64), nullable=False),
        sa.Column("sheet", sa.Text(), nullable=False, comment="Where the CSV file is kept"),
        sa.Column("sheet_digest", Key(64), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_summary_run_id")),
        sa.PrimaryKeyConstraint("summary_id", name=op.f("pk_summary")),
        sa.UniqueConstraint("profile", "business_date", "run_id", name="uq_summary_day"),
        comment="Summaries of a business date for people, each as it was after a reconciliation.",
    )
    op.create_table(
        "attempt",
        sa.Column("invoice_number", Key(64), nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("charge_id", Key(200), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("previous_invoice_number", Key(64), nullable=True),
        sa.Column("previous_status", Key(10), nullable=True, comment="The outcome that allowed this attempt"),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False, comment="1, 2, ... within the batch"),
        sa.Column("customer_id", Key(200), nullable=False),
        sa.Column("billing_number", Key(200), nullable=True),
        sa.Column("token", Key(500), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("execute_date", sa.Date(), nullable=False),
        sa.Column("channel", sa.String(length=200), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("network", sa.String(length=50), nullable=True),
        sa.Column(
            "token_fingerprint",
            Key(32),
            nullable=True,
            comment="HMAC-SHA256 of the token, cut to 128 bits, hex: it outlives the token",
        ),
        sa.Column(
            "billing_period", Key(40), nullable=True, comment="The view's, or the month of the due date: 2026-11"
        ),
        sa.Column(
            "rule",
            Key(40),
            nullable=False,
            comment="Why this attempt was made: first, planned, after_change, new_instrument, merchant_asked, after_withdrawal, ...",
        ),
        sa.CheckConstraint("previous_status IN ('declined', 'withdrawn')", name=op.f("ck_attempt_previous_frees")),
        sa.CheckConstraint(
            "(attempt_no = 1) = (previous_invoice_number IS NULL)", name=op.f("ck_attempt_first_or_follows")
        ),
        sa.CheckConstraint(
            "(previous_invoice_number IS NULL) = (previous_status IS NULL)", name=op.f("ck_attempt_previous_whole")
        ),
        sa.CheckConstraint(
            "CAST(substr(invoice_number, 19) AS INTEGER) = attempt_no", name=op.f("ck_attempt_number_in_invoice")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_attempt_positive")),
        sa.CheckConstraint("attempt_no >= 1", name=op.f("ck_attempt_counted_from_one")),
        sa.CheckConstraint(
            "previous_invoice_number IS NULL OR (substr(previous_invoice_number, 1, 18) = substr(invoice_number, 1, 18) AND CAST(substr(previous_invoice_number, 19) AS INTEGER) = attempt_no - 1)",
            name=op.f("ck_attempt_previous_same_charge"),
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=op.f("fk_attempt_batch_id")),
        *([previous_outcome] if sqlite else []),
        sa.PrimaryKeyConstraint("invoice_number", name=op.f("pk_attempt")),
        sa.UniqueConstraint("batch_id", "line_no", name="uq_attempt_line"),
        sa.UniqueConstraint("billing_source", "charge_id", "attempt_no", name="uq_attempt_claim"),
        comment="Tries at collecting a charge: the claim. At most one per charge is live.",
    )
    op.create_index(
        "ix_attempt_later",
        "attempt",
        ["profile"],
        unique=False,
        postgresql_where=sa.text("attempt_no > 1"),
        sqlite_where=sa.text("attempt_no > 1"),
    )
    op.create_index("ix_attempt_period", "attempt", ["billing_number", "billing_period"], unique=False)
    op.create_index(
        "ix_attempt_previous",
        "attempt",
        ["previous_invoice_number"],
        unique=False,
        sqlite_where=sa.text("previous_invoice_number IS NOT NULL"),
        postgresql_where=sa.text("previous_invoice_number IS NOT NULL"),
    )
    op.create_index("ix_attempt_token", "attempt", ["token_fingerprint"], unique=False)
    op.create_table(
        "event",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False, comment="1, 2, ... without a gap"),
        sa.Column(
            "kind",
            Key(20),
            nullable=False,
            comment="batch, or a person's decision: hold, release, cancel, approval, ...",
        ),
        sa.Column("subject", Key(250), nullable=False, comment="What it is about: a batch file, a charge, a run, ..."),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "batch_event_no",
            sa.Integer(),
            nullable=True,
            comment="1, 2, ... of the batch: two workers cannot both write n",
        ),
        sa.Column("state", Key(12), nullable=True, comment="The state that the batch entered"),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", Key(100), nullable=False, comment="A person, or the flow that did it"),
        sa.Column("details", sa.Text(), nullable=False, comment="JSON: figures, names and digests; never a token"),
        sa.Column("previous_hash", Key(64), nullable=False, comment="hash of the event before; of the first: 64 zeros"),
        sa.Column("hash", Key(64), nullable=False, comment="SHA-256 over all columns before it (include.ledger.chain)"),
        sa.CheckConstraint("(batch_id IS NULL) = (state IS NULL)", name=op.f("ck_event_state_of_batch")),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=op.f("fk_event_batch_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_event_run_id")),
        sa.PrimaryKeyConstraint("profile", "seq", name=op.f("pk_event")),
        sa.UniqueConstraint("batch_id", "batch_event_no", name="uq_event_batch"),
        comment="What happened to batches and what people decided, in order; only appended, each sealed to the one before.",
    )
    op.create_table(
        "report_line",
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("invoice_number", Key(64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", Key(3), nullable=True),
        sa.Column("response_code", Key(10), nullable=False),
        sa.Column("response_message", sa.Text(), nullable=True),
        sa.Column("approval_code", Key(40), nullable=True),
        sa.Column("masked_card", Key(30), nullable=True),
        sa.Column("bank", sa.String(length=60), nullable=True),
        sa.Column("channel", sa.String(length=60), nullable=True),
        sa.Column("network", sa.String(length=50), nullable=True),
        sa.Column("advice_code", Key(10), nullable=True),
        sa.Column("status", Key(10), nullable=False, comment="paid, declined, unknown or reversed, by the code"),
        sa.Column("line_class", Key(16), nullable=False),
        sa.CheckConstraint(
            "line_class IN ('answer', 'repeat', 'amount_differs', 'unexpected', 'other_profile')",
            name=op.f("ck_report_line_line_class_known"),
        ),
        sa.ForeignKeyConstraint(["report_id"], ["report_file.report_id"], name=op.f("fk_report_line_report_id")),
        sa.PrimaryKeyConstraint("report_id", "line_no", name=op.f("pk_report_line")),
        comment="Each line of each report and the one class it ended in; only appended.",
    )
    op.create_index(op.f("ix_report_line_invoice_number"), "report_line", ["invoice_number"], unique=False)
    op.create_table(
        "report_sighting",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("folder", Key(300), nullable=False),
        sa.Column("file_name", Key(255), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "modified", sa.BigInteger(), autoincrement=False, nullable=False, comment="The server's mtime, seconds"
        ),
        sa.Column("report_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["report_file.report_id"], name=op.f("fk_report_sighting_report_id")),
        sa.PrimaryKeyConstraint("profile", "folder", "file_name", "size", "modified", name=op.f("pk_report_sighting")),
        comment="Listed files that were fetched before, so that a listing alone recognises them.",
    )
    op.create_table(
        "ended_mandate",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("customer_id", Key(200), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False, comment="Empty where the charge had none"),
        sa.Column("invoice_number", Key(64), nullable=False),
        sa.Column("rule", Key(60), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_number"], ["attempt.invoice_number"], name=op.f("fk_ended_mandate_invoice_number")
        ),
        sa.PrimaryKeyConstraint("billing_source", "customer_id", "billing_number", name=op.f("pk_ended_mandate")),
        comment="Agreements that the customer revoked: nothing is charged under them any more.",
    )
    op.create_table(
        "next_attempt",
        sa.Column("invoice_number", Key(64), nullable=False, comment="Of the declined"),
        sa.Column(
            "version", sa.Integer(), autoincrement=False, nullable=False, comment="1, 2, ...: the highest one counts"
        ),
        sa.Column("action", Key(20), nullable=False),
        sa.Column("planned_on", sa.Date(), nullable=True, comment="The execute date that is planned; not before it"),
        sa.Column("pay_day", sa.Boolean(), nullable=False, comment="Only on a pay day"),
        sa.Column(
            "rule", Key(60), nullable=False, comment="Of retry_rules.toml, a setting of [retry], or what happened"
        ),
        sa.Column("words", sa.Text(), nullable=False, comment="Why, for a person"),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", Key(100), nullable=True, comment="A person; null: the rule"),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("told_at", UtcDateTime(), nullable=True, comment="doku_charge_outcomes says so since"),
        sa.CheckConstraint("action <> 'retry' OR planned_on IS NOT NULL", name=op.f("ck_next_attempt_retry_has_a_day")),
        sa.CheckConstraint(
            "action IN ('retry', 'after_change', 'merchant_setup', 'ask', 'never', 'mandate_ended', 'exhausted', 'withdrawn', 'cancelled')",
            name=op.f("ck_next_attempt_action_known"),
        ),
        sa.ForeignKeyConstraint(
            ["invoice_number"], ["attempt.invoice_number"], name=op.f("fk_next_attempt_invoice_number")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_next_attempt_run_id")),
        sa.PrimaryKeyConstraint("invoice_number", "version", name=op.f("pk_next_attempt")),
        comment="What was decided after each declined attempt; a later decision is a row of its own.",
    )
    op.create_index("ix_next_attempt_planned", "next_attempt", ["planned_on"], unique=False)
    op.create_index(
        "ix_next_attempt_setup",
        "next_attempt",
        ["invoice_number"],
        unique=False,
        sqlite_where=sa.text("action = 'merchant_setup'"),
        postgresql_where=sa.text("action = 'merchant_setup'"),
    )
    op.create_index(
        "ix_next_attempt_untold",
        "next_attempt",
        ["invoice_number"],
        unique=False,
        sqlite_where=sa.text("told_at IS NULL"),
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_table(
        "outcome",
        sa.Column("invoice_number", Key(64), nullable=False),
        sa.Column("status", Key(10), nullable=False),
        sa.Column(
            "strength",
            sa.Integer(),
            sa.Computed(
                "CASE status WHEN 'unknown' THEN 1 WHEN 'withdrawn' THEN 2 WHEN 'declined' THEN 3 WHEN 'paid' THEN 4 WHEN 'reversed' THEN 5 END",
                persisted=True,
            ),
            nullable=True,
            comment="states.STRENGTH",
        ),
        sa.Column("response_code", Key(10), nullable=True),
        sa.Column("response_message", sa.Text(), nullable=True),
        sa.Column("approval_code", Key(40), nullable=True),
        sa.Column("masked_card", Key(30), nullable=True),
        sa.Column("bank", sa.String(length=60), nullable=True),
        sa.Column(
            "amount", sa.BigInteger(), nullable=True, comment="As the witness says it; books count the attempt's amount"
        ),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("witness", Key(20), nullable=False, comment="report, delivery, person, status, notification"),
        sa.Column("report_id", sa.BigInteger(), nullable=True),
        sa.Column("report_line_no", sa.Integer(), nullable=True),
        sa.Column("proof", sa.Text(), nullable=True, comment="What shows it, in words"),
        sa.CheckConstraint("(witness = 'report') = (report_id IS NOT NULL)", name=op.f("ck_outcome_report_is_named")),
        sa.CheckConstraint(
            "status IN ('unknown', 'withdrawn', 'declined', 'paid', 'reversed')", name=op.f("ck_outcome_status_known")
        ),
        sa.ForeignKeyConstraint(["invoice_number"], ["attempt.invoice_number"], name=op.f("fk_outcome_invoice_number")),
        sa.ForeignKeyConstraint(["report_id"], ["report_file.report_id"], name=op.f("fk_outcome_report_id")),
        sa.PrimaryKeyConstraint("invoice_number", "status", name=op.f("pk_outcome")),
        comment="Witnessed outcomes; only appended. The strongest of an attempt's is the one it has.",
    )
    op.create_index(
        "ix_outcome_by_word",
        "outcome",
        ["invoice_number"],
        unique=False,
        sqlite_where=sa.text("witness <> 'report' AND status IN ('declined', 'paid', 'reversed')"),
        postgresql_where=sa.text("witness <> 'report' AND status IN ('declined', 'paid', 'reversed')"),
    )
    op.create_index(
        "ix_outcome_unknown",
        "outcome",
        ["invoice_number"],
        unique=False,
        sqlite_where=sa.text("status = 'unknown'"),
        postgresql_where=sa.text("status = 'unknown'"),
    )
    op.create_table(
        "stopped_instrument",
        sa.Column("token_fingerprint", Key(32), nullable=False),
        sa.Column("invoice_number", Key(64), nullable=False),
        sa.Column("rule", Key(60), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_number"], ["attempt.invoice_number"], name=op.f("fk_stopped_instrument_invoice_number")
        ),
        sa.PrimaryKeyConstraint("token_fingerprint", name=op.f("pk_stopped_instrument")),
        comment="Cards and accounts that are never charged again, whoever asks.",
    )
    op.create_table(
        "testimony",
        sa.Column("testimony_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("invoice_number", Key(64), nullable=False),
        sa.Column("witness", Key(20), nullable=False, comment="person, status, notification; never report"),
        sa.Column("status", Key(10), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True, comment="As the witness says it, if it does"),
        sa.Column("said_by", Key(100), nullable=False, comment="The person, or the flow that asked"),
        sa.Column("said_at", UtcDateTime(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False, comment="What shows it, in words"),
        sa.Column(
            "confirmed_by", Key(100), nullable=True, comment="The second pair of eyes, where the profile asks for one"
        ),
        sa.Column("told_at", UtcDateTime(), nullable=True, comment="The merchant was told of what it decided since"),
        sa.CheckConstraint(
            "status IN ('unknown', 'withdrawn', 'declined', 'paid', 'reversed')", name=op.f("ck_testimony_status_known")
        ),
        sa.CheckConstraint("witness <> 'report'", name=op.f("ck_testimony_no_report")),
        sa.CheckConstraint("confirmed_by <> said_by", name=op.f("ck_testimony_another_person")),
        sa.ForeignKeyConstraint(
            ["invoice_number"], ["attempt.invoice_number"], name=op.f("fk_testimony_invoice_number")
        ),
        sa.PrimaryKeyConstraint("testimony_id", name=op.f("pk_testimony")),
        comment="What witnesses other than reports say of an attempt, kept apart from the reports; only appended.",
    )
    op.create_index(op.f("ix_testimony_invoice_number"), "testimony", ["invoice_number"], unique=False)
    if not sqlite:
        op.create_foreign_key(
            "fk_attempt_previous_outcome",
            "attempt",
            "outcome",
            ["previous_invoice_number", "previous_status"],
            ["invoice_number", "status"],
        )
    for statement in _NOT_AFTER_PAID["sqlite" if sqlite else "postgresql"]:
        op.execute(statement)
