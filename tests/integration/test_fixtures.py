"""The fixtures that other tests stand on give what they promise."""

import paramiko
import sqlalchemy as sa


def test_a_ledger_is_at_head(ledger_database):
    from include.ledger.schema import refuse_unless_at_head

    engine = ledger_database.engine()
    refuse_unless_at_head(engine)
    engine.dispose()


def test_a_billing_database_is_empty(billing_database):
    engine = billing_database.engine()
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_simulator_takes_logins(doku):
    transport = paramiko.Transport((doku.host, doku.port))
    try:
        transport.connect(username=doku.user, password=doku.password)
        assert "inbound" in paramiko.SFTPClient.from_transport(transport).listdir("/")
    finally:
        transport.close()
