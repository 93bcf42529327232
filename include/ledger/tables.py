"""The ledger's tables and the promises that they hold by themselves.

Rows are appended; what changes (states, times) is kept out of indexes. Amounts are integers in the currency's smallest
unit in use, moments are UTC, business and execute dates are the profile's local days.

The promise "no charge is collected twice" (design §5.1) is these three together:
`attempt` is unique on (billing_source, charge_id, attempt_no); attempt n > 1 names attempt n-1 of the same charge
(check constraint on the invoice numbers) and an outcome of it that is declined or withdrawn (foreign key to `outcome`).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from include.domain.states import (
    STRENGTH,
    BatchState,
    BreakKind,
    BreakState,
    Fate,
    LineClass,
    NextAction,
    OutcomeStatus,
    ProposalState,
    ReportState,
    RunKind,
    RunState,
)
from include.ledger.metadata import metadata, of_many_rows, one_of
from include.ledger.types import Id, Key, UtcDateTime

ledger = Table(
    "ledger",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("ledger_id", Key(36), nullable=False, comment="UUID; written beside every claim in the billing database"),
    Column("environment", Key(10), nullable=False, comment="sandbox or production, for good"),
    Column("fingerprint_key", Key(64), nullable=False, comment="Keys the fingerprints of tokens; it never leaves here"),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("one = 1", name="only_one"),
    comment="Which ledger this is: it belongs to one environment.",
)

layout = Table(
    "layout",
    metadata,
    Column("digest", Key(64), primary_key=True, comment="SHA-256 of the text, hex"),
    Column("name", Key(60), nullable=False),
    Column("kind", Key(10), nullable=False),
    Column("text", Text, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    comment="The layouts that batch files and reports were written in, whole, so that old ones stay readable.",
)

run = Table(
    "run",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("kind", Key(10), nullable=False),
    Column("profile", Key(40), nullable=False),
    Column("external_id", Key(320), nullable=False, comment="Airflow's run id and what was asked of it"),
    Column("business_date", Date, nullable=False, comment="Fixed here once, whatever is cleared or retried later"),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("past", Boolean, nullable=False, comment="The business date was over when the run was opened"),
    Column("send_past_total", BigInteger, comment="The total (smallest units) that may go out for a past date"),
    Column("send_past_after", Date, comment="Charges due by this day belong to an earlier date that send_past names"),
    Column("started_by", Key(100), comment="Who started it by hand; null: the schedule, so nobody"),
    Column("state", Key(10), nullable=False),
    Column("closed_at", UtcDateTime),
    UniqueConstraint("kind", "profile", "external_id"),
    one_of("kind", RunKind),
    one_of("state", RunState),
    comment="Runs of the DAGs (and of the command line).",
)

batch = Table(
    "batch",
    metadata,
    Column("batch_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("billing_source", Key(40), nullable=False),
    Column("run_id", BigInteger, ForeignKey("run.run_id"), nullable=False, index=True),
    Column("merchant", Key(30), nullable=False, comment="As it stands in the file and in its name"),
    Column("business_date", Date, nullable=False),
    Column("sequence", Integer, nullable=False, comment="1, 2, ... within profile and business date"),
    Column("execute_date", Date, nullable=False),
    Column("currency", Key(3), nullable=False),
    Column("file_name", Key(100), nullable=False),
    Column("remote_folder", Key(300), nullable=False, comment="SFTP connection id and folder"),
    Column("layout_digest", Key(64), ForeignKey("layout.digest"), nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("total_amount", BigInteger, nullable=False),
    Column("withdrawn_count", Integer, nullable=False, default=0, comment="Of line_count: withdrawn one by one"),
    Column("withdrawn_amount", BigInteger, nullable=False, default=0),
    Column("state", Key(12), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("looked_at", UtcDateTime, comment="When its charges were last compared with the view"),
    Column("plaintext_digest", Key(64)),
    Column("plaintext_size", BigInteger),
    Column("envelope_digest", Key(64)),
    Column("envelope_size", BigInteger),
    Column("key_fingerprint", Key(60), comment="DOKU's public key that the envelope was sealed with"),
    Column("artefact", Text, comment="Where the envelope is kept, relative to the artefact store"),
    Column("claims_written_at", UtcDateTime, comment="The claims stand in doku_charge_outcomes since"),
    Column("withdrawal_written_at", UtcDateTime, comment="The withdrawal stands there since"),
    Column("delivery_try", Key(32), comment="Whose delivery it is: only that try may rename"),
    Column("delivered_at", UtcDateTime),
    Column("reconciled_at", UtcDateTime),
    Column("file_removed_at", UtcDateTime, comment="Housekeeping removed the kept envelope; its digests stay"),
    Column("tokens_removed_at", UtcDateTime, comment="Housekeeping removed the tokens of its attempts"),
    CheckConstraint("line_count > 0", name="not_empty"),
    UniqueConstraint("remote_folder", "file_name"),
    UniqueConstraint("profile", "business_date", "sequence", name="uq_batch_sequence"),
    one_of("state", BatchState),
    Index("ix_batch_open", "profile", "state"),
    comment="Batch files, one row each.",
)

event = Table(
    "event",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="1, 2, ... without a gap"),
    Column(
        "kind", Key(20), nullable=False, comment="batch, or a person's decision: hold, release, cancel, approval, ..."
    ),
    Column("subject", Key(250), nullable=False, comment="What it is about: a batch file, a charge, a run, ..."),
    Column("batch_id", BigInteger, ForeignKey("batch.batch_id")),
    Column("batch_event_no", Integer, comment="1, 2, ... of the batch: two workers cannot both write n"),
    Column("state", Key(12), comment="The state that the batch entered"),
    Column("at", UtcDateTime, nullable=False),
    Column("run_id", BigInteger, ForeignKey("run.run_id")),
    Column("actor", Key(100), nullable=False, comment="A person, or the flow that did it"),
    Column("details", Text, nullable=False, comment="JSON: figures, names and digests; never a token"),
    Column("previous_hash", Key(64), nullable=False, comment="hash of the event before; of the first: 64 zeros"),
    Column("hash", Key(64), nullable=False, comment="SHA-256 over all columns before it (include.ledger.chain)"),
    UniqueConstraint("batch_id", "batch_event_no", name="uq_event_batch"),
    CheckConstraint("(batch_id IS NULL) = (state IS NULL)", name="state_of_batch"),
    comment="What happened to batches and what people decided, in order; only appended, each sealed to the one before.",
)

_FOLLOWS: Final = text("previous_invoice_number IS NOT NULL")

attempt = Table(
    "attempt",
    metadata,
    Column("invoice_number", Key(64), primary_key=True),
    Column("billing_source", Key(40), nullable=False),
    Column("charge_id", Key(200), nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("previous_invoice_number", Key(64)),
    Column("previous_status", Key(10), comment="The outcome that allowed this attempt"),
    Column("profile", Key(40), nullable=False),
    Column("batch_id", BigInteger, of_many_rows("batch.batch_id"), nullable=False),
    Column("line_no", Integer, nullable=False, comment="1, 2, ... within the batch"),
    Column("customer_id", Key(200), nullable=False),
    Column("billing_number", Key(200)),
    Column("token", Key(500), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Key(3), nullable=False),
    Column("due_date", Date, nullable=False),
    Column("execute_date", Date, nullable=False),
    Column("channel", String(200)),
    Column("description", Text),
    Column("network", String(50)),
    Column(
        "token_fingerprint", Key(32), comment="HMAC-SHA256 of the token, cut to 128 bits, hex: it outlives the token"
    ),
    Column("billing_period", Key(40), comment="The view's, or the month of the due date: 2026-11"),
    Column(
        "rule",
        Key(40),
        nullable=False,
        comment="Why this attempt was made: first, planned, after_change, new_instrument, merchant_asked, "
        "after_withdrawal, ...",
    ),
    UniqueConstraint("billing_source", "charge_id", "attempt_no", name="uq_attempt_claim"),
    UniqueConstraint("batch_id", "line_no", name="uq_attempt_line"),
    ForeignKeyConstraint(
        ["previous_invoice_number", "previous_status"],
        ["outcome.invoice_number", "outcome.status"],
        name="fk_attempt_previous_outcome",
        use_alter=True,
    ),
    CheckConstraint("attempt_no >= 1", name="counted_from_one"),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("(attempt_no = 1) = (previous_invoice_number IS NULL)", name="first_or_follows"),
    CheckConstraint("(previous_invoice_number IS NULL) = (previous_status IS NULL)", name="previous_whole"),
    CheckConstraint("previous_status IN ('declined', 'withdrawn')", name="previous_frees"),
    CheckConstraint(
        "previous_invoice_number IS NULL OR ("
        "substr(previous_invoice_number, 1, 18) = substr(invoice_number, 1, 18) "
        "AND CAST(substr(previous_invoice_number, 19) AS INTEGER) = attempt_no - 1)",
        name="previous_same_charge",
    ),
    CheckConstraint("CAST(substr(invoice_number, 19) AS INTEGER) = attempt_no", name="number_in_invoice"),
    Index("ix_attempt_later", "profile", postgresql_where=text("attempt_no > 1"), sqlite_where=text("attempt_no > 1")),
    # At random places, and looked up by equality only: a hash takes a third of the time to write.
    Index("ix_attempt_token", "token_fingerprint", postgresql_using="hash"),
    Index("ix_attempt_period", "billing_number", "billing_period"),
    Index("ix_attempt_previous", "previous_invoice_number", sqlite_where=_FOLLOWS, postgresql_where=_FOLLOWS),
    comment="Tries at collecting a charge: the claim. At most one per charge is live.",
)

_STRENGTH_OF: Final = " ".join(f"WHEN '{status}' THEN {strength}" for status, strength in STRENGTH.items())

_UNKNOWN: Final = text("status = 'unknown'")
_BY_WORD: Final = text("witness <> 'report' AND status IN ('declined', 'paid', 'reversed')")
_UNTOLD: Final = text("told_at IS NULL AND report_id IS NULL")
_SETUP: Final = text("action = 'merchant_setup'")

outcome = Table(
    "outcome",
    metadata,
    Column("invoice_number", Key(64), of_many_rows("attempt.invoice_number"), primary_key=True),
    Column("status", Key(10), primary_key=True),
    Column("strength", Integer, Computed(f"CASE status {_STRENGTH_OF} END", persisted=True), comment="states.STRENGTH"),
    Column("response_code", Key(10)),
    Column("response_message", Text),
    Column("approval_code", Key(40)),
    Column("masked_card", Key(30)),
    Column("bank", String(60)),
    Column("amount", BigInteger, comment="As the witness says it; books count the attempt's amount"),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("witness", Key(20), nullable=False, comment="report, delivery, person, status, notification"),
    Column("report_id", BigInteger, of_many_rows("report_file.report_id")),
    Column("report_line_no", Integer),
    Column("proof", Text, comment="What shows it, in words"),
    one_of("status", OutcomeStatus),
    CheckConstraint("(witness = 'report') = (report_id IS NOT NULL)", name="report_is_named"),
    Index("ix_outcome_by_word", "invoice_number", sqlite_where=_BY_WORD, postgresql_where=_BY_WORD),
    Index("ix_outcome_unknown", "invoice_number", sqlite_where=_UNKNOWN, postgresql_where=_UNKNOWN),
    comment="Witnessed outcomes; only appended. The strongest of an attempt's is the one it has.",
)

next_attempt = Table(
    "next_attempt",
    metadata,
    Column(
        "invoice_number", Key(64), of_many_rows("attempt.invoice_number"), primary_key=True, comment="Of the declined"
    ),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="1, 2, ...: the highest one counts"),
    Column("action", Key(20), nullable=False),
    Column("planned_on", Date, comment="The execute date that is planned; not before it"),
    Column("pay_day", Boolean, nullable=False, comment="Only on a pay day"),
    Column("rule", Key(60), nullable=False, comment="Of retry_rules.toml, a setting of [retry], or what happened"),
    Column("words", Text, nullable=False, comment="Why, for a person"),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("decided_by", Key(100), comment="A person; null: the rule"),
    Column("run_id", BigInteger, of_many_rows("run.run_id")),
    Column("told_at", UtcDateTime, comment="doku_charge_outcomes says so since"),
    Column(
        "report_id",
        BigInteger,
        of_many_rows("report_file.report_id"),
        comment="Of the report whose telling tells it too; null: it is told by itself",
    ),
    one_of("action", NextAction),
    CheckConstraint("action <> 'retry' OR planned_on IS NOT NULL", name="retry_has_a_day"),
    Index("ix_next_attempt_planned", "planned_on"),
    Index("ix_next_attempt_untold", "invoice_number", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    Index("ix_next_attempt_setup", "invoice_number", sqlite_where=_SETUP, postgresql_where=_SETUP),
    comment="What was decided after each declined attempt; a later decision is a row of its own.",
)

stopped_instrument = Table(
    "stopped_instrument",
    metadata,
    Column("token_fingerprint", Key(32), primary_key=True),
    Column("invoice_number", Key(64), ForeignKey("attempt.invoice_number"), nullable=False),
    Column("rule", Key(60), nullable=False),
    Column("words", Text, nullable=False),
    Column("stopped_at", UtcDateTime, nullable=False),
    comment="Cards and accounts that are never charged again, whoever asks.",
)

ended_mandate = Table(
    "ended_mandate",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("customer_id", Key(200), primary_key=True),
    Column("billing_number", Key(200), primary_key=True, comment="Empty where the charge had none"),
    Column("invoice_number", Key(64), ForeignKey("attempt.invoice_number"), nullable=False),
    Column("rule", Key(60), nullable=False),
    Column("words", Text, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    comment="Agreements that the customer revoked: nothing is charged under them any more.",
)

run_charge = Table(
    "run_charge",
    metadata,
    Column("run_id", BigInteger, of_many_rows("run.run_id"), primary_key=True, autoincrement=False),
    Column("row_no", BigInteger, primary_key=True, autoincrement=False),
    Column("charge_id", Key(200), nullable=False, index=True),
    Column("customer_id", Key(200)),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Key(20)),
    Column("fate", Key(10), nullable=False),
    Column("reason", Key(40), nullable=False),
    one_of("fate", Fate),
    comment="Listed charges that a run neither sent nor quarantined, and why.",
)

quarantined_charge = Table(
    "quarantined_charge",
    metadata,
    Column("run_id", BigInteger, ForeignKey("run.run_id"), primary_key=True, autoincrement=False),
    Column("row_no", BigInteger, primary_key=True, autoincrement=False),
    Column("billing_source", Key(40), nullable=False),
    Column("charge_id", Text, comment="As it was read; card numbers masked"),
    Column("customer_id", Text),
    Column("billing_number", Text),
    Column("amount", BigInteger, nullable=False, comment="0 where it could not be read"),
    Column("currency", Text),
    Column("due_date", Date),
    Column("reasons", Text, nullable=False, comment='All of them: "field:reason;field:reason"'),
    Index("ix_quarantined_charge_charge", "billing_source", "charge_id"),
    comment="Charges that failed validation in a run. Never holds a token.",
)

hold = Table(
    "hold",
    metadata,
    Column("hold_id", Id, primary_key=True),
    Column("billing_source", Key(40), nullable=False),
    Column("scope", Key(10), nullable=False),
    Column(
        "subject", Key(200), nullable=False, comment="A charge id, a customer id, a batch file's name or a profile's"
    ),
    Column("profile", Key(40), nullable=False, comment="In whose trail it stands"),
    Column("placed_by", Key(100), nullable=False),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("released_by", Key(100)),
    Column("released_at", UtcDateTime),
    Column("release_reason", Text),
    CheckConstraint("scope IN ('charge', 'customer', 'batch', 'profile')", name="scope_known"),
    CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="released_whole"),
    Index("ix_hold_subject", "billing_source", "scope", "subject"),
    comment="Not now: a charge, a customer, a batch or a whole profile, by whom and why.",
)

event_head = Table(
    "event_head",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Key(64), nullable=False),
    comment="The last event of each profile, so that a cut-off end shows; manifests carry it too.",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("charge_id", Key(200), primary_key=True),
    Column("state", Key(10), nullable=False),
    Column("profile", Key(40), nullable=False),
    Column("reasons", Text, nullable=False, comment="Of the last run that rejected it"),
    Column("first_run_id", BigInteger, ForeignKey("run.run_id"), nullable=False),
    Column("last_run_id", BigInteger, ForeignKey("run.run_id"), nullable=False),
    Column("released_by", Key(100), comment="A person, or `mended` where the profile releases mended charges itself"),
    Column("released_at", UtcDateTime),
    Column("release_reason", Text),
    CheckConstraint("state IN ('open', 'released')", name="state_known"),
    comment="Quarantined charges as matters: open until released. A released one is checked again, not waved through.",
)

closed_charge = Table(
    "closed_charge",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("charge_id", Key(200), primary_key=True),
    Column("profile", Key(40), nullable=False, comment="In whose trail it stands"),
    Column("reason", Key(40), nullable=False, comment="cancelled, ...: no further attempt is made"),
    Column("closed_by", Key(100), nullable=False),
    Column("closed_at", UtcDateTime, nullable=False),
    Column("words", Text, nullable=False, comment="Why, in the person's words"),
    Column("amount", BigInteger, comment="As it was last listed; a listed charge that differs is quarantined"),
    Column("due_date", Date),
    Column("customer_id", Key(200)),
    comment="Charges that get no further attempt, by whom and why.",
)

brake = Table(
    "brake",
    metadata,
    Column("run_id", BigInteger, ForeignKey("run.run_id"), primary_key=True, autoincrement=False),
    Column("plaintext_digest", Key(64), primary_key=True, comment="SHA-256 over the plaintext digests of the batches"),
    Column("kind", Key(30), primary_key=True, comment="Which brake; `none` for a run that passed them all"),
    Column("count", Integer, nullable=False, comment="Of what would be sent"),
    Column("total", BigInteger, nullable=False),
    Column("words", Text, nullable=False, comment="The figure and the limit"),
    Column("pulled_at", UtcDateTime, nullable=False),
    comment="What stopped a run before delivery, judged once its batches were sealed.",
)

approval = Table(
    "approval",
    metadata,
    Column("run_id", BigInteger, ForeignKey("run.run_id"), primary_key=True, autoincrement=False),
    Column("plaintext_digest", Key(64), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("answer", Key(10), nullable=False),
    Column("answered_by", Key(100), nullable=False),
    Column("answered_at", UtcDateTime, nullable=False),
    Column("words", Text, nullable=False),
    CheckConstraint("answer IN ('approved', 'refused')", name="answer_known"),
    comment="A person's answer to the brakes of a run; it holds for exactly that count, total and content.",
)

report_file = Table(
    "report_file",
    metadata,
    Column("report_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("file_name", Key(255), nullable=False, comment="The name it was first seen under"),
    Column("content_digest", Key(64), nullable=False, comment="SHA-256 of the bytes as fetched"),
    Column("size", BigInteger, nullable=False),
    Column("artefact", Text, nullable=False),
    Column("state", Key(12), nullable=False),
    Column("layout_digest", Key(64), ForeignKey("layout.digest")),
    Column("line_count", Integer),
    Column("total_amount", BigInteger),
    Column("batch_name", Key(100), comment="The batch file that it says it answers, if it says so"),
    Column("part", Integer, comment="1, 2, ... where it says that it is one of several"),
    Column("parts", Integer, comment="Of how many; all of them together are complete"),
    Column("refused_reason", Text),
    Column("fetched_at", UtcDateTime, nullable=False),
    Column("ingested_at", UtcDateTime),
    Column("planned_at", UtcDateTime, comment="What comes next is decided for all that it declined"),
    Column("written_back_at", UtcDateTime),
    Column("file_removed_at", UtcDateTime, comment="Housekeeping removed the kept file; its digest stays"),
    Column("readings", Integer, nullable=False, server_default="1", comment="How many times it was taken in"),
    Column(
        "judged_at", UtcDateTime, comment="What several attempts of its charges are to one another was judged since"
    ),
    UniqueConstraint("profile", "content_digest"),
    one_of("state", ReportState),
    Index("ix_report_file_state", "profile", "state"),
    comment="DOKU's reports, once by their content.",
)

report_sighting = Table(
    "report_sighting",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("folder", Key(300), primary_key=True),
    Column("file_name", Key(255), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("modified", BigInteger, primary_key=True, autoincrement=False, comment="The server's mtime, seconds"),
    Column("report_id", BigInteger, ForeignKey("report_file.report_id"), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    comment="Listed files that were fetched before, so that a listing alone recognises them.",
)

report_line = Table(
    "report_line",
    metadata,
    Column("report_id", BigInteger, of_many_rows("report_file.report_id"), primary_key=True, autoincrement=False),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    Column("invoice_number", Key(64), nullable=False, index=True),
    Column("amount", BigInteger),
    Column("currency", Key(3)),
    Column("response_code", Key(10), nullable=False),
    Column("response_message", Text),
    Column("approval_code", Key(40)),
    Column("masked_card", Key(30)),
    Column("bank", String(60)),
    Column("channel", String(60)),
    Column("network", String(50)),
    Column("advice_code", Key(10)),
    Column("status", Key(10), nullable=False, comment="paid, declined, unknown or reversed, by the code"),
    Column("line_class", Key(16), nullable=False),
    one_of("line_class", LineClass),
    comment="Each line of each report and the one class it ended in; only appended.",
)

report_batch = Table(
    "report_batch",
    metadata,
    Column("report_id", BigInteger, ForeignKey("report_file.report_id"), primary_key=True, autoincrement=False),
    Column("batch_id", BigInteger, ForeignKey("batch.batch_id"), primary_key=True, autoincrement=False, index=True),
    comment="Which batches the lines of a report tie to",
)

testimony = Table(
    "testimony",
    metadata,
    Column("testimony_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("invoice_number", Key(64), ForeignKey("attempt.invoice_number"), nullable=False, index=True),
    Column("witness", Key(20), nullable=False, comment="person, status, notification; never report"),
    Column("status", Key(10), nullable=False),
    Column("amount", BigInteger, comment="As the witness says it, if it does"),
    Column("said_by", Key(100), nullable=False, comment="The person, or the flow that asked"),
    Column("said_at", UtcDateTime, nullable=False),
    Column("evidence", Text, nullable=False, comment="What shows it, in words"),
    Column("confirmed_by", Key(100), comment="The second pair of eyes, where the profile asks for one"),
    Column("told_at", UtcDateTime, comment="The merchant was told of what it decided since"),
    CheckConstraint("witness <> 'report'", name="no_report"),
    CheckConstraint("confirmed_by <> said_by", name="another_person"),
    one_of("status", OutcomeStatus),
    comment="What witnesses other than reports say of an attempt, kept apart from the reports; only appended.",
)

proposal = Table(
    "proposal",
    metadata,
    Column("proposal_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("operation", Key(30), nullable=False),
    Column("subject", Key(250), nullable=False, comment="What it is about: an invoice number, a charge"),
    Column("about", Text, nullable=False, comment="JSON: what was asked for, whole"),
    Column("effect", Text, nullable=False, comment="What it would do, as it was shown"),
    Column("why", Text, nullable=False),
    Column("proposed_by", Key(100), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("state", Key(10), nullable=False),
    Column("answered_by", Key(100)),
    Column("answered_at", UtcDateTime),
    CheckConstraint("state <> 'confirmed' OR answered_by <> proposed_by", name="four_eyes"),
    CheckConstraint("(state = 'open') = (answered_by IS NULL)", name="answered_whole"),
    one_of("state", ProposalState),
    Index(
        "uq_proposal_open",
        "profile",
        "operation",
        "subject",
        unique=True,
        postgresql_where=text("state = 'open'"),
        sqlite_where=text("state = 'open'"),
    ),
    comment="Decisions that a second person has to confirm before they have any effect.",
)

recon_break = Table(
    "recon_break",
    metadata,
    Column("break_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("kind", Key(30), nullable=False),
    Column("subject", Key(200), nullable=False, comment="What it is about, so that it is opened once"),
    Column("invoice_number", Key(64), index=True),
    Column("amount", BigInteger, nullable=False, comment="The difference, or the amount at stake"),
    Column("details", Text, nullable=False, comment="In words, with both sides"),
    Column("state", Key(10), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("explained_by", Key(100)),
    Column("explained_at", UtcDateTime),
    Column("explanation", Text),
    Column("closed_by", Key(100), comment="A person, or `rule` where what was missing came"),
    Column("closed_at", UtcDateTime),
    Column("closed_reason", Text),
    Column("booked", BigInteger, comment="The difference that stays in the books of a resolved break"),
    UniqueConstraint("profile", "kind", "subject", name="uq_recon_break_subject"),
    CheckConstraint("(state = 'resolved') = (closed_by IS NOT NULL)", name="closed_whole"),
    CheckConstraint("state <> 'explained' OR explained_by IS NOT NULL", name="explained_whole"),
    CheckConstraint(
        "booked IS NULL OR (kind IN ('amount_differs', 'partial_approval') AND state = 'resolved')",
        name="booked_difference",
    ),
    one_of("kind", BreakKind),
    one_of("state", BreakState),
    Index("ix_recon_break_state", "profile", "state"),
    comment="What reconciliation could not tie: open, explained, resolved; by whom and why.",
)

run_balance = Table(
    "run_balance",
    metadata,
    Column("run_id", BigInteger, ForeignKey("run.run_id"), primary_key=True, autoincrement=False),
    Column("batch_id", BigInteger, primary_key=True, autoincrement=False, comment="0: the whole run"),
    Column("currency", Key(20), primary_key=True),
    Column("term", Key(20), primary_key=True, comment="rows, settled, due, sent, ... (design, promise 2)"),
    Column("detail", Key(200), primary_key=True, comment="A reason or a code; empty: the term's sum"),
    Column("count", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    comment="The books of each run and batch, as they were when the run was closed.",
)

summary = Table(
    "summary",
    metadata,
    Column("summary_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("run_id", BigInteger, ForeignKey("run.run_id"), nullable=False, comment="The reconciliation that made it"),
    Column("figures_digest", Key(64), nullable=False, comment="SHA-256 of the figures; the same ones make no new page"),
    Column("figures", Text, nullable=False, comment="JSON: everything that the page says; no charge, no token"),
    Column("page", Text, nullable=False, comment="Where the HTML page is kept, relative to the artefact store"),
    Column("page_digest", Key(64), nullable=False),
    Column("sheet", Text, nullable=False, comment="Where the CSV file is kept"),
    Column("sheet_digest", Key(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    UniqueConstraint("profile", "business_date", "run_id", name="uq_summary_day"),
    comment="Summaries of a business date for people, each as it was after a reconciliation.",
)

expectation = Table(
    "expectation",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("stage", Key(20), primary_key=True, comment="sent, acknowledged, reported, ... (include.domain.watch)"),
    Column("subject", Key(255), primary_key=True, comment="A batch file, a run, a report, a server"),
    Column("expected_by", UtcDateTime, nullable=False, comment="Fixed once, by the profile's settings of that moment"),
    Column("set_at", UtcDateTime, nullable=False),
    Column("met_at", UtcDateTime, comment="When the watchdog first saw that it was reached"),
    Index("ix_expectation_open", "profile", "met_at"),
    comment="By when each stage has to be reached; set, judged and met by the watchdog.",
)

alert = Table(
    "alert",
    metadata,
    Column("alert_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("kind", Key(30), nullable=False, comment="What is wrong (include.domain.watch)"),
    Column("subject", Key(255), nullable=False, comment="What it is about"),
    Column("episode", Integer, nullable=False, comment="1, 2, ...: it was over in between"),
    Column("level", Integer, nullable=False, comment="1 late, 2 urgent, 3 critical; only rises"),
    Column("late_since", UtcDateTime, nullable=False),
    Column("words", Text, nullable=False, comment="The fact, as it was last seen"),
    Column("action", Text, nullable=False, comment="The safe thing to do now"),
    Column("runbook", Key(100), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False, comment="When it came to its level"),
    Column("cleared_at", UtcDateTime, comment="When the watchdog saw that it was over"),
    UniqueConstraint("profile", "kind", "subject", "episode", name="uq_alert_matter"),
    CheckConstraint("level BETWEEN 1 AND 3", name="level_known"),
    Index("ix_alert_open", "profile", "cleared_at"),
    comment="What the watchdog found: one open row for each matter, however often it looks.",
)

alert_notice = Table(
    "alert_notice",
    metadata,
    Column("alert_id", BigInteger, ForeignKey("alert.alert_id"), primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False, comment="0: it is over"),
    Column("channel", Key(200), primary_key=True, comment="Connection id of the mail server or webhook"),
    Column("made_at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime, comment="A watchdog is sending it since; the other one leaves it alone"),
    Column("sent_at", UtcDateTime),
    Column("failure", Text, comment="Why the last try to send it failed"),
    CheckConstraint("level BETWEEN 0 AND 3", name="level_known"),
    comment="What people are told of an alert: once for each level and channel.",
)

watch_look = Table(
    "watch_look",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("watcher", Key(20), primary_key=True, comment="airflow (doku_watchdog) or outside (the command line)"),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    comment="When the watchdogs looked: each notices when the other has fallen silent.",
)
