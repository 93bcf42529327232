"""Errors with names: each says what was wrong, where, and what a person can do now.

A message is one sentence of fact followed by one of advice. It never carries a token, a card number, a key or a
password (promise 10), so it may be shown in a task log, a page or an alert as it is.
"""

from collections.abc import Iterable
from typing import ClassVar


class DokuError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        retryable: Whether the same call may succeed later with nothing changed by a person (a server that is down), so
            that a task may try again by itself. Everything else waits for a person.
    """

    retryable: ClassVar[bool] = False

    @property
    def message(self) -> str:
        """The whole sentence, safe to show."""
        return str(self.args[0]) if self.args else type(self).__name__


class ConfigError(DokuError):
    """A setting cannot be used.

    Attributes:
        file: The file that holds the setting (or the name of a connection or a variable).
        key: Dotted path of the setting inside the file; empty where the whole file is meant.
        reason: What is wrong, without the file and the key.
    """

    def __init__(self, file: str, key: str, reason: str) -> None:
        self.file, self.key, self.reason = file, key, reason
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")


class LayoutError(ConfigError):
    """A layout makes no sense: unknown type, overlapping columns, a required source missing."""


class KeyFileError(DokuError):
    """A key cannot be used: not a key, of the wrong kind, too small, expired or missing."""


class EnvelopeError(DokuError):
    """An envelope cannot be opened: cut, altered, or sealed for another key."""


class FileRefused(DokuError):
    """A whole batch file or report was refused; nothing of it was taken in.

    Attributes:
        file: Its name.
        line: 1-based line, or None where the whole file is meant.
        column: Name of the layout's column, or None.
        reason: What is wrong there.
    """

    def __init__(self, file: str, line: int | None, column: str | None, reason: str) -> None:
        self.file, self.line, self.column, self.reason = file, line, column, reason
        where = ", ".join(
            part for part in (f"line {line}" if line else "", f"column {column}" if column else "") if part
        )
        super().__init__(f"{file}, {where}: {reason}" if where else f"{file}: {reason}")


class ReportRefused(DokuError):
    """A run met reports that could not be taken in; the rest of the run was done."""

    @classmethod
    def because(cls, reasons: Iterable[str]) -> "ReportRefused":
        """Of one run, for all of its reasons."""
        return cls(
            f"{' '.join(f'Refused: {reason}.' for reason in reasons)} Everything else of this run was done. "
            "Ask DOKU for the report again; a file with other content is taken in by the next run."
        )


class BillingError(DokuError):
    """The merchant's billing database does not keep the contract (view, table, column) or cannot be used."""


class BillingUnreachable(BillingError):
    """The billing database does not answer now."""

    retryable = True


class LedgerError(DokuError):
    """The ledger cannot be used: not at the newest schema, of another environment, or in an unexpected state."""


class LedgerUnreachable(LedgerError):
    """The ledger does not answer now."""

    retryable = True


class LedgerForgot(LedgerError):
    """The billing database knows attempts that this ledger does not: restored from a backup, or a second ledger."""


class ArtefactError(DokuError):
    """A kept file (envelope, report) is missing or is not what the ledger says it is."""


class RemoteError(DokuError):
    """The SFTP server does not answer, or the connection broke, before anything became visible there."""

    retryable = True


class RemoteRefused(DokuError):
    """The SFTP server refused: log-in, permission, a folder that is not there."""


class HostKeyError(DokuError):
    """The SFTP server's host key is not the pinned one, or none is pinned."""


class DeliveryRefused(DokuError):
    """A batch file was provably not delivered, and must not be tried again as it is."""


class ApprovalMissing(DokuError):
    """A brake stopped a run before delivery, and nobody has approved exactly what it would send."""


class ApprovalRefused(DokuError):
    """A person refused what a run would send."""


class Held(DokuError):
    """A hold of a person stands in the way: on the batch or on the whole profile."""


class NotAllowed(DokuError):
    """This person, or nobody in particular, may not do this."""


class DeliveryUnknown(DokuError):
    """Nobody can say yet whether a batch file was delivered. It is never sent again until that is known."""


class NotificationUnreadable(DokuError):
    """A notification does not say what it is there for; in words, and without a value of it."""


class AlertNotSent(DokuError):
    """A mail server, a webhook or a dead-man's service did not take what it was sent."""

    retryable = True


class ApiError(DokuError):
    """A call of DOKU's HTTP API came to nothing.

    Attributes:
        http_status: Of DOKU's answer; None where there is none, or none that can be believed.
    """

    def __init__(self, message: str, http_status: int | None = None) -> None:
        self.http_status = http_status
        super().__init__(message)


class ApiUnreachable(ApiError):
    """DOKU's API did not answer, or is out of order; nobody knows whether it did what it was asked.

    Attributes:
        after_seconds: When DOKU wants to be asked again; None where it does not say.
    """

    retryable = True

    def __init__(self, message: str, http_status: int | None = None, after_seconds: float | None = None) -> None:
        self.after_seconds = after_seconds
        super().__init__(message, http_status)


class ApiRefused(ApiError):
    """DOKU's API said no; it did not do what it was asked.

    Attributes:
        code: DOKU's code of the error, as `INVALID_PARAMETER`; empty where there is none.
        in_work: The same request is still being worked on, or its id was used for another one.
    """

    def __init__(self, message: str, http_status: int, code: str = "", *, in_work: bool = False) -> None:
        self.code, self.in_work = code, in_work
        super().__init__(message, http_status)


class ApiUnauthorised(ApiRefused):
    """DOKU's API does not take Client-Id, key or time of a request."""


class ApiAnswerUnsigned(ApiError):
    """An answer of DOKU's API is not signed, or its signature is wrong: nothing in it is believed."""


class ApiAnswerUnreadable(ApiError):
    """An answer of DOKU's API is not what was expected: no JSON, too large, or about something else."""


class TokensVanished(DokuError):
    """An unusual share of customers would lose all their tokens at once; a person has to say that it is right."""


class BooksDoNotTie(DokuError):
    """A conservation equation of a run or a batch does not hold (promise 2)."""
