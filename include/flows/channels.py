"""Sending a notice: by mail over SMTP, to a webhook, to Slack; from the same connections that Airflow's hooks read.

Of an error only its kind is told: an address of a webhook is a secret, and a server's answer may quote one.
"""

import json
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Final

from include.domain.alert_text import Notice
from include.domain.connection import ConnectionSettings
from include.domain.errors import AlertNotSent, ConfigError
from include.domain.watch import Level

SECONDS: Final = 15.0
"""How long a mail server or a webhook may take to answer."""

LookUp = Callable[[str], ConnectionSettings]


def send_notice(connection: ConnectionSettings, notice: Notice, mail_to: Sequence[str]) -> None:
    """Send a notice through a connection, by the connection's type.

    Args:
        connection: Of type smtp, http (any webhook that takes JSON) or slackwebhook.
        mail_to: Addresses, for a connection of type smtp.

    Raises:
        ConfigError: A connection of another type, or one that lacks something.
        AlertNotSent: It was not taken; the next look tries again.
    """
    if connection.conn_type == "smtp":
        send_mail(connection, notice, mail_to)
    elif connection.conn_type in ("http", "https"):
        send_webhook(connection, notice)
    elif connection.conn_type == "slackwebhook":
        send_slack(connection, notice)
    else:
        reason = f"connection type {connection.conn_type!r} tells nobody anything; use smtp, http or slackwebhook"
        raise ConfigError(f"connection {connection.conn_id}", "conn_type", reason)


def send_mail(connection: ConnectionSettings, notice: Notice, mail_to: Sequence[str]) -> None:
    """Send a plain text mail. Of the connection: host, port, login, password; extra: from_email, disable_ssl,
    disable_tls, timeout, as Airflow's SMTP provider reads them.

    Raises:
        ConfigError: No host, no sender or nobody to send to.
        AlertNotSent: The server did not take it.
    """  # noqa: D205 - one sentence
    where = f"connection {connection.conn_id}"
    sender = connection.extra.get("from_email") or connection.login
    if not connection.host or not sender:
        raise ConfigError(where, "", "needs a host, and extra.from_email (or a login) to send from")
    if not mail_to:
        raise ConfigError(where, "", "is a mail server, and watch.mail_to of the profile names nobody to send to")
    message = EmailMessage()
    message["Subject"] = notice.headline[:200]
    message["From"] = str(sender)
    message["To"] = ", ".join(mail_to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(idstring=notice.key, domain="doku-account-billing.invalid")
    message["X-Priority"] = "1" if notice.level is Level.CRITICAL else "3"
    message.set_content(notice.text)
    try:
        with _mail_server(connection) as server:
            server.send_message(message)
    except (smtplib.SMTPException, OSError) as caught:
        raise _not_sent(connection, caught) from None


def _mail_server(connection: ConnectionSettings) -> smtplib.SMTP:
    """A session that is logged in; encrypted from the start, or by STARTTLS, unless the connection says neither."""
    extra, host = connection.extra, connection.host or ""
    seconds = float(extra.get("timeout") or SECONDS)
    secured = ssl.create_default_context()
    server: smtplib.SMTP
    if not extra.get("disable_ssl"):
        server = smtplib.SMTP_SSL(host, connection.port or 465, timeout=seconds, context=secured)
    else:
        server = smtplib.SMTP(host, connection.port or 587, timeout=seconds)
        if not extra.get("disable_tls"):
            server.starttls(context=secured)
    if connection.login and connection.password:
        server.login(connection.login, connection.password)
    return server


def send_webhook(connection: ConnectionSettings, notice: Notice) -> None:
    """Post a notice as JSON. Of the connection: host (a whole address, or with schema and port), login and password
    (basic authentication); extra: headers.

    Raises:
        ConfigError: No host.
        AlertNotSent: No answer, or another one than 2xx.
    """  # noqa: D205 - one sentence
    headers = {str(name): str(value) for name, value in connection.extra.items() if isinstance(value, str)}
    login = (connection.login, connection.password or "") if connection.login else None
    _post(connection, _address(connection), notice.as_json(), {**headers, "Idempotency-Key": notice.key}, login)


def send_slack(connection: ConnectionSettings, notice: Notice) -> None:
    """Post to a Slack incoming webhook: `https://hooks.slack.com/services/` and the connection's password.

    Raises:
        ConfigError: No password.
        AlertNotSent: Slack did not take it.
    """
    if not connection.password:
        reason = "needs a password: what follows https://hooks.slack.com/services/ in the webhook's address"
        raise ConfigError(f"connection {connection.conn_id}", "", reason)
    base = (connection.host and _address(connection)) or "https://hooks.slack.com/services"
    address = connection.password if "://" in connection.password else f"{base.rstrip('/')}/{connection.password}"
    _post(connection, address, {"text": notice.text}, {}, None)


def ping(address: str) -> None:
    """Tell a dead-man's service that the watchdog has looked. AlertNotSent when it does not take that."""
    import httpx

    try:
        httpx.get(address, timeout=SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as caught:
        raise AlertNotSent(
            f"The address of --ping did not take the sign of life ({_kind(caught)}). Check the address, and whether "
            "this machine may reach it; whoever listens there will raise the alarm."
        ) from None


def _address(connection: ConnectionSettings) -> str:
    host = connection.host or ""
    if not host:
        raise ConfigError(f"connection {connection.conn_id}", "host", "missing; put the webhook's address there")
    if "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.schema or 'https'}://{host}{port}"


def _post(
    connection: ConnectionSettings,
    address: str,
    document: Mapping[str, Any],
    headers: Mapping[str, str],
    login: tuple[str, str] | None,
) -> None:
    import httpx

    sent = {"Content-Type": "application/json", **headers}
    try:
        answer = httpx.post(address, content=json.dumps(document), headers=sent, auth=login, timeout=SECONDS)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as caught:
        raise _not_sent(connection, caught) from None


def _not_sent(connection: ConnectionSettings, caught: BaseException) -> AlertNotSent:
    return AlertNotSent(
        f"An alert could not be sent through connection {connection.conn_id} ({_kind(caught)}). Check the connection "
        "and whether this machine may reach it; the next look tries again."
    )


def _kind(caught: BaseException) -> str:
    """The class of an error, and the code of a server's answer."""
    status = getattr(getattr(caught, "response", None), "status_code", None) or getattr(caught, "smtp_code", None)
    return f"{caught.__class__.__name__} {status}" if status else caught.__class__.__name__
