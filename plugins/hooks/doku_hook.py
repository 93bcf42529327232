"""DOKU's HTTP API as an Airflow connection."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from include.domain.errors import ApiRefused, ApiUnauthorised, DokuError
from plugins.flow_context import connection_settings

if TYPE_CHECKING:
    from include.doku.api import DokuApi

TEST_REFERENCE = "CONNECTION-TEST"
"""A number that no transaction has: asking for it changes nothing, and DOKU still checks who asks."""


class DokuHook(BaseHook):
    """DOKU's HTTP API: login is the Client-Id, password the secret key.

    :param doku_conn_id: Id of a connection of type `doku`.
    """

    conn_name_attr = "doku_conn_id"
    default_conn_name = "doku_default"
    conn_type = "doku"
    hook_name = "DOKU"

    def __init__(self, doku_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.doku_conn_id = doku_conn_id

    def get_conn(self) -> "DokuApi":
        """The API, with the settings that a profile has by default; close it after use.

        Raises:
            ConfigError: The connection cannot be used.
        """
        from include.doku.api import ApiSettings, DokuApi

        connection = connection_settings(self.get_connection(self.doku_conn_id))
        return DokuApi(ApiSettings.from_connection(connection))

    def test_connection(self) -> tuple[bool, str]:
        """Ask for a transaction that cannot exist: whether DOKU knows the Client-Id, the key and the time."""
        try:
            with self.get_conn() as api:
                return self._asked(api)
        except DokuError as caught:
            return False, caught.message
        except Exception as caught:  # noqa: BLE001 - its text may hold values
            return False, f"Unexpected {caught.__class__.__name__}; report it."

    @staticmethod
    def _asked(api: "DokuApi") -> tuple[bool, str]:
        try:
            api.status(TEST_REFERENCE)
        except ApiUnauthorised as caught:
            return False, caught.message
        except ApiRefused as caught:
            if caught.http_status != 404:
                return False, caught.message
        clock = f" {api.clock_problem}" if api.clock_problem else ""
        return not clock, f"{api.settings.host} takes Client-Id and key.{clock}"
