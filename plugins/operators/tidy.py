"""Task of housekeeping, once for each profile."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator

from plugins.errors import errors_in_words


class TidyOperator(BaseOperator):
    """Remove what a profile keeps no longer; by default only say what that is.

    A run by hand removes where its parameter `dry_run` is switched off; a scheduled one where the profile says
    `housekeeping.remove`.

    :param profile: Name of the profile.
    """

    template_fields: Sequence[str] = ("profile",)
    ui_color = "#eee8dc"

    def __init__(self, *, profile: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def execute(self, context: Any) -> dict[str, Any]:
        """Tidy; returns how much of each was removed, or would be."""
        from include.flows.housekeeping import tidy, what_is_old
        from plugins.flow_context import flow_context_of

        with errors_in_words(), flow_context_of(self.profile) as flow:
            person = getattr(context["dag_run"], "triggering_user_name", None)  # None: the schedule
            remove = flow.profile.housekeeping.remove if person is None else not context["params"]["dry_run"]
            found = tidy(flow, person or "housekeeping") if remove else what_is_old(flow)
        for line in found.lines():
            self.log.info("%s: %s %s", self.profile, "Removed" if remove else "Would remove", line)
        for line in found.stays():
            self.log.warning("%s: Stays %s", self.profile, line)
        return {
            "profile": self.profile,
            "removed": remove,
            "files": len(found.files),
            "batches": len(found.batches),
            "tokens": found.tokens,
            "notifications": found.notifications,
            "orphans": len(found.orphans),
        }
