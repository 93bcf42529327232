"""A connection as Airflow describes it, without Airflow: one form for operators, the command line and tests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from include.domain.errors import ConfigError

_DRIVERS: Final[dict[str, str]] = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "sqlite": "sqlite",
}


CONNECT_SECONDS: Final = 15
_APPLICATION: Final = "doku-account-billing"
_POSTGRES_EXTRAS: Final = frozenset(
    {"sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "options", "target_session_attrs", "channel_binding"}
)


@dataclass(frozen=True)
class ConnectionSettings:
    """Where something is and how to log in there.

    Attributes:
        conn_id: Airflow's connection id, for messages.
        conn_type: Airflow's connection type: postgres, mysql, sqlite, sftp, ...
        password: Never shown by `repr`.
        extra: Airflow's extra field as a mapping; may hold secrets, never shown by `repr`.
    """

    conn_id: str
    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_env_value(cls, conn_id: str, text: str) -> "ConnectionSettings":
        """Read the value of an `AIRFLOW_CONN_<ID>` variable, in Airflow's URI or JSON form.

        Raises:
            ConfigError: Neither a URI nor a JSON object.
        """
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        try:
            return cls._from_json(conn_id, text) if text.lstrip().startswith("{") else cls._from_uri(conn_id, text)
        except (ValueError, TypeError, AttributeError):
            reason = "is neither a connection URI nor a JSON object; see Airflow's page on managing connections"
            raise ConfigError(variable, "", reason) from None

    @classmethod
    def _from_json(cls, conn_id: str, text: str) -> "ConnectionSettings":
        value = json.loads(text)
        extra = value.get("extra") or {}
        return cls(
            conn_id=conn_id,
            conn_type=value.get("conn_type", ""),
            host=value.get("host"),
            port=int(value["port"]) if value.get("port") else None,
            login=value.get("login"),
            password=value.get("password"),
            schema=value.get("schema"),
            extra=json.loads(extra) if isinstance(extra, str) else extra,
        )

    @classmethod
    def _from_uri(cls, conn_id: str, text: str) -> "ConnectionSettings":
        parts = urlsplit(text)
        if not parts.scheme:
            raise ValueError("no connection type")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        extra = json.loads(query.pop("__extra__")) if "__extra__" in query else query
        return cls(
            conn_id=conn_id,
            conn_type=parts.scheme.replace("-", "_"),
            host=unquote(parts.hostname or "") or None,
            port=parts.port,
            login=unquote(parts.username or "") or None,
            password=unquote(parts.password or "") or None,
            schema=unquote(parts.path[1:]) or None,
            extra=extra,
        )

    def sqlalchemy_url_parts(self) -> dict[str, Any]:
        """The keyword arguments of `sqlalchemy.URL.create` for a database connection.

        Raises:
            ConfigError: A connection type that is not a database this package was tried on, or a SQLite path that is
                not absolute (Airflow's components run in different folders).
        """
        driver = _DRIVERS.get(self.conn_type)
        if driver is None:
            reason = f"connection type {self.conn_type!r} is not a database; use postgres, mysql or sqlite"
            raise ConfigError(f"connection {self.conn_id}", "conn_type", reason)
        if driver == "sqlite":
            return {"drivername": driver, "database": self._sqlite_path()}
        query = {key: str(value) for key, value in (self.extra.get("sqlalchemy_query") or {}).items()}
        return {
            "drivername": driver,
            "username": self.login,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "database": self.schema,
            "query": query,
        }

    def postgres_arguments(self) -> dict[str, Any]:
        """Keyword arguments of PostgreSQL's driver: the extra's `ssl...` and `options` keys, and patience of ours."""
        known = {key: value for key, value in self.extra.items() if key in _POSTGRES_EXTRAS}
        return {"connect_timeout": CONNECT_SECONDS, "application_name": _APPLICATION, "keepalives_idle": 60, **known}

    def _sqlite_path(self) -> str:
        path = self.host or (f"/{self.schema}" if self.schema else "")
        path = f"/{self.schema}" if self.schema and not self.host else path
        path = path.replace("//", "/")
        if not path.startswith("/"):
            reason = f"SQLite needs an absolute path, not {path!r}"
            raise ConfigError(f"connection {self.conn_id}", "host", reason)
        return path


def prepare_postgres(connection: Any, _record: object = None) -> None:
    """Called with a new driver's connection: PostgreSQL is to plan each statement for its values, and compile none.

    Many are planned as dear and run for some milliseconds: compiling them took longer than all else of a page. A plan
    for any values is made for tables as they were, and for a list of as many values as it takes all lists to have.
    """
    with connection.cursor() as cursor:  # set_config and no option of the connection: poolers refuse those
        for name, value in (("jit", "off"), ("plan_cache_mode", "force_custom_plan")):
            cursor.execute(
                "SELECT set_config(%s, %s, false) WHERE current_setting(%s, true) IS NOT NULL", (name, value, name)
            )
    connection.commit()
