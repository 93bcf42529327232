"""First task of the watchdog."""

from typing import Any

from airflow.sdk import BaseOperator

from plugins.errors import errors_in_words


class ListProfilesOperator(BaseOperator):
    """Name the profiles of the deployment, broken ones included; fails when there is none."""

    ui_color = "#eaf3ea"

    def execute(self, context: Any) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Their names, as they are now and not as the DAG was parsed."""
        from include.flows.watch_profiles import names_of_profiles

        with errors_in_words():
            return names_of_profiles()
