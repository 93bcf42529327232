"""Connections in Airflow's two forms; a password is never shown."""

import json

import pytest

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError

SECRET = "p@55/w:rd"


@pytest.mark.parametrize(
    "text",
    [
        "postgres://merchant:p%4055%2Fw%3Ard@db.example:5433/billing?sslmode=require",
        json.dumps(
            {
                "conn_type": "postgres",
                "host": "db.example",
                "port": "5433",
                "login": "merchant",
                "password": SECRET,
                "schema": "billing",
                "extra": json.dumps({"sslmode": "require"}),
            }
        ),
        json.dumps(
            {
                "conn_type": "postgres",
                "host": "db.example",
                "port": 5433,
                "login": "merchant",
                "password": SECRET,
                "schema": "billing",
                "extra": {"sslmode": "require"},
            }
        ),
    ],
    ids=["uri", "json", "json with an object"],
)
def test_both_forms_say_the_same(text):
    found = ConnectionSettings.from_env_value("billing", text)
    assert found == ConnectionSettings(
        "billing", "postgres", "db.example", 5433, "merchant", SECRET, "billing", {"sslmode": "require"}
    )
    assert SECRET not in repr(found)
    assert "sslmode" not in repr(found)


def test_a_uri_with_airflows_extra_field():
    extra = json.dumps({"host_key": "ssh-ed25519 AAAA"}).replace(" ", "%20").replace('"', "%22")
    found = ConnectionSettings.from_env_value("sftp", f"sftp://u:p@h:22?__extra__={extra}")
    assert found.extra == {"host_key": "ssh-ed25519 AAAA"}


@pytest.mark.parametrize("text", ["", "   ", "nothing", "{", '{"port": "x"}', "postgres://h:port/x", '{"extra": "{"}'])
def test_what_is_neither_is_refused_without_being_shown(text):
    with pytest.raises(ConfigError, match="AIRFLOW_CONN_BILLING") as caught:
        ConnectionSettings.from_env_value("billing", text)
    assert caught.value.__cause__ is None
    assert not text.strip() or text not in caught.value.message


def test_a_broken_value_with_a_password_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        ConnectionSettings.from_env_value("billing", "postgres://u:pa55word@h:port/x")
    assert "pa55word" not in caught.value.message


@pytest.mark.parametrize(
    ("conn_type", "driver"),
    [("postgres", "postgresql+psycopg"), ("postgresql", "postgresql+psycopg"), ("mysql", "mysql+pymysql"),
     ("mariadb", "mysql+pymysql")],
)  # fmt: skip
def test_databases(conn_type, driver):
    parts = ConnectionSettings("c", conn_type, "h", 1, "u", "p", "s").sqlalchemy_url_parts()
    assert (parts["drivername"], parts["host"], parts["database"]) == (driver, "h", "s")


@pytest.mark.parametrize(
    "text", ["sqlite:////var/lib/doku/ledger.db", '{"conn_type": "sqlite", "host": "/var/lib/doku/ledger.db"}',
             '{"conn_type": "sqlite", "schema": "/var/lib/doku/ledger.db"}']
)  # fmt: skip
def test_sqlite_paths(text):
    parts = ConnectionSettings.from_env_value("c", text).sqlalchemy_url_parts()
    assert parts == {"drivername": "sqlite", "database": "/var/lib/doku/ledger.db"}


@pytest.mark.parametrize("settings", [{}, {"host": "ledger.db"}, {"host": "./ledger.db"}])
def test_a_relative_sqlite_path_is_refused(settings):
    with pytest.raises(ConfigError, match="absolute"):
        ConnectionSettings("c", "sqlite", **settings).sqlalchemy_url_parts()


def test_what_is_no_database_is_refused():
    with pytest.raises(ConfigError, match="conn_type"):
        ConnectionSettings("c", "sftp", host="h").sqlalchemy_url_parts()
