"""Slack, by its provider."""

from include.domain.alert_text import Notice
from include.domain.errors import AlertNotSent
from plugins.notifiers.alert_notifier import AlertNotifier


class SlackAlertNotifier(AlertNotifier):
    """Sends a notice to a Slack incoming webhook.

    :param conn_id: A connection of type slackwebhook.
    :param notice: What to send; None: about the task that failed.
    """

    def send(self, notice: Notice) -> None:
        """Send it."""
        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

        try:
            SlackWebhookNotifier(slack_webhook_conn_id=self.conn_id, text=notice.text, timeout=15).notify({})  # type: ignore[no-untyped-call]
        except Exception as caught:  # noqa: BLE001 - whatever the provider raises may hold the webhook's address
            raise AlertNotSent(
                f"An alert could not be sent through connection {self.conn_id} ({caught.__class__.__name__}). Check "
                "the connection and whether this machine may reach it; the next look tries again."
            ) from None
