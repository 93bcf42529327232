"""Connecting to the billing database: every failure is one sentence that names the place and shows no secret."""

import sqlite3
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from include.billing.due_charges import check_view
from include.billing.engine import billing_connection, billing_engine, errors_named, place
from include.domain.connection import ConnectionSettings
from include.domain.errors import BillingError, BillingUnreachable, ConfigError
from tests.services.processes import free_port
from tests.unit.billing.conftest import BillingDatabase

PASSWORD = "canary-password"


def _connect(settings: ConnectionSettings) -> None:
    with billing_connection(billing_engine(settings)) as connection:
        connection.execute(text("SELECT 1"))


def _error(settings: ConnectionSettings) -> BillingError:
    with pytest.raises(BillingError) as caught:
        _connect(settings)
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert settings.conn_id in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_server_that_does_not_answer_may_be_tried_again(kind: str) -> None:
    settings = ConnectionSettings("insurer_billing", kind, "127.0.0.1", free_port(), "doku", PASSWORD, "insurer")
    error = _error(settings)
    assert isinstance(error, BillingUnreachable)
    assert "does not answer" in error.message
    assert f"127.0.0.1:{settings.port}/insurer" in error.message


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_host_that_is_not_known_may_be_tried_again(kind: str) -> None:
    error = _error(ConnectionSettings("insurer_billing", kind, "no-such-host.invalid", 5, "doku", PASSWORD, "insurer"))
    assert isinstance(error, BillingUnreachable)


def test_a_wrong_log_in_waits_for_a_person(server_database: BillingDatabase) -> None:
    error = _error(replace(server_database.settings, login="nobody_known", password=PASSWORD))
    assert not error.retryable
    assert "refused the log-in" in error.message


def test_a_database_that_is_not_there_waits_for_a_person(server_database: BillingDatabase) -> None:
    error = _error(replace(server_database.settings, schema="no_such_database"))
    assert not error.retryable
    assert "is not there" in error.message


def test_a_sqlite_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "wrong.db"
    error = _error(ConnectionSettings("insurer_billing", "sqlite", host=str(file)))
    assert "(wrong.db) is not there" in error.message
    assert not file.exists()


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "letter.db"
    file.write_text("Dear customer, " * 500)
    with pytest.raises(BillingError, match="is not there") as caught:
        check_view(billing_engine(ConnectionSettings("b", "sqlite", host=str(file))), view="v", columns={})
    assert not caught.value.retryable


@pytest.mark.parametrize("value", ["sqlite:///{}", "sqlite://{}", '{{"conn_type": "sqlite", "host": "{}"}}'])
def test_the_forms_that_airflow_has_for_sqlite(tmp_path: Path, value: str) -> None:
    file = tmp_path / "insurer.db"
    sqlite3.connect(file).close()
    file.touch()
    path = str(file)
    _connect(
        ConnectionSettings.from_env_value("insurer_billing", value.format(path.lstrip("/") if "///" in value else path))
    )


def test_a_connection_that_is_no_database_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a database"):
        billing_engine(ConnectionSettings("insurer_sftp", "sftp", "127.0.0.1"))


def test_extras_of_the_connection_reach_the_driver() -> None:
    postgres = ConnectionSettings(
        "b", "postgres", "127.0.0.1", free_port(), extra={"sslmode": "no-such-mode", "other": 1}
    )
    with pytest.raises(BillingError):  # the driver refuses the mode, so it was asked
        _connect(postgres)


def test_a_row_in_a_driver_s_text_is_not_shown(database: BillingDatabase) -> None:
    database.run("CREATE TABLE kept (token VARCHAR(60) NOT NULL PRIMARY KEY)")
    token = "canarytoken0123456789"
    insert = f"INSERT INTO kept VALUES ('{token}')"
    database.run(insert)
    with pytest.raises(BillingError) as caught, errors_named(database.engine), database.engine.begin() as connection:
        connection.exec_driver_sql(insert)
    assert "breaks a constraint" in caught.value.message
    assert token not in "".join(traceback.format_exception(caught.value))


def test_a_place_tells_no_user_and_no_password() -> None:
    settings = ConnectionSettings("insurer_billing", "postgres", "db.example", 5432, "doku_user", PASSWORD, "insurer")
    assert place(billing_engine(settings)) == "billing database insurer_billing (db.example:5432/insurer)"


def test_sqlite_that_others_keep_busy_may_be_tried_again(
    sqlite_database: BillingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.billing.engine.SQLITE_BUSY_SECONDS", 0)
    engine = billing_engine(sqlite_database.settings)
    sqlite_database.run("CREATE TABLE kept (one INTEGER)")
    with sqlite_database.owner.connect() as other:
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(BillingUnreachable, match="busy or locked"), billing_connection(engine) as connection:
            connection.execute(text("SELECT one FROM kept"))
