"""What tests with real servers share. The servers are started once per worker, and only when a test asks."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from tests.services.mariadb import MariadbServer, mariadb_server
from tests.services.openssh import OpensshServer, openssh_server
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import ServiceUnavailable

T = TypeVar("T")


def _running(service: AbstractContextManager[T]) -> Iterator[T]:
    """Run a server for as long as its fixture lives; skip where it cannot be had, unless this is CI."""
    try:
        entered = service.__enter__()
    except ServiceUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}")
        pytest.skip(str(reason))
    try:
        yield entered
    finally:
        service.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    yield from _running(postgres_server())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    """A MariaDB server."""
    yield from _running(mariadb_server())


@pytest.fixture(scope="session")
def openssh() -> Iterator[OpensshServer]:
    """An OpenSSH server with folders inbound, outbound and archive."""
    yield from _running(openssh_server())
