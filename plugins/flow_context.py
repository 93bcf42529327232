"""What a flow needs, looked up in Airflow: connections, the artefact store, the profile."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, Connection, ObjectStoragePath

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.schemas.profile import Profile, load_profile_named

if TYPE_CHECKING:
    from include.flows.context import FlowContext

ARTEFACTS_VARIABLE = "DOKU_ARTEFACTS"


def connection_settings(connection: Connection) -> ConnectionSettings:
    """Airflow's connection as the flows know it."""
    return ConnectionSettings(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type or "",
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        schema=connection.schema,
        extra=dict(connection.extra_dejson),
    )


def look_up(conn_id: str) -> ConnectionSettings:
    """The connection of that id. ConfigError when Airflow has none."""
    try:
        return connection_settings(BaseHook.get_connection(conn_id))
    except Exception as caught:
        if caught.__class__.__name__ != "AirflowNotFoundException":
            raise
        reason = "Airflow has no such connection; add it (Admin > Connections, or a variable AIRFLOW_CONN_...)"
        raise ConfigError(f"connection {conn_id}", "", reason) from None


def artefact_base() -> ObjectStoragePath:
    """Where files are kept: `DOKU_ARTEFACTS`, as file:///var/lib/doku or s3://connection@bucket/doku."""
    base = os.environ.get(ARTEFACTS_VARIABLE)
    if not base:
        reason = "is not set; it names where files are kept, as file:///var/lib/doku, on every worker alike"
        raise ConfigError(ARTEFACTS_VARIABLE, "", reason)
    return ObjectStoragePath(base)


@contextmanager
def flow_context_of(
    profile: str | Profile, connections: Mapping[str, ConnectionSettings] | None = None
) -> "Iterator[FlowContext]":
    """A flow's context for a profile.

    Args:
        profile: Its name, or itself.
        connections: Connections that were looked up before; Airflow is not asked when given.
    """
    from include.flows.assemble import flow_context

    found = load_profile_named(profile) if isinstance(profile, str) else profile
    with flow_context(found, connections.__getitem__ if connections else look_up, artefact_base()) as context:
        yield context
