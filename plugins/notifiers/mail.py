"""E-mail over SMTP."""

from collections.abc import Sequence

from include.domain.alert_text import Notice
from plugins.notifiers.alert_notifier import AlertNotifier


class MailAlertNotifier(AlertNotifier):
    """Sends a notice as a plain text mail.

    :param conn_id: A connection of type smtp.
    :param to: Addresses.
    :param notice: What to send; None: about the task that failed.
    """

    def __init__(self, *, conn_id: str, to: Sequence[str], notice: Notice | None = None) -> None:
        super().__init__(conn_id=conn_id, notice=notice)
        self.to = tuple(to)

    def send(self, notice: Notice) -> None:
        """Send it."""
        from include.flows.channels import send_mail
        from plugins.flow_context import look_up

        send_mail(look_up(self.conn_id), notice, self.to)
