"""What tests with real servers share: servers, databases, DOKU's end, whole merchants, and one Airflow.

Servers are started once per worker, and only when a test asks. Databases, folders and simulators are each test's own.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.keys import KeyRing
from tests.doku_simulator.simulator import Simulator
from tests.services.mariadb import MariadbServer, mariadb_server
from tests.services.openssh import OpensshServer, openssh_server
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import ServiceUnavailable
from tests.stack.databases import Database, seeded, upgraded
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, Scene

T = TypeVar("T")

BUSINESS_DATE = date(2026, 11, 20)
"""The day of tests that do not care which; a Friday."""

_SERVERS = {"postgresql": "postgres", "mysql": "mariadb"}
_numbers = itertools.count(1)


def _running(service: AbstractContextManager[T]) -> Iterator[T]:
    """Run a server for as long as its fixture lives; skip where it cannot be had, unless this is CI."""
    with ExitStack() as stack:
        try:
            entered = stack.enter_context(service)
        except ServiceUnavailable as reason:
            if os.environ.get("CI"):
                pytest.fail(f"CI must have every server: {reason}")
            pytest.skip(str(reason))
        yield entered


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    yield from _running(postgres_server())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    """A MariaDB server."""
    yield from _running(mariadb_server())


@pytest.fixture(scope="module")
def openssh() -> Iterator[OpensshServer]:
    """An OpenSSH server with empty folders inbound, outbound and archive; quick to start, so each module's own."""
    yield from _running(openssh_server())


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Database]]:
    """Makes empty databases: `make_database("sqlite" | "postgresql" | "mysql")`; gone after the test."""
    with ExitStack() as stack:

        def make(kind: str) -> Database:
            name = f"test_{next(_numbers)}"
            if kind == "sqlite":
                return Database.sqlite(tmp_path / f"{name}.sqlite")
            server = request.getfixturevalue(_SERVERS[kind])
            stack.callback(server.drop_database, name)
            return Database.on(server, name)

        yield make


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def ledger_database(request: pytest.FixtureRequest, make_database: Callable[[str], Database]) -> Database:
    """A ledger at head, of the sandbox environment; once on each database that a ledger may live on."""
    return upgraded(make_database(request.param))


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        pytest.param("mysql", marks=pytest.mark.services),
    ]
)
def billing_database(request: pytest.FixtureRequest, make_database: Callable[[str], Database]) -> Database:
    """An empty billing database; once on each database that was tried. `tests.stack.databases.seeded` fills it."""
    return make_database(request.param)


@pytest.fixture(scope="session")
def doku_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of a simulator, made once: making RSA keys takes longer than most tests."""
    root = tmp_path_factory.mktemp("doku-keys")
    KeyRing(root / "keys").create()
    return root / "keys"


@pytest.fixture
def make_doku(doku_keys: Path, tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Makes running simulators in this process: `make_doku(auto=False, seed=3, ...)`, fields of SimulatorConfig."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Simulator:
            root = tmp_path / f"doku-{next(_numbers)}"
            shutil.copytree(doku_keys, root / "keys")
            quick = {"process_after": 0.2, "poll": 0.1}
            return stack.enter_context(Simulator(SimulatorConfig(root=root, **{**quick, **settings})))

        yield make


@pytest.fixture
def doku(make_doku: Callable[..., Simulator]) -> Simulator:
    """A running simulator that takes files as they come."""
    return make_doku()


@pytest.fixture
def make_scene(
    make_database: Callable[[str], Database], make_doku: Callable[..., Simulator], tmp_path: Path
) -> Callable[..., Scene]:
    """Makes whole merchants, ready to work: databases filled, ledger at head, profile and keys written.

    `make_scene(billing="mysql", ledger="postgresql", charges=500, changes={...}, doku=make_doku(...))`
    """

    def make(
        *,
        billing: str = "sqlite",
        ledger: str = "sqlite",
        charges: int = 200,
        merchant: str = "insurance",
        on: date = BUSINESS_DATE,
        changes: Mapping[str, Any] = QUICK,
        remote: Remote | None = None,
        doku: Simulator | None = None,
        name: str = "",
    ) -> Scene:
        scene = Scene(
            root=tmp_path / "scene",
            merchant=merchant,
            business_date=on,
            billing=seeded(make_database(billing), merchant, charges, on),
            ledger=upgraded(make_database(ledger)),
            remote=remote or Remote.simulator((doku or make_doku()).describe()),
            changes=changes,
            name=name,
        )
        scene.write_profile()
        return scene

    return make
