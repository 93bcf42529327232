"""Makes scenes quickly: databases are copied from ones that were filled once, keys are made once."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.doku_simulator import HttpConfig
from tests.doku_simulator.behaviour import Behaviour, Fault
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.simulator import Simulator
from tests.services.postgres import PostgresServer
from tests.stack.databases import Database, seeded, upgraded
from tests.stack.remote import Remote
from tests.stack.scene import Scene
from tests.sweeps.door import Door, addresses

BUSINESS_DATE = date(2026, 11, 20)

_numbers = itertools.count(1)


@dataclass
class Workshop:
    """A folder in which scenes are made.

    Attributes:
        keys: Keys of a simulator.
        postgres: For ledgers of kind "postgresql".
    """

    root: Path
    keys: Path
    postgres: PostgresServer | None = None
    merchant: str = "insurance"
    _seeded: dict[tuple[str, int], Path] = field(default_factory=dict)
    _ledgers: dict[str, Database] = field(default_factory=dict)

    @contextmanager
    def scene(
        self,
        ledger: str,
        charges: int = 40,
        changes: Mapping[str, Any] | None = None,
        faults: tuple[Any, ...] = (),
        *,
        merchant: str = "",
        http: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[Scene, Simulator]]:
        """A merchant with a ledger of that kind, and DOKU's simulator; both are gone afterwards.

        Args:
            merchant: Another one than the workshop's.
            http: Settings of DOKU's HTTP side, which then has a clock of its own and tells the merchant of bills.
        """
        merchant, door = merchant or self.merchant, Door()
        root = self.root / f"scene-{next(_numbers)}"
        shutil.copytree(self.keys, root / "doku" / "keys")
        over_http = HttpConfig() if "doku" in (changes or {}).get("connections", {}) else None
        if http is not None:
            over_http = HttpConfig(post=door.post, notify_urls=addresses(merchant), **http)
        config = SimulatorConfig(root=root / "doku", auto=False, process_after=0, sync=False, http=over_http)
        made = self._ledger(ledger, root)
        try:
            with Simulator(config) as doku:
                if faults:
                    doku.behave(Behaviour(faults=tuple(_fault(one) for one in faults)))
                scene = Scene(
                    root=root, merchant=merchant, business_date=BUSINESS_DATE,
                    billing=self._billing(merchant, charges, root), ledger=made,
                    remote=Remote.simulator(doku.describe()), changes=changes or {},
                )  # fmt: skip
                scene.write_profile()
                door.open(scene, doku)
                yield scene, doku
        finally:
            door.close()
            if made.kind == "postgresql" and self.postgres:
                self.postgres.drop_database(made.url.rsplit("/", 1)[-1])
            shutil.rmtree(root, ignore_errors=True)

    def _billing(self, merchant: str, charges: int, root: Path) -> Database:
        known = (merchant, charges)
        if known not in self._seeded:
            file = self.root / f"billing-{merchant}-{charges}.db"
            seeded(Database.sqlite(file), merchant, charges, BUSINESS_DATE)
            self._seeded[known] = file
        shutil.copyfile(self._seeded[known], root / "billing.db")
        return Database.sqlite(root / "billing.db")

    def _ledger(self, kind: str, root: Path) -> Database:
        if kind == "sqlite":
            if kind not in self._ledgers:
                self._ledgers[kind] = upgraded(Database.sqlite(self.root / "ledger.db"))
            shutil.copyfile(self.root / "ledger.db", root / "ledger.db")
            return Database.sqlite(root / "ledger.db")
        server = self.postgres
        assert server is not None, "this workshop has no PostgreSQL"
        if kind not in self._ledgers:
            self._ledgers[kind] = upgraded(Database.on(server, f"sweep_template_{next(_numbers)}"))
        name = f"sweep_{next(_numbers)}"
        self._copy_database(self._ledgers[kind].url.rsplit("/", 1)[-1], name)
        return Database("postgresql", server.sqlalchemy_url(name), server.airflow_connection(name))

    def _copy_database(self, template: str, name: str) -> None:
        assert self.postgres is not None
        address = {"host": self.postgres.host, "port": self.postgres.port, "user": self.postgres.user}
        with psycopg.connect(**address, dbname="postgres", autocommit=True) as connection:
            named = map(sql.Identifier, (name, template))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*named))

    @contextmanager
    def as_it_was(self, scene: Scene) -> Iterator[Callable[[], None]]:
        """Keeps what a scene's ledger, billing database and archive hold now; what is given puts it back."""
        kept = self.root / f"kept-{next(_numbers)}"
        shutil.copytree(scene.root, kept, ignore=shutil.ignore_patterns("doku"))
        name = scene.ledger.url.rsplit("/", 1)[-1]
        template = f"{name}_kept"
        server = self.postgres if scene.ledger.kind == "postgresql" else None
        if server:
            self._copy_database(name, template)

        def put_back() -> None:
            shutil.rmtree(scene.artefacts)
            for file in scene.root.glob("*.db*"):
                file.unlink()
            shutil.copytree(kept, scene.root, dirs_exist_ok=True)
            if server:
                server.drop_database(name)
                self._copy_database(template, name)

        try:
            yield put_back
        finally:
            if server:
                server.drop_database(template)


def _fault(one: Any) -> Fault:
    return Fault(one) if isinstance(one, str) else Fault(**one)
