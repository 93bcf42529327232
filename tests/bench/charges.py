"""A billing database with as many due charges as one likes, seeded: the insurer's tables, filled in bulk.

One row in a hundred is bad, in ways that any database can hold. The same arguments give the same rows.
"""

import io
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from tests.merchants.insurance import create_schema

BAD_SHARE: Final = 0.01
_ROWS: Final = 200_000
_WAYS: Final = ("no_token", "shape", "zero", "fraction", "currency", "no_due_date", "delimiter", "control", "twice")
_CITIES: Final = ("Jakarta", "Surabaya", "Bandung", "Medan", "Semarang", "Makassar", "Denpasar", "Yogyakarta")
_PRODUCTS: Final = ("Jiwa Keluarga", "Kesehatan Plus", "Pendidikan Anak", "Kecelakaan Diri", "Kendaraan")
_MEANS: Final = (("CREDIT_CARD", "VISA"), ("CREDIT_CARD", "MASTERCARD"), ("CREDIT_CARD", "JCB"), ("DIRECT_DEBIT", None))
_NAMES: Final = ("Siti Santoso", "Budi Wijaya", "Dewi Saputra", "Agus Hidayat", "Rina Kusuma", "Eko Pratama")


def fill(engine: sa.Engine, *, charges: int, business_date: date, seed: int = 7) -> None:
    """Create the insurer's tables in an empty database and fill them; on PostgreSQL by COPY."""
    create_schema(engine)
    with engine.begin() as connection:
        for first in range(0, charges, _ROWS):
            count = min(_ROWS, charges - first)
            for name, table in _tables(first, count, business_date, np.random.default_rng((seed, first))):
                _insert(connection, name, table)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _tables(first: int, count: int, day: date, chance: np.random.Generator) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each table for some charges, one customer, policy and token for each."""
    number = pa.array(np.arange(first + 1, first + count + 1))
    customer, policy = _numbered("C", number, 8), _numbered("PJ", number, 9)
    means = chance.choice(len(_MEANS), count, p=(0.45, 0.35, 0.05, 0.15))
    product = _of(_PRODUCTS, chance.integers(0, len(_PRODUCTS), count))
    way = _ways(count, chance)
    token = chance.bytes(16 * count).hex()
    tokens = np.array([token[start : start + 32] for start in range(0, len(token), 32)], dtype=object)
    tokens[way == "shape"] = "n/a"
    channel, network = (_of([one[place] for one in _MEANS], means) for place in (0, 1))
    yield "insurer_customers", pa.table({
        "customer_id": customer, "full_name": _of(_NAMES, chance.integers(0, len(_NAMES), count)),
        "city": _of(_CITIES, chance.integers(0, len(_CITIES), count)),
    })  # fmt: skip
    active = pa.table({
        "token": pa.array(tokens, pa.string()), "customer_id": customer, "channel": channel, "network": network,
        "active": pa.array(np.ones(count, np.int64)),
    })  # fmt: skip
    yield "insurer_payment_tokens", active.filter(pa.array(way != "no_token"))
    yield "insurer_policies", pa.table({"policy_number": policy, "customer_id": customer, "product": product})
    premiums = _premiums(number, policy, product, day, way, chance)
    yield "insurer_premiums", premiums
    again = premiums.filter(pa.array(way == "twice"))
    yield "insurer_branch_premiums", again.add_column(0, "entry_id", number.filter(pa.array(way == "twice")))


def _ways(count: int, chance: np.random.Generator) -> np.ndarray:
    ways = np.full(count, "", dtype="<U12")
    bad = chance.choice(count, round(count * BAD_SHARE), replace=False)
    ways[bad] = np.array(_WAYS)[np.arange(len(bad)) % len(_WAYS)]
    return ways


def _premiums(
    number: pa.Array, policy: pa.Array, product: pa.Array, day: date, way: np.ndarray, chance: np.random.Generator
) -> pa.Table:
    count = len(number)
    back = chance.choice((0, 0, 0, 0, 0, 1, 1, 2, 3, 5), count)
    due = np.array([(day - timedelta(days=days)).isoformat() for days in range(6)], dtype=object)[back]
    due[way == "no_due_date"] = None
    amounts = (chance.integers(100, 5000, count) * 500).astype(str).astype(object)
    amounts[way == "zero"] = "0"
    amounts[way == "fraction"] = "149999.50"
    described = pc.binary_join_element_wise("Premi ", product, f" {day:%m-%Y}", "")
    described = pc.if_else(pa.array(way == "delimiter"), pc.replace_substring(described, " ", "|"), described)
    described = pc.if_else(pa.array(way == "control"), pc.replace_substring(described, " ", "\t"), described)
    return pa.table({
        "premium_id": _numbered(f"PRM-{day:%Y%m}-", number, 8), "policy_number": policy,
        "amount": pa.array(amounts, pa.string()),
        "currency": pa.array(np.where(way == "currency", "USD", "IDR"), pa.string()),
        "due_date": pa.array(due, pa.string()), "description": described,
    })  # fmt: skip


def _numbered(prefix: str, number: pa.Array, width: int) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(pc.cast(number, pa.string()), width, "0"), "")


def _of(values: "list[str | None] | tuple[str, ...]", places: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(places))


def _insert(connection: sa.Connection, name: str, table: pa.Table) -> None:
    columns = ", ".join(table.column_names)
    if connection.dialect.name != "postgresql":
        values = ", ".join(f":{column}" for column in table.column_names)
        if table.num_rows:
            connection.execute(sa.text(f"INSERT INTO {name} ({columns}) VALUES ({values})"), table.to_pylist())
        return
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    with (
        connection.connection.cursor() as cursor,
        cursor.copy(f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)") as copy,
    ):
        copy.write(buffer.getbuffer())


def fill_sqlite(path: Path, *, charges: int, business_date: date) -> None:
    """The same, as a SQLite file."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    fill(engine, charges=charges, business_date=business_date)
    engine.dispose()
