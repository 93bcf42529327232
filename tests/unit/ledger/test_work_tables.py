"""How PostgreSQL is told to look at rows: only for as long as was asked for."""

import pytest
import sqlalchemy as sa

from include.ledger.store import ledger_engine
from include.ledger.work_tables import looked_up
from tests.unit.conftest import POSTGRESQL

_NAMES = ("enable_hashjoin", "enable_mergejoin", "max_parallel_workers_per_gather")
_SETTINGS = sa.text("SELECT " + ", ".join(f"current_setting('{name}')" for name in _NAMES))


def _settings(connection):
    return tuple(connection.execute(_SETTINGS).one())


@pytest.mark.parametrize("ledger_settings", [POSTGRESQL], indirect=True)
def test_rows_are_looked_up_by_index_until_the_block_or_the_transaction_ends(ledger_settings):
    engine = ledger_engine(ledger_settings)
    with engine.connect() as connection:
        before = _settings(connection)
        with looked_up(connection):
            assert _settings(connection) == ("off", "off", "0")
        assert _settings(connection) == before == ("on", "on", "2")
        with pytest.raises(sa.exc.DBAPIError), looked_up(connection):
            connection.execute(sa.text("SELECT 1 / 0"))
        connection.rollback()
        assert _settings(connection) == before
    engine.dispose()
