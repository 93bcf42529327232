"""Any webhook that takes JSON."""

from include.domain.alert_text import Notice
from plugins.notifiers.alert_notifier import AlertNotifier


class WebhookAlertNotifier(AlertNotifier):
    """Posts a notice as JSON; its `text` is what chat systems show.

    :param conn_id: A connection of type http.
    :param notice: What to send; None: about the task that failed.
    """

    def send(self, notice: Notice) -> None:
        """Send it."""
        from include.flows.channels import send_webhook
        from plugins.flow_context import look_up

        send_webhook(look_up(self.conn_id), notice)
