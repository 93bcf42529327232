"""The big servers, as the tests without Airflow have them."""

from tests.integration.conftest import mariadb, openssh, postgres

__all__ = ["mariadb", "openssh", "postgres"]
