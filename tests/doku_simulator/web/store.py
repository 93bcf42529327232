"""What the HTTP side remembers over a restart: one SQLite file in the state folder."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_TABLES: Final = """
create table if not exists setting (name text primary key, value text not null);
create table if not exists answered (
    request_id text primary key, question text not null, status integer not null, body blob not null);
create table if not exists token (
    customer_id text not null, token text not null, facts text not null, dead integer not null default 0,
    primary key (customer_id, token));
create index if not exists token_by_token on token (token);
create table if not exists asked_customer (customer_id text primary key);
create table if not exists bill (billing_number text primary key, facts text not null);
create index if not exists bill_by_request on bill (json_extract(facts, '$.request_id'));
create table if not exists checkout (code text primary key, facts text not null);
create table if not exists agenda (
    id integer primary key autoincrement, at real not null, kind text not null, facts text not null);
create index if not exists agenda_by_time on agenda (at, id);
create table if not exists notice (id integer primary key autoincrement, facts text not null);
create table if not exists status (id text primary key, status text not null);
"""


class Store:
    """One connection for all threads; what is done in `change` is done whole or not at all.

    A killed process loses nothing that was committed. `sync=False` does not wait for the disk.
    """

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute(f"pragma synchronous={'normal' if sync else 'off'}")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """A transaction; one within another belongs to it."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("rollback")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("commit")

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def insert(self, statement: str, *values: Any) -> int:
        """Insert one row; its number."""
        with self._lock:
            return int(self._connection.execute(statement, values).lastrowid or 0)

    def get(self, name: str, default: Any = None) -> Any:
        rows = self.run("select value from setting where name = ?", name)
        return json.loads(rows[0][0]) if rows else default

    def put(self, name: str, value: Any) -> None:
        self.run("insert or replace into setting (name, value) values (?, ?)", name, json.dumps(value))
