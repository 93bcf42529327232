"""The ledger's tables of what goes to and fro over HTTP: the inbox of DOKU's notifications, and what DOKU was asked."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from include.domain.states import NotificationKind, NotificationState
from include.ledger.metadata import metadata, one_of
from include.ledger.types import Id, Key, UtcDateTime

_WAITING = text("state = 'received'")

notification = Table(
    "notification",
    metadata,
    Column("notification_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("kind", Key(20), nullable=False),
    Column("content_digest", Key(64), nullable=False, comment="SHA-256 of the body as received"),
    Column("request_id", Key(128), comment="DOKU's Request-Id of the first time; a retry may carry another"),
    Column("content_type", String(100)),
    Column("headers", Text, nullable=False, comment="JSON: the headers that were signed, and the signature"),
    Column("body", LargeBinary, comment="As received; null once housekeeping has removed it"),
    Column("size", Integer, nullable=False),
    Column("sent_at", UtcDateTime, comment="Request-Timestamp, where there is one"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("times", Integer, nullable=False, comment="How often the same content came"),
    Column("last_at", UtcDateTime, nullable=False),
    Column("state", Key(10), nullable=False),
    Column("result", Text, comment="What became of it, in words"),
    Column("processed_at", UtcDateTime),
    Column("run_id", BigInteger, ForeignKey("run.run_id")),
    UniqueConstraint("profile", "kind", "content_digest", name="uq_notification_content"),
    one_of("kind", NotificationKind),
    one_of("state", NotificationState),
    Index("ix_notification_waiting", "profile", "notification_id", sqlite_where=_WAITING, postgresql_where=_WAITING),
    Index("ix_notification_request", "profile", "request_id"),
    comment="The inbox: DOKU's notifications, raw, once by their content; processed later by a run.",
)

refused_notification = Table(
    "refused_notification",
    metadata,
    Column("profile", Key(40), primary_key=True),
    Column("kind", Key(20), primary_key=True),
    Column("reason", Key(30), primary_key=True),
    Column("day", Date, primary_key=True, comment="UTC"),
    Column("count", BigInteger, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    comment="Requests to the notification paths that were refused, counted; nothing of them is kept.",
)

batch_notice = Table(
    "batch_notice",
    metadata,
    Column("batch_id", BigInteger, ForeignKey("batch.batch_id"), primary_key=True, autoincrement=False),
    Column(
        "request_id", Key(128), nullable=False, comment="The same for every try until DOKU says no: it takes it once"
    ),
    Column("tries", Integer, nullable=False),
    Column("tried_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime, comment="DOKU took it"),
    Column("http_status", Integer),
    Column("words", Text, comment="What DOKU answered, or why it could not be told"),
    comment="Telling DOKU that a batch file is there; it never decides anything about the batch.",
)

status_question = Table(
    "status_question",
    metadata,
    Column("question_id", Id, primary_key=True),
    Column("profile", Key(40), nullable=False),
    Column("subject", Key(250), nullable=False, comment="An invoice number, or the charge id of a bill"),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("http_status", Integer),
    Column("answer", Key(20), comment="DOKU's word: SUCCESS, FAILED, PENDING, ...; null: none"),
    Column("words", Text, nullable=False, comment="What it means for us, or why there is no answer"),
    Index("ix_status_question_subject", "subject", "asked_at"),
    Index("ix_status_question_asked", "profile", "asked_at"),
    comment="What DOKU was asked about attempts, and its answers; only appended.",
)
