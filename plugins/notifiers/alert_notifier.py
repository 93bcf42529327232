"""The base of our notifiers, and what one says of a task that failed."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseNotifier

from include.domain.alert_text import Notice
from include.domain.watch import Level
from plugins.errors import errors_in_words

_UNSAID = "It failed; its log says why."


class AlertNotifier(BaseNotifier):
    """Sends a notice of the watchdog's; used as a callback, one about the task that failed.

    Only the sentence of an error that a task said in words goes out (`plugins.errors`): it holds no secret.

    :param conn_id: Airflow connection to send through.
    :param notice: What to send. None: it is made from the context of the callback.
    """

    template_fields: Sequence[str] = ()  # nothing of a notice is a template, whatever a file is called

    def __init__(self, *, conn_id: str, notice: Notice | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.notice = notice

    def notify(self, context: Any) -> None:
        """Send it."""
        with errors_in_words():
            self.send(self.notice or notice_of_failure(context))

    @abstractmethod
    def send(self, notice: Notice) -> None:
        """Send a notice. DokuError when it was not taken."""


def notice_of_failure(context: Any) -> Notice:
    """What to say of a task that failed, from the context that Airflow gives a callback."""
    task = context.get("ti") or context.get("task_instance")
    dag_id = str(getattr(task, "dag_id", "") or getattr(context.get("dag"), "dag_id", "a DAG"))
    task_id = str(getattr(task, "task_id", "") or "a task")
    run_id = str(getattr(context.get("dag_run"), "run_id", "") or getattr(task, "run_id", ""))
    caught = context.get("exception")
    said = str(caught) if caught is not None and type(caught).__name__.startswith("Airflow") else _UNSAID
    return Notice(
        key=f"{dag_id}-{run_id}-{task_id}-{getattr(task, 'try_number', 1)}",
        profile=dag_id.partition("__")[2] or dag_id,
        kind="task_failed",
        subject=f"{dag_id}.{task_id}",
        level=Level.LATE,
        words=said,
        action=f"Do what the sentence says, then clear {task_id} of run {run_id}: it may be cleared at any time.",
        runbook="docs/runbooks/README.md",
        late_since=datetime.now(UTC),
        zone="UTC",
    )
