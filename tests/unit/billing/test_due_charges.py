"""Reading due charges: exact text, whole days, every row once, in chunks; and what is said when the view is wrong."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from include.billing.due_charges import check_view, read_due_charges
from include.billing.engine import billing_engine
from include.domain.due_charge_columns import COLUMNS
from include.domain.errors import BillingError
from include.schemas.due_charges import DueChargesRead
from tests.merchants import insurance
from tests.unit.billing.conftest import CHARGE, BillingDatabase, MakeView, maker_of

DAY = date(2026, 11, 22)


def _frames(database: BillingDatabase, *, chunk_rows: int = 1000, **other: object) -> list[pd.DataFrame]:
    arguments = {"view": "doku_due_charges", "columns": {}, "due_by": DAY, "chunk_rows": chunk_rows} | other
    return list(read_due_charges(database.engine, **arguments))


def _read(database: BillingDatabase, **other: object) -> pd.DataFrame:
    return pd.concat(_frames(database, **other), ignore_index=True)


def test_one_charge_comes_as_exact_text(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(CHARGE)
    frame = _read(database)
    assert DueChargesRead.validate(frame).shape == (1, 13)
    row = frame.iloc[0].dropna().to_dict()
    assert Decimal(row.pop("amount")) == 1500000
    assert row == {
        **{name: value for name, value in CHARGE.items() if name != "amount"},
        "row_no": 1,
    }


def test_an_amount_never_passes_through_a_float(database: BillingDatabase, make_view: MakeView) -> None:
    kind = "TEXT" if database.kind == "sqlite" else "DECIMAL(20,2)"
    make_view({"amount": "900719925474099345.67"}, amount=kind)
    assert _read(database)["amount"].tolist() == ["900719925474099345.67"]


def test_null_and_empty_text_are_told_apart(database: BillingDatabase, make_view: MakeView) -> None:
    make_view({"charge_id": "a", "description": ""}, {"charge_id": "b", "description": None})
    assert _read(database)["description"].tolist() == ["", pd.NA]


ODD = [
    'say "hello", twice',
    "line\nbreak\r\nand\ttab",
    "\\N",
    "\\.",
    "100 %% sure: %s %(x)s",
    "élan 保険 💳",
    "'; --",
    ",",
    '"',
    " ",
]


def test_odd_texts_come_as_they_are(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(*({"charge_id": f"{number:02}", "description": text} for number, text in enumerate(ODD)))
    assert _read(database, chunk_rows=3)["description"].tolist() == ODD


def test_the_order_is_that_of_the_ids_and_rows_are_counted_over_all_chunks(
    database: BillingDatabase, make_view: MakeView
) -> None:
    make_view(*({"charge_id": f"{number:03}"} for number in reversed(range(25))))
    frames = _frames(database, chunk_rows=10)
    assert [len(frame) for frame in frames] == [10, 10, 5]
    whole = pd.concat(frames)
    assert whole["row_no"].tolist() == list(range(1, 26))
    assert whole["charge_id"].tolist() == [f"{number:03}" for number in range(25)]


def test_a_chunk_may_be_exactly_full(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(*({"charge_id": f"{number:03}"} for number in range(20)))
    assert [len(frame) for frame in _frames(database, chunk_rows=10)] == [10, 10]


def test_an_empty_view_gives_no_frame(database: BillingDatabase, make_view: MakeView) -> None:
    make_view()
    assert _frames(database) == []


def test_only_charges_due_by_the_day_are_read_and_those_without_a_day_too(
    database: BillingDatabase, make_view: MakeView
) -> None:
    days = {"a": "2026-11-21", "b": "2026-11-22", "c": "2026-11-23", "d": None, "e": "2027-01-01"}
    make_view(*({"charge_id": name, "due_date": day} for name, day in days.items()))
    assert _read(database)["charge_id"].tolist() == ["a", "b", "d"]


def test_days_kept_as_text_are_read_where_they_are_no_days(database: BillingDatabase, make_view: MakeView) -> None:
    days = {
        "a": "2026-11-22", "b": "2026-11-23", "c": "22/11/2026", "d": "", "e": "soon", "f": "20261122",
        "g": "2026-13-01", "h": "2026-02-30", "i": "2026-11-22 23:59:59", "j": "2026-11-23 00:00:00", "k": "0000-00-00",
    }  # fmt: skip
    make_view(*({"charge_id": name, "due_date": day} for name, day in days.items()), due_date="VARCHAR(30)")
    frame = _read(database)
    assert dict(zip(frame["charge_id"], frame["due_date"], strict=True)) == {
        name: day for name, day in days.items() if name not in "bj"
    }


def test_a_time_of_the_day_does_not_make_a_charge_late(database: BillingDatabase, make_view: MakeView) -> None:
    kind = {"postgresql": "TIMESTAMP", "mysql": "DATETIME"}.get(database.kind, "DATETIME")
    make_view(
        {"charge_id": "a", "due_date": "2026-11-22 23:59:59"},
        {"charge_id": "b", "due_date": "2026-11-23 00:00:00"},
        due_date=kind,
    )
    assert _read(database)["due_date"].tolist() == ["2026-11-22 23:59:59"]


def test_columns_go_by_the_names_that_the_profile_maps(database: BillingDatabase, make_view: MakeView) -> None:
    others = ", ".join(name for name in CHARGE if name not in ("charge_id", "amount"))
    make_view(CHARGE, select=f"charge_id AS {_quoted(database, 'Premium Id')}, amount AS premium, {others}")
    frame = _read(database, columns={"charge_id": "Premium Id", "amount": "premium"})
    assert frame["charge_id"].tolist() == ["C1"]
    assert Decimal(frame["amount"][0]) == 1500000


def _quoted(database: BillingDatabase, name: str) -> str:
    return f"`{name}`" if database.kind == "mysql" else f'"{name}"'


def test_optional_columns_are_read_where_they_are(database: BillingDatabase, make_view: MakeView) -> None:
    make_view({"network": "VISA", "attempt_no": 2}, network="VARCHAR(10)", attempt_no="INTEGER")
    row = _read(database).iloc[0]
    assert (row["network"], row["attempt_no"]) == ("VISA", "2")


def test_a_missing_view_is_named_with_its_key(database: BillingDatabase) -> None:
    with pytest.raises(BillingError) as caught:
        _frames(database)
    assert "no view 'doku_due_charges'" in caught.value.message
    assert "billing.view" in caught.value.message
    assert "insurer_billing" in caught.value.message
    assert not caught.value.retryable


def test_a_missing_column_is_named_with_its_key(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(select=", ".join(name for name in CHARGE if name != "billing_number") + ", billing_number AS billing_no")
    with pytest.raises(BillingError) as caught:
        _frames(database)
    message = caught.value.message
    assert all(part in message for part in ("'doku_due_charges'", "'billing_number'", "billing.columns.billing_number"))
    assert "'billing_no'" in message  # what it may have meant


def test_a_mapped_optional_column_must_be_there(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(CHARGE)
    with pytest.raises(BillingError, match=r"billing\.columns\.network"):
        _frames(database, columns={"network": "card_brand"})


def test_checking_the_view_reads_nothing_and_finds_the_same(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(CHARGE)
    check_view(database.engine, view="doku_due_charges", columns={})
    with pytest.raises(BillingError, match="no column 'x'"):
        check_view(database.engine, view="doku_due_charges", columns={"token": "x"})


def test_a_reader_that_stops_early_lets_go_of_the_database(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(*({"charge_id": f"{number:04}"} for number in range(2000)))
    reading = read_due_charges(database.engine, view="doku_due_charges", columns={}, due_by=DAY, chunk_rows=10)
    next(reading)
    reading.close()
    database.run("DROP VIEW doku_due_charges", "DROP TABLE charges")  # would wait for, or fail at, an open reader


def test_the_view_of_a_whole_merchant_is_read_as_it_lists(database: BillingDatabase) -> None:
    seeded = insurance.seed(database.owner, charges=400, business_date=DAY)
    frame = _read(database, chunk_rows=150)
    assert len(frame) == seeded.due
    assert len(database.all("SELECT charge_id FROM doku_due_charges")) == seeded.rows


def test_bytes_that_are_no_text_are_read_as_such_a_row(sqlite_database: BillingDatabase) -> None:
    maker_of(sqlite_database)(CHARGE, {"charge_id": "C2"})
    sqlite_database.run("UPDATE charges SET description = CAST(X'41FF42' AS TEXT) WHERE charge_id = 'C2'")
    assert _read(sqlite_database)["description"].tolist() == ["Premi", "A�B"]


@pytest.mark.services
@pytest.mark.xdist_group("billing")
class TestCopy:
    """PostgreSQL's two ways."""

    def test_both_ways_give_equal_frames(self, postgres_database: BillingDatabase) -> None:
        insurance.seed(postgres_database.owner, charges=1500, business_date=DAY)
        fast = _frames(postgres_database, chunk_rows=400)
        slow = _frames(postgres_database, chunk_rows=400, by_copy=False)
        assert len(fast) == len(slow) > 2
        for one, other in zip(fast, slow, strict=True):
            pd.testing.assert_frame_equal(one, other)

    def test_both_ways_give_equal_odd_texts(self, postgres_database: BillingDatabase) -> None:
        maker_of(postgres_database)(
            *(
                {"charge_id": f"{number:02}", "description": text}
                for number, text in enumerate([*ODD, "", None, "x" * 3_000_000])
            )
        )
        one, other = _read(postgres_database), _read(postgres_database, by_copy=False)
        pd.testing.assert_frame_equal(one, other)
        assert one["description"].tolist()[: len(ODD)] == ODD

    @pytest.mark.parametrize("by_copy", [True, False])
    def test_what_the_server_prefers_for_dates_does_not_matter(
        self, postgres_database: BillingDatabase, by_copy: bool
    ) -> None:
        maker_of(postgres_database)(CHARGE, {"charge_id": "C2", "due_date": "-infinity"})
        name = postgres_database.settings.schema
        postgres_database.run(f"ALTER DATABASE {name} SET datestyle = 'SQL, DMY'")
        assert _read(postgres_database, by_copy=by_copy)["due_date"].tolist() == ["2026-11-22", "-infinity"]

    def test_a_view_may_be_in_a_schema_and_have_capitals(self, postgres_database: BillingDatabase) -> None:
        postgres_database.run("CREATE SCHEMA finance")
        maker_of(postgres_database)(CHARGE, view='finance."DueCharges"')
        assert len(_read(postgres_database, view="finance.DueCharges")) == 1
        with pytest.raises(BillingError, match=r"no view 'finance\.other'"):
            _frames(postgres_database, view="finance.other")

    def test_an_error_in_the_view_shows_no_row(self, postgres_database: BillingDatabase) -> None:
        others = ", ".join(name for name in CHARGE if name != "amount")
        maker_of(postgres_database)(CHARGE, select=f"{others}, CAST(token AS INTEGER) AS amount")
        for by_copy in (True, False):
            with pytest.raises(BillingError) as caught:
                _frames(postgres_database, by_copy=by_copy)
            assert "22P02" in caught.value.message
            assert CHARGE["token"] not in caught.value.message
            assert caught.value.__suppress_context__

    def test_without_permission_it_says_which_to_grant(self, postgres_database: BillingDatabase) -> None:
        maker_of(postgres_database)(CHARGE)
        name = postgres_database.settings.schema
        postgres_database.run("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
        engine = billing_engine(replace(postgres_database.settings, login="reader"))
        with pytest.raises(BillingError, match=f"{name}.*Grant"):
            list(read_due_charges(engine, view="doku_due_charges", columns={}, due_by=DAY, chunk_rows=10))


def test_frames_are_arrow_strings(database: BillingDatabase, make_view: MakeView) -> None:
    make_view(CHARGE)
    frame = _read(database)
    assert list(frame.columns) == ["row_no", *COLUMNS]
    assert all(frame[name].dtype == pd.ArrowDtype(pa.string()) for name in COLUMNS)


@pytest.mark.services
@pytest.mark.xdist_group("billing")
def test_without_permission_on_mariadb_it_says_which_to_grant(mariadb_database: BillingDatabase) -> None:
    maker_of(mariadb_database)(CHARGE)
    name = mariadb_database.settings.schema
    mariadb_database.run(
        "CREATE TABLE other (one INTEGER)",
        "CREATE OR REPLACE USER reader@`127.0.0.1` IDENTIFIED BY 'throwaway'",
        f"GRANT SELECT ON {name}.other TO reader@`127.0.0.1`",
    )
    engine = billing_engine(replace(mariadb_database.settings, login="reader", password="throwaway"))
    with pytest.raises(BillingError, match="Grant"):
        list(read_due_charges(engine, view="doku_due_charges", columns={}, due_by=DAY, chunk_rows=10))
