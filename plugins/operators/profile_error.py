"""The only task of the DAG that stands for a broken profile."""

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException


class ProfileErrorOperator(BaseOperator):
    """Fails with what is wrong with a profile.

    :param problem: One sentence: file, key and reason.
    """

    ui_color = "#f6dcdc"

    def __init__(self, *, problem: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problem = problem

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Fail."""
        raise AirflowFailException(self.problem)
