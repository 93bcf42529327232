"""Second task of the watchdog, once for each profile."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from plugins.errors import errors_in_words

if TYPE_CHECKING:
    from include.domain.alert_text import Notice


class WatchOperator(BaseOperator):
    """Look once whether anything of a profile is late, and tell whom the profile names through notifiers.

    What is wrong is in the log and does not fail the task: it was told. The task fails when it could not look or tell.

    :param profile: Name of the profile; it may be one that cannot be used, which is then told.
    """

    template_fields: Sequence[str] = ("profile",)
    ui_color = "#eaf3ea"

    def __init__(self, *, profile: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Look; returns how many alerts are open, by kind, and how many notices were sent."""
        from include.domain.watch import Watcher
        from include.flows.watch_profiles import watch_profile
        from plugins.flow_context import artefact_base, look_up
        from plugins.telling import notifier_of

        def send(conn_id: str, notice: "Notice", mail_to: Sequence[str]) -> None:
            notifier_of(conn_id, notice, mail_to).send(notice)

        with errors_in_words():
            now = datetime.now(UTC)
            sight = watch_profile(self.profile, look_up, artefact_base(), Watcher.AIRFLOW, send, now)
            for one in sight.alerts:
                self.log.warning("%s Do this: %s More: %s", one.words, one.action, one.runbook)
            if sight.problems:
                raise AirflowFailException(" ".join(sight.problems))
        kinds = [one.kind for one in sight.alerts]
        return {
            "profile": sight.profile,
            "open": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
            "told": sight.told,
        }
