"""How PostgreSQL is told to look at rows: only for as long as was asked for."""

import pytest
import sqlalchemy as sa

from include.ledger.store import ledger_engine
from include.ledger.work_tables import looked_up
from tests.unit.conftest import POSTGRESQL

_JOINS = sa.text("SELECT current_setting('enable_hashjoin'), current_setting('enable_mergejoin')")


def _joins(connection):
    return tuple(connection.execute(_JOINS).one())


@pytest.mark.parametrize("ledger_settings", [POSTGRESQL], indirect=True)
def test_rows_are_looked_up_by_index_until_the_block_or_the_transaction_ends(ledger_settings):
    engine = ledger_engine(ledger_settings)
    with engine.connect() as connection:
        with looked_up(connection):
            assert _joins(connection) == ("off", "off")
        assert _joins(connection) == ("on", "on")
        with pytest.raises(sa.exc.DBAPIError), looked_up(connection):
            connection.execute(sa.text("SELECT 1 / 0"))
        connection.rollback()
        assert _joins(connection) == ("on", "on")
    engine.dispose()
