"""The ledger's tables of Recurring: bills, what is expected of them and what DOKU charged; and customers' tokens.

DOKU makes these charges, so nothing here can refuse one: what must not have happened becomes a break. An expected
charge is known by (billing_source, billing_number, expected_on), its attempts by DOKU's own reference.
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

from include.domain.states import STRENGTH, BillState, OutcomeStatus, ScheduleKind, TokenChoice, TokenState
from include.ledger.metadata import metadata, one_of
from include.ledger.types import Id, Key, UtcDateTime

_BILL: Final = ["bill.billing_source", "bill.billing_number"]

bill = Table(
    "bill",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("billing_number", Key(200), primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("customer_id", Key(200), nullable=False),
    Column("amount", BigInteger, comment="Smallest units; null: it varies, and DOKU asks for it"),
    Column("currency", Key(3), nullable=False),
    Column("schedule", Key(10), nullable=False),
    Column("schedule_on", Text, nullable=False, comment="day: MON..SUN; date: 1..28; dates: days, by comma"),
    Column("months", Text, comment="JAN..DEC, by comma; null: every month"),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, comment="The last day; null: until it is cancelled"),
    Column("description", Text),
    Column("terms_digest", Key(64), nullable=False, comment="SHA-256 of what the merchant wants, as last seen"),
    Column("state", Key(10), nullable=False),
    Column("asked_by", Key(10), comment="link or bulk"),
    Column("request_id", Key(128), comment="Of the last call about it; the same for every try of that call"),
    Column("checkout_url", Text, comment="Where the customer registers the card"),
    Column("token", Key(500)),
    Column("token_fingerprint", Key(32)),
    Column("masked_card", Key(30)),
    Column("asked_at", UtcDateTime),
    Column("registered_at", UtcDateTime),
    Column("over_at", UtcDateTime, comment="When it was refused, cancelled or ended"),
    Column("told_at", UtcDateTime, comment="The merchant's table says all this since; null: not yet"),
    CheckConstraint("amount > 0", name="positive"),
    one_of("schedule", ScheduleKind),
    one_of("state", BillState),
    Index("ix_bill_state", "profile", "state"),
    comment="The register of bills: recurring agreements at DOKU, as they are now.",
)

bill_event = Table(
    "bill_event",
    metadata,
    Column("bill_event_id", Id, primary_key=True),
    Column("billing_source", Key(40), nullable=False),
    Column("billing_number", Key(200), nullable=False),
    Column("kind", Key(30), nullable=False, comment="wanted, asked, registered, refused, card_updated, ..."),
    Column("at", UtcDateTime, nullable=False),
    Column("said_by", Key(100), nullable=False, comment="DOKU, a person, the merchant's view, or the flow"),
    Column("notification_id", BigInteger, ForeignKey("notification.notification_id")),
    Column("matter", Key(64), nullable=False, comment="SHA-256 of what it says: the same thing twice is one event"),
    Column("details", Text, nullable=False, comment="JSON; never a token"),
    UniqueConstraint("billing_source", "billing_number", "kind", "matter", name="uq_bill_event_matter"),
    ForeignKeyConstraint(["billing_source", "billing_number"], _BILL, name="fk_bill_event_bill"),
    comment="What happened to bills, in order; only appended.",
)

bill_charge = Table(
    "bill_charge",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("billing_number", Key(200), primary_key=True),
    Column("expected_on", Date, primary_key=True, comment="The local day; with the billing number it is the charge id"),
    Column("profile", Key(40), nullable=False),
    Column("charge_id", Key(220), nullable=False),
    Column("customer_id", Key(200), nullable=False),
    Column("amount", BigInteger, comment="What should be charged; null: it varies and nobody has said it yet"),
    Column("currency", Key(3), nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    UniqueConstraint("billing_source", "charge_id", name="uq_bill_charge_charge"),
    ForeignKeyConstraint(["billing_source", "billing_number"], _BILL, name="fk_bill_charge_bill"),
    Index("ix_bill_charge_day", "profile", "expected_on"),
    comment="Charges that DOKU should make of bills, each on its day.",
)

bill_testimony = Table(
    "bill_testimony",
    metadata,
    Column("testimony_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("billing_source", Key(40), nullable=False),
    Column("reference", Key(64), comment="DOKU's reference of the transaction; null: said of an expected charge"),
    Column("billing_number", Key(200), nullable=False, comment="As the witness says it"),
    Column("expected_on", Date, comment="The expected charge that was asked about; null: none was"),
    Column("witness", Key(20), nullable=False, comment="notification, status, person, rule"),
    Column("status", Key(10), nullable=False, comment="By the codes of that time; judged by those of today"),
    Column("word", Key(20), comment="DOKU's word beside the code, as it came: SUCCESS, FAILED, VOIDED, ..."),
    Column("succeeded", Boolean, comment="What that word says; null: nothing"),
    Column("response_code", Key(10)),
    Column("response_message", Text),
    Column("approval_code", Key(40)),
    Column("customer_id", Key(200)),
    Column("amount", BigInteger, comment="Smallest units; null: it does not say"),
    Column("currency", Key(3), nullable=False),
    Column("charged_on", Date, comment="The local day; null: it does not say"),
    Column("masked_card", Key(30)),
    Column("bank", String(60)),
    Column("said_by", Key(100), nullable=False, comment="DOKU, a person, or the rule"),
    Column("said_at", UtcDateTime, nullable=False),
    Column("kept_at", UtcDateTime, nullable=False),
    Column("notification_id", BigInteger, ForeignKey("notification.notification_id")),
    Column("run_id", BigInteger, ForeignKey("run.run_id")),
    Column("evidence", Text, comment="What shows it, in words"),
    Column("confirmed_by", Key(100), comment="The second pair of eyes, where the profile asks for one"),
    Column("matter", Key(64), nullable=False, comment="SHA-256 of what it says: the same thing twice is one row"),
    UniqueConstraint("profile", "matter", name="uq_bill_testimony_matter"),
    one_of("status", OutcomeStatus),
    CheckConstraint("reference IS NOT NULL OR expected_on IS NOT NULL", name="about_something"),
    CheckConstraint("(witness = 'notification') = (notification_id IS NOT NULL)", name="notification_is_named"),
    CheckConstraint("confirmed_by <> said_by", name="another_person"),
    Index("ix_bill_testimony_reference", "profile", "reference"),
    Index("ix_bill_testimony_charge", "profile", "billing_number", "expected_on"),
    Index("ix_bill_testimony_run", "run_id"),
    comment="What was said of DOKU's transactions for bills; only appended. Attempts and outcomes are made of it.",
)

bill_attempt = Table(
    "bill_attempt",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column(
        "reference", Key(64), primary_key=True, comment="DOKU's own; while only a charge was answered: its charge id"
    ),
    Column("billing_source", Key(40), nullable=False),
    Column("billing_number", Key(200), nullable=False, comment="As DOKU says it"),
    Column("expected_on", Date, comment="The expected charge that it belongs to; null: to none"),
    Column("attempt_no", Integer, comment="1, 2, ... of the expected charge, as they came"),
    Column("customer_id", Key(200)),
    Column("amount", BigInteger, comment="What DOKU charged or tried to; null: it did not say"),
    Column("currency", Key(3), nullable=False),
    Column("charged_on", Date, nullable=False, comment="The local day, as DOKU says it"),
    Column("first_seen_at", UtcDateTime, nullable=False),
    UniqueConstraint("billing_source", "billing_number", "expected_on", "attempt_no", name="uq_bill_attempt_no"),
    ForeignKeyConstraint(
        ["billing_source", "billing_number", "expected_on"],
        ["bill_charge.billing_source", "bill_charge.billing_number", "bill_charge.expected_on"],
        name="fk_bill_attempt_charge",
    ),
    CheckConstraint("(expected_on IS NULL) = (attempt_no IS NULL)", name="counted_where_expected"),
    Index("ix_bill_attempt_bill", "profile", "billing_number", "charged_on"),
    comment="DOKU's transactions for bills, once by their reference; made of what was said of them.",
)

_STRENGTH_OF: Final = " ".join(f"WHEN '{status}' THEN {strength}" for status, strength in STRENGTH.items())

bill_outcome = Table(
    "bill_outcome",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("reference", Key(64), primary_key=True),
    Column("status", Key(10), primary_key=True),
    Column("strength", Integer, Computed(f"CASE status {_STRENGTH_OF} END", persisted=True), comment="states.STRENGTH"),
    Column("response_code", Key(10)),
    Column("response_message", Text),
    Column("approval_code", Key(40)),
    Column("masked_card", Key(30)),
    Column("bank", String(60)),
    Column("amount", BigInteger, comment="As the witness says it"),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("witness", Key(20), nullable=False, comment="notification, status, person, rule"),
    Column("testimony_id", BigInteger, ForeignKey("bill_testimony.testimony_id"), nullable=False),
    Column("proof", Text, comment="What shows it, in words"),
    one_of("status", OutcomeStatus),
    ForeignKeyConstraint(
        ["profile", "reference"], ["bill_attempt.profile", "bill_attempt.reference"], name="fk_bill_outcome_attempt"
    ),
    comment="What became of DOKU's transactions; made of what was said. The strongest is the one it has.",
)

_UNTOLD: Final = text("told_at IS NULL")
_LOST: Final = text("state = 'lost'")

bill_told = Table(
    "bill_told",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("charge_id", Key(220), primary_key=True),
    Column("attempt_no", Integer, primary_key=True, comment="Never given to another transaction"),
    Column("reference", Key(64), nullable=False),
    Column("told_at", UtcDateTime, comment="doku_charge_outcomes says what is known since; null: not yet"),
    UniqueConstraint("profile", "charge_id", "reference", name="uq_bill_told_reference"),
    Index("ix_bill_told_reference", "profile", "reference"),
    Index("ix_bill_told_untold", "profile", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    comment="The rows of doku_charge_outcomes about bills: which number each transaction has in its charge.",
)

amount_question = Table(
    "amount_question",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("billing_number", Key(200), primary_key=True),
    Column("expected_on", Date, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("amount", BigInteger, comment="The first answer, repeated ever after; null: none is known yet"),
    Column("currency", Key(3), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("times", Integer, nullable=False, comment="How often DOKU asked"),
    Column("last_at", UtcDateTime, nullable=False),
    Column("request_id", Key(128), comment="Of the push; the same for every try of it"),
    Column("pushed_at", UtcDateTime, comment="DOKU took the amount that we sent; null: it was not sent, or not taken"),
    CheckConstraint("(amount IS NULL) = (answered_at IS NULL)", name="answered_whole"),
    CheckConstraint("amount > 0", name="positive"),
    comment="DOKU's questions for the amount of a varying bill, and the one answer to each.",
)

customer_token = Table(
    "customer_token",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("profile", Key(40), primary_key=True, comment="Whose account at DOKU gives it"),
    Column("customer_id", Key(200), primary_key=True, comment="As DOKU knows the customer"),
    Column("token_fingerprint", Key(32), primary_key=True),
    Column("token", Key(500), comment="Null once it is lost and housekeeping has removed it"),
    Column("channel", String(200)),
    Column("masked_card", Key(30)),
    Column("network", String(50)),
    Column("state", Key(10), nullable=False),
    Column("chosen", Boolean, nullable=False, comment="The one to charge, by the profile's rule"),
    Column("made_at", UtcDateTime, comment="As DOKU says it"),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False, comment="When the last answer that held it was asked for"),
    Column("lost_at", UtcDateTime),
    Column("told_at", UtcDateTime, comment="The merchant's table says all this since; null: not yet"),
    one_of("state", TokenState),
    CheckConstraint("(state = 'lost') = (lost_at IS NOT NULL)", name="lost_whole"),
    CheckConstraint("state = 'active' OR NOT chosen", name="chosen_alive"),
    Index("ix_customer_token_lost", "token_fingerprint", sqlite_where=_LOST, postgresql_where=_LOST),
    Index("ix_customer_token_untold", "profile", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    comment="Customers' tokens as DOKU gives them.",
)

token_question = Table(
    "token_question",
    metadata,
    Column("billing_source", Key(40), primary_key=True),
    Column("profile", Key(40), primary_key=True),
    Column("customer_id", Key(200), primary_key=True, comment="As DOKU knows the customer"),
    Column("channel", String(200), comment="Which the merchant's view wishes to be charged; null: no wish"),
    Column("masked_card", Key(30), comment="The same"),
    Column("listed_by", BigInteger, ForeignKey("run.run_id"), nullable=False, comment="The last run whose view had it"),
    Column("asked_at", UtcDateTime, comment="The last question"),
    Column("answered_at", UtcDateTime, comment="When the last question that was answered was asked"),
    Column("tokens", Integer, comment="How many that answer held"),
    Column("words", Text, comment="Why the last question has no answer"),
    Column("choice", Key(10), comment="What the profile's rule made of the customer's tokens"),
    one_of("choice", TokenChoice),
    CheckConstraint("(answered_at IS NULL) = (tokens IS NULL)", name="answered_whole"),
    Index("ix_token_question_listed", "listed_by"),
    comment="Customers whose tokens are asked for, and when DOKU last said them.",
)
