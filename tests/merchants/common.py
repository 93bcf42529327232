"""What the invented merchants share: running an example's statements, filling its tables, and people's names."""

from pathlib import Path
from random import Random
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "include" / "billing" / "examples"

TEST_CARD_NUMBERS: Final = ("4111111111111111", "5555555555554444", "378282246310005", "3566002020360505")
"""Numbers that card schemes publish for tests."""

_FIRST: Final = (
    "Siti", "Budi", "Dewi", "Agus", "Rina", "Eko", "Putri", "Hendra", "Ayu", "Joko", "Maya", "Rizky", "Wulan", "Fajar",
    "Indah", "Bayu", "Lestari", "Yusuf", "Ratna", "Dian",
)  # fmt: skip
_LAST: Final = (
    "Santoso", "Wijaya", "Saputra", "Hidayat", "Kusuma", "Pratama", "Siregar", "Nasution", "Gunawan", "Setiawan",
    "Halim", "Simanjuntak", "Wibowo", "Permata", "Lubis", "Anggraini",
)  # fmt: skip


def person(chance: Random) -> str:
    """A name."""
    return f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"


def statements(schema: Path) -> list[str]:
    """An example's statements, without comments."""
    lines = (line.split("--", 1)[0].rstrip() for line in schema.read_text(encoding="utf-8").splitlines())
    return [part.strip() for part in "\n".join(line for line in lines if line).split(";") if part.strip()]


def make_tables(engine: Engine, schema: Path) -> None:
    """Run an example's statements in an empty database."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        for statement in statements(schema):
            connection.exec_driver_sql(statement)
        if engine.dialect.name == "postgresql":
            for statement in statements(EXAMPLES / "postgresql.sql"):
                connection.exec_driver_sql(statement)


def insert_rows(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows that have the same columns."""
    if not rows:
        return
    names = list(rows[0])
    if connection.dialect.name == "postgresql":  # a million charges in a minute or two
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([row[name] for name in names])
    else:
        values = ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"), rows)
