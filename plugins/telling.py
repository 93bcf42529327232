"""Which notifier a connection wants."""

from collections.abc import Sequence

from include.domain.alert_text import Notice
from include.domain.errors import ConfigError
from plugins.notifiers.alert_notifier import AlertNotifier
from plugins.notifiers.mail import MailAlertNotifier
from plugins.notifiers.slack import SlackAlertNotifier
from plugins.notifiers.webhook import WebhookAlertNotifier


def notifier_of(conn_id: str, notice: Notice, mail_to: Sequence[str]) -> AlertNotifier:
    """The notifier for a connection, by its type. ConfigError when Airflow has none, or of another type."""
    from plugins.flow_context import look_up

    kind = look_up(conn_id).conn_type
    if kind == "smtp":
        return MailAlertNotifier(conn_id=conn_id, to=mail_to, notice=notice)
    if kind in ("http", "https"):
        return WebhookAlertNotifier(conn_id=conn_id, notice=notice)
    if kind == "slackwebhook":
        return SlackAlertNotifier(conn_id=conn_id, notice=notice)
    reason = f"connection type {kind!r} tells nobody anything; use smtp, http or slackwebhook"
    raise ConfigError(f"connection {conn_id}", "conn_type", reason)
