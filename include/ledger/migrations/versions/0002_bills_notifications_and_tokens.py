"""Bills notifications and tokens"""

import re

import sqlalchemy as sa
from alembic import op

from include.ledger.types import Id, Key, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What a run may be and what a break may be about, with the new words.
_WORDS = {
    ("run", "kind"): ("submit", "reconcile", "recurring", "tokens"),
    ("recon_break", "kind"): (
        *("amount_differs", "conflict", "unexpected", "other_profile", "missing_line", "partial_approval"),
        *("partial_refund", "unlisted_code", "witnesses_disagree", "paid_while_in_flight", "collected_twice"),
        *("unexpected_charge", "missing_charge", "amount_changed"),
    ),
}


def _allow_new_words() -> None:
    connection = op.get_bind()
    for (table, column), words in _WORDS.items():
        name, listed = f"ck_{table}_{column}_known", ", ".join(f"'{word}'" for word in words)
        if connection.dialect.name == "sqlite":
            _rewrite_check(connection, table, name, f"{column} IN ({listed})")
        else:
            op.drop_constraint(op.f(name), table, type_="check")
            op.create_check_constraint(op.f(name), table, f"{column} IN ({listed})")


def _rewrite_check(connection: sa.Connection, table: str, name: str, check: str) -> None:
    """SQLite cannot alter a check constraint; its manual gives this way, which copies no row and touches no reference."""
    text = connection.execute(
        sa.text("SELECT sql FROM sqlite_schema WHERE name = :table"), {"table": table}
    ).scalar_one()
    rewritten, found = re.subn(
        rf"CONSTRAINT {name} CHECK \(\w+ IN \([^)]*\)\)", f"CONSTRAINT {name} CHECK ({check})", text
    )
    if found != 1:
        raise RuntimeError(f"table {table} has no constraint {name}")
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.execute(
        sa.text("UPDATE sqlite_schema SET sql = :sql WHERE name = :table"), {"sql": rewritten, "table": table}
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def upgrade() -> None:
    _allow_new_words()
    op.create_table(
        "amount_question",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column(
            "amount",
            sa.BigInteger(),
            nullable=True,
            comment="The first answer, repeated ever after; null: none is known yet",
        ),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False, comment="How often DOKU asked"),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("request_id", Key(128), nullable=True, comment="Of the push; the same for every try of it"),
        sa.Column(
            "pushed_at",
            UtcDateTime(),
            nullable=True,
            comment="DOKU took the amount that we sent; null: it was not sent, or not taken",
        ),
        sa.CheckConstraint("(amount IS NULL) = (answered_at IS NULL)", name=op.f("ck_amount_question_answered_whole")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_amount_question_positive")),
        sa.PrimaryKeyConstraint("billing_source", "billing_number", "expected_on", name=op.f("pk_amount_question")),
        comment="DOKU's questions for the amount of a varying bill, and the one answer to each.",
    )
    op.create_table(
        "bill",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("customer_id", Key(200), nullable=False),
        sa.Column(
            "amount", sa.BigInteger(), nullable=True, comment="Smallest units; null: it varies, and DOKU asks for it"
        ),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("schedule", Key(10), nullable=False),
        sa.Column(
            "schedule_on", sa.Text(), nullable=False, comment="day: MON..SUN; date: 1..28; dates: days, by comma"
        ),
        sa.Column("months", sa.Text(), nullable=True, comment="JAN..DEC, by comma; null: every month"),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True, comment="The last day; null: until it is cancelled"),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("customer_name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column(
            "registration", Key(10), nullable=False, comment="How the merchant wants it registered: link or bulk"
        ),
        sa.Column("terms_digest", Key(64), nullable=False, comment="SHA-256 of what the merchant wants, as last seen"),
        sa.Column("listed_as", Key(64), nullable=False, comment="SHA-256 of its whole row in the merchant's view"),
        sa.Column(
            "asked_terms", Key(64), nullable=True, comment="The same of what DOKU was told last; null: nothing yet"
        ),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it is in that state, in words for people"),
        sa.Column("asked_by", Key(10), nullable=True, comment="link or bulk"),
        sa.Column(
            "request_id",
            Key(128),
            nullable=True,
            comment="Of the last call about it; the same for every try of that call",
        ),
        sa.Column("checkout_url", sa.Text(), nullable=True, comment="Where the customer registers the card"),
        sa.Column("token", Key(500), nullable=True),
        sa.Column("token_fingerprint", Key(32), nullable=True),
        sa.Column("masked_card", Key(30), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=True),
        sa.Column(
            "schedule_since",
            UtcDateTime(),
            nullable=True,
            comment="Since when the merchant wants this schedule; null: from the start",
        ),
        sa.Column("registered_at", UtcDateTime(), nullable=True),
        sa.Column("over_at", UtcDateTime(), nullable=True, comment="When it was refused, cancelled or ended"),
        sa.Column(
            "told_at", UtcDateTime(), nullable=True, comment="The merchant's table says all this since; null: not yet"
        ),
        sa.CheckConstraint("schedule IN ('day', 'date', 'dates')", name=op.f("ck_bill_schedule_known")),
        sa.CheckConstraint(
            "state IN ('wanted', 'asked', 'active', 'refused', 'cancelling', 'cancelled', 'ended')",
            name=op.f("ck_bill_state_known"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_bill_positive")),
        sa.PrimaryKeyConstraint("billing_source", "billing_number", name=op.f("pk_bill")),
        comment="The register of bills: recurring agreements at DOKU, as they are now.",
    )
    op.create_index("ix_bill_state", "bill", ["profile", "state"], unique=False)
    op.create_table(
        "bill_told",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("charge_id", Key(220), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False, comment="Never given to another transaction"),
        sa.Column("reference", Key(64), nullable=False),
        sa.Column(
            "told_at",
            UtcDateTime(),
            nullable=True,
            comment="doku_charge_outcomes says what is known since; null: not yet",
        ),
        sa.PrimaryKeyConstraint("profile", "charge_id", "attempt_no", name=op.f("pk_bill_told")),
        sa.UniqueConstraint("profile", "charge_id", "reference", name="uq_bill_told_reference"),
        comment="The rows of doku_charge_outcomes about bills: which number each transaction has in its charge.",
    )
    op.create_index("ix_bill_told_reference", "bill_told", ["profile", "reference"], unique=False)
    op.create_index(
        "ix_bill_told_untold",
        "bill_told",
        ["profile"],
        unique=False,
        sqlite_where=sa.text("told_at IS NULL"),
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_table(
        "customer_token",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("profile", Key(40), nullable=False, comment="Whose account at DOKU gives it"),
        sa.Column("customer_id", Key(200), nullable=False, comment="As DOKU knows the customer"),
        sa.Column("token_fingerprint", Key(32), nullable=False),
        sa.Column("token", Key(500), nullable=True, comment="Null once it is lost and housekeeping has removed it"),
        sa.Column("channel", sa.String(length=200), nullable=True),
        sa.Column("masked_card", Key(30), nullable=True),
        sa.Column("network", sa.String(length=50), nullable=True),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("chosen", sa.Boolean(), nullable=False, comment="The one to charge, by the profile's rule"),
        sa.Column("made_at", UtcDateTime(), nullable=True, comment="As DOKU says it"),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column(
            "last_seen_at", UtcDateTime(), nullable=False, comment="When the last answer that held it was asked for"
        ),
        sa.Column("lost_at", UtcDateTime(), nullable=True),
        sa.Column(
            "told_at", UtcDateTime(), nullable=True, comment="The merchant's table says all this since; null: not yet"
        ),
        sa.CheckConstraint("(state = 'lost') = (lost_at IS NOT NULL)", name=op.f("ck_customer_token_lost_whole")),
        sa.CheckConstraint("state = 'active' OR NOT chosen", name=op.f("ck_customer_token_chosen_alive")),
        sa.CheckConstraint("state IN ('active', 'lost')", name=op.f("ck_customer_token_state_known")),
        sa.PrimaryKeyConstraint(
            "billing_source", "profile", "customer_id", "token_fingerprint", name=op.f("pk_customer_token")
        ),
        comment="Customers' tokens as DOKU gives them.",
    )
    op.create_index(
        "ix_customer_token_lost",
        "customer_token",
        ["token_fingerprint"],
        unique=False,
        sqlite_where=sa.text("state = 'lost'"),
        postgresql_where=sa.text("state = 'lost'"),
    )
    op.create_index(
        "ix_customer_token_untold",
        "customer_token",
        ["profile"],
        unique=False,
        sqlite_where=sa.text("told_at IS NULL"),
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_table(
        "refused_notification",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("kind", Key(20), nullable=False),
        sa.Column("reason", Key(30), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "kind", "reason", "day", name=op.f("pk_refused_notification")),
        comment="Requests to the notification paths that were refused, counted; nothing of them is kept.",
    )
    op.create_table(
        "rejected_bill",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column(
            "row_key", Key(220), nullable=False, comment="The billing number; where there is none, the row's number"
        ),
        sa.Column("reasons", sa.Text(), nullable=False, comment="column:code;column:code"),
        sa.Column("words", sa.Text(), nullable=False, comment="The same in sentences; no value of the row"),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "row_key", name=op.f("pk_rejected_bill")),
        comment="Rows of doku_bills that cannot be used as they are now; gone once they are mended.",
    )
    op.create_table(
        "status_question",
        sa.Column("question_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("subject", Key(250), nullable=False, comment="An invoice number, or the charge id of a bill"),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("answer", Key(20), nullable=True, comment="DOKU's word: SUCCESS, FAILED, PENDING, ...; null: none"),
        sa.Column("words", sa.Text(), nullable=False, comment="What it means for us, or why there is no answer"),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_status_question")),
        comment="What DOKU was asked about attempts, and its answers; only appended.",
    )
    op.create_index("ix_status_question_asked", "status_question", ["profile", "asked_at"], unique=False)
    op.create_index("ix_status_question_subject", "status_question", ["subject", "asked_at"], unique=False)
    op.create_table(
        "bill_charge",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False),
        sa.Column(
            "expected_on",
            sa.Date(),
            nullable=False,
            comment="The local day; with the billing number it is the charge id",
        ),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("charge_id", Key(220), nullable=False),
        sa.Column("customer_id", Key(200), nullable=False),
        sa.Column(
            "amount",
            sa.BigInteger(),
            nullable=True,
            comment="What should be charged; null: it varies and nobody has said it yet",
        ),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["billing_source", "billing_number"],
            ["bill.billing_source", "bill.billing_number"],
            name="fk_bill_charge_bill",
        ),
        sa.PrimaryKeyConstraint("billing_source", "billing_number", "expected_on", name=op.f("pk_bill_charge")),
        sa.UniqueConstraint("billing_source", "charge_id", name="uq_bill_charge_charge"),
        comment="Charges that DOKU should make of bills, each on its day.",
    )
    op.create_index("ix_bill_charge_day", "bill_charge", ["profile", "expected_on"], unique=False)
    op.create_table(
        "notification",
        sa.Column("notification_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("kind", Key(20), nullable=False),
        sa.Column("content_digest", Key(64), nullable=False, comment="SHA-256 of the body as received"),
        sa.Column(
            "request_id",
            Key(128),
            nullable=True,
            comment="DOKU's Request-Id of the first time; a retry may carry another",
        ),
        sa.Column("content_type", sa.String(length=100), nullable=True),
        sa.Column(
            "headers", sa.Text(), nullable=False, comment="JSON: the headers that were signed, and the signature"
        ),
        sa.Column(
            "body", sa.LargeBinary(), nullable=True, comment="As received; null once housekeeping has removed it"
        ),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True, comment="Request-Timestamp, where there is one"),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False, comment="How often the same content came"),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("result", sa.Text(), nullable=True, comment="What became of it, in words"),
        sa.Column("processed_at", UtcDateTime(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('payment', 'registration', 'card_update', 'report_ready', 'amount')",
            name=op.f("ck_notification_kind_known"),
        ),
        sa.CheckConstraint(
            "state IN ('received', 'done', 'ignored', 'failed')", name=op.f("ck_notification_state_known")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_notification_run_id")),
        sa.PrimaryKeyConstraint("notification_id", name=op.f("pk_notification")),
        sa.UniqueConstraint("profile", "kind", "content_digest", name="uq_notification_content"),
        comment="The inbox: DOKU's notifications, raw, once by their content; processed later by a run.",
    )
    op.create_index("ix_notification_request", "notification", ["profile", "request_id"], unique=False)
    op.create_index(
        "ix_notification_waiting",
        "notification",
        ["profile", "notification_id"],
        unique=False,
        sqlite_where=sa.text("state = 'received'"),
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_table(
        "registration_file",
        sa.Column("file_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("remote_folder", Key(300), nullable=False),
        sa.Column("file_name", Key(100), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="1, 2, ... within profile and business date"),
        sa.Column("layout_digest", Key(64), nullable=False),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False, comment="Of the fixed amounts, in smallest units"),
        sa.Column("state", Key(10), nullable=False),
        sa.Column("artefact", sa.Text(), nullable=False, comment="The sealed file, relative to the artefact store"),
        sa.Column("plaintext_digest", Key(64), nullable=False),
        sa.Column("envelope_digest", Key(64), nullable=False),
        sa.Column("envelope_size", sa.BigInteger(), nullable=False),
        sa.Column("delivery_try", Key(16), nullable=True, comment="Whose turn it is to deliver"),
        sa.Column("words", sa.Text(), nullable=True, comment="How its delivery ended, or why nobody knows"),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("made_by", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('sealed', 'renaming', 'unknown', 'delivered', 'withdrawn')",
            name=op.f("ck_registration_file_state_known"),
        ),
        sa.ForeignKeyConstraint(["layout_digest"], ["layout.digest"], name=op.f("fk_registration_file_layout_digest")),
        sa.ForeignKeyConstraint(["made_by"], ["run.run_id"], name=op.f("fk_registration_file_made_by")),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_registration_file")),
        sa.UniqueConstraint("profile", "business_date", "sequence", name="uq_registration_file_sequence"),
        sa.UniqueConstraint("remote_folder", "file_name", name="uq_registration_file_name"),
        comment="Files that register bills in bulk.",
    )
    op.create_table(
        "token_question",
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("customer_id", Key(200), nullable=False, comment="As DOKU knows the customer"),
        sa.Column(
            "channel",
            sa.String(length=200),
            nullable=True,
            comment="Which the merchant's view wishes to be charged; null: no wish",
        ),
        sa.Column("masked_card", Key(30), nullable=True, comment="The same"),
        sa.Column("listed_by", sa.BigInteger(), nullable=False, comment="The last run whose view had it"),
        sa.Column("asked_at", UtcDateTime(), nullable=True, comment="The last question"),
        sa.Column(
            "answered_at", UtcDateTime(), nullable=True, comment="When the last question that was answered was asked"
        ),
        sa.Column("tokens", sa.Integer(), nullable=True, comment="How many that answer held"),
        sa.Column("words", sa.Text(), nullable=True, comment="Why the last question has no answer"),
        sa.Column("choice", Key(10), nullable=True, comment="What the profile's rule made of the customer's tokens"),
        sa.CheckConstraint(
            "choice IN ('chosen', 'none', 'unfit', 'ambiguous')", name=op.f("ck_token_question_choice_known")
        ),
        sa.CheckConstraint("(answered_at IS NULL) = (tokens IS NULL)", name=op.f("ck_token_question_answered_whole")),
        sa.ForeignKeyConstraint(["listed_by"], ["run.run_id"], name=op.f("fk_token_question_listed_by")),
        sa.PrimaryKeyConstraint("billing_source", "profile", "customer_id", name=op.f("pk_token_question")),
        comment="Customers whose tokens are asked for, and when DOKU last said them.",
    )
    op.create_index("ix_token_question_listed", "token_question", ["listed_by"], unique=False)
    op.create_table(
        "batch_notice",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "request_id",
            Key(128),
            nullable=False,
            comment="The same for every try until DOKU says no: it takes it once",
        ),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True, comment="DOKU took it"),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True, comment="What DOKU answered, or why it could not be told"),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=op.f("fk_batch_notice_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch_notice")),
        comment="Telling DOKU that a batch file is there; it never decides anything about the batch.",
    )
    op.create_table(
        "bill_attempt",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column(
            "reference", Key(64), nullable=False, comment="DOKU's own; while only a charge was answered: its charge id"
        ),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False, comment="As DOKU says it"),
        sa.Column(
            "expected_on", sa.Date(), nullable=True, comment="The expected charge that it belongs to; null: to none"
        ),
        sa.Column("attempt_no", sa.Integer(), nullable=True, comment="1, 2, ... of the expected charge, as they came"),
        sa.Column("customer_id", Key(200), nullable=True),
        sa.Column(
            "amount", sa.BigInteger(), nullable=True, comment="What DOKU charged or tried to; null: it did not say"
        ),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("charged_on", sa.Date(), nullable=False, comment="The local day, as DOKU says it"),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(expected_on IS NULL) = (attempt_no IS NULL)", name=op.f("ck_bill_attempt_counted_where_expected")
        ),
        sa.ForeignKeyConstraint(
            ["billing_source", "billing_number", "expected_on"],
            ["bill_charge.billing_source", "bill_charge.billing_number", "bill_charge.expected_on"],
            name="fk_bill_attempt_charge",
        ),
        sa.PrimaryKeyConstraint("profile", "reference", name=op.f("pk_bill_attempt")),
        sa.UniqueConstraint("billing_source", "billing_number", "expected_on", "attempt_no", name="uq_bill_attempt_no"),
        comment="DOKU's transactions for bills, once by their reference; made of what was said of them.",
    )
    op.create_index("ix_bill_attempt_bill", "bill_attempt", ["profile", "billing_number", "charged_on"], unique=False)
    op.create_table(
        "bill_event",
        sa.Column("bill_event_id", Id, nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False),
        sa.Column("kind", Key(30), nullable=False, comment="wanted, asked, registered, refused, card_updated, ..."),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("said_by", Key(100), nullable=False, comment="DOKU, a person, the merchant's view, or the flow"),
        sa.Column("notification_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "matter", Key(64), nullable=False, comment="SHA-256 of what it says: the same thing twice is one event"
        ),
        sa.Column("details", sa.Text(), nullable=False, comment="JSON; never a token"),
        sa.ForeignKeyConstraint(
            ["billing_source", "billing_number"],
            ["bill.billing_source", "bill.billing_number"],
            name="fk_bill_event_bill",
        ),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notification.notification_id"], name=op.f("fk_bill_event_notification_id")
        ),
        sa.PrimaryKeyConstraint("bill_event_id", name=op.f("pk_bill_event")),
        sa.UniqueConstraint("billing_source", "billing_number", "kind", "matter", name="uq_bill_event_matter"),
        comment="What happened to bills, in order; only appended.",
    )
    op.create_table(
        "bill_testimony",
        sa.Column("testimony_id", Id, nullable=False),
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column(
            "reference",
            Key(64),
            nullable=True,
            comment="DOKU's reference of the transaction; null: said of an expected charge",
        ),
        sa.Column("billing_number", Key(200), nullable=False, comment="As the witness says it"),
        sa.Column(
            "expected_on", sa.Date(), nullable=True, comment="The expected charge that was asked about; null: none was"
        ),
        sa.Column("witness", Key(20), nullable=False, comment="notification, status, person, rule"),
        sa.Column("status", Key(10), nullable=False, comment="By the codes of that time; judged by those of today"),
        sa.Column(
            "word",
            Key(20),
            nullable=True,
            comment="DOKU's word beside the code, as it came: SUCCESS, FAILED, VOIDED, ...",
        ),
        sa.Column("succeeded", sa.Boolean(), nullable=True, comment="What that word says; null: nothing"),
        sa.Column("response_code", Key(10), nullable=True),
        sa.Column("response_message", sa.Text(), nullable=True),
        sa.Column("approval_code", Key(40), nullable=True),
        sa.Column("customer_id", Key(200), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True, comment="Smallest units; null: it does not say"),
        sa.Column("currency", Key(3), nullable=False),
        sa.Column("charged_on", sa.Date(), nullable=True, comment="The local day; null: it does not say"),
        sa.Column("masked_card", Key(30), nullable=True),
        sa.Column("bank", sa.String(length=60), nullable=True),
        sa.Column("said_by", Key(100), nullable=False, comment="DOKU, a person, or the rule"),
        sa.Column("said_at", UtcDateTime(), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True, comment="What shows it, in words"),
        sa.Column(
            "confirmed_by", Key(100), nullable=True, comment="The second pair of eyes, where the profile asks for one"
        ),
        sa.Column(
            "matter", Key(64), nullable=False, comment="SHA-256 of what it says: the same thing twice is one row"
        ),
        sa.CheckConstraint(
            "(witness = 'notification') = (notification_id IS NOT NULL)",
            name=op.f("ck_bill_testimony_notification_is_named"),
        ),
        sa.CheckConstraint(
            "status IN ('unknown', 'withdrawn', 'declined', 'paid', 'reversed')",
            name=op.f("ck_bill_testimony_status_known"),
        ),
        sa.CheckConstraint("confirmed_by <> said_by", name=op.f("ck_bill_testimony_another_person")),
        sa.CheckConstraint(
            "reference IS NOT NULL OR expected_on IS NOT NULL", name=op.f("ck_bill_testimony_about_something")
        ),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notification.notification_id"], name=op.f("fk_bill_testimony_notification_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_bill_testimony_run_id")),
        sa.PrimaryKeyConstraint("testimony_id", name=op.f("pk_bill_testimony")),
        sa.UniqueConstraint("profile", "matter", name="uq_bill_testimony_matter"),
        comment="What was said of DOKU's transactions for bills; only appended. Attempts and outcomes are made of it.",
    )
    op.create_index(
        "ix_bill_testimony_charge", "bill_testimony", ["profile", "billing_number", "expected_on"], unique=False
    )
    op.create_index("ix_bill_testimony_reference", "bill_testimony", ["profile", "reference"], unique=False)
    op.create_index("ix_bill_testimony_run", "bill_testimony", ["run_id"], unique=False)
    op.create_table(
        "registration_line",
        sa.Column("file_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("billing_source", Key(40), nullable=False),
        sa.Column("billing_number", Key(200), nullable=False),
        sa.Column("terms_digest", Key(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["billing_source", "billing_number"],
            ["bill.billing_source", "bill.billing_number"],
            name="fk_registration_line_bill",
        ),
        sa.ForeignKeyConstraint(["file_id"], ["registration_file.file_id"], name=op.f("fk_registration_line_file_id")),
        sa.PrimaryKeyConstraint("file_id", "line_no", name=op.f("pk_registration_line")),
        comment="Which bills a file registers, and with which terms.",
    )
    op.create_index(
        "ix_registration_line_bill", "registration_line", ["billing_source", "billing_number"], unique=False
    )
    op.create_table(
        "bill_outcome",
        sa.Column("profile", Key(40), nullable=False),
        sa.Column("reference", Key(64), nullable=False),
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
        sa.Column("amount", sa.BigInteger(), nullable=True, comment="As the witness says it"),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("witness", Key(20), nullable=False, comment="notification, status, person, rule"),
        sa.Column("testimony_id", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=True, comment="What shows it, in words"),
        sa.CheckConstraint(
            "status IN ('unknown', 'withdrawn', 'declined', 'paid', 'reversed')",
            name=op.f("ck_bill_outcome_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["profile", "reference"], ["bill_attempt.profile", "bill_attempt.reference"], name="fk_bill_outcome_attempt"
        ),
        sa.ForeignKeyConstraint(
            ["testimony_id"], ["bill_testimony.testimony_id"], name=op.f("fk_bill_outcome_testimony_id")
        ),
        sa.PrimaryKeyConstraint("profile", "reference", "status", name=op.f("pk_bill_outcome")),
        comment="What became of DOKU's transactions; made of what was said. The strongest is the one it has.",
    )
    op.add_column(
        "batch",
        sa.Column(
            "file_removed_at",
            UtcDateTime(),
            nullable=True,
            comment="Housekeeping removed the kept envelope; its digests stay",
        ),
    )
    op.add_column(
        "batch",
        sa.Column(
            "tokens_removed_at", UtcDateTime(), nullable=True, comment="Housekeeping removed the tokens of its attempts"
        ),
    )
    op.add_column(
        "report_file",
        sa.Column(
            "file_removed_at",
            UtcDateTime(),
            nullable=True,
            comment="Housekeeping removed the kept file; its digest stays",
        ),
    )
