"""Alembic's entry: runs the migrations on the connection that `include.ledger.schema` hands over."""

from alembic import context

from include.ledger import bill_tables, inbox_tables, tables  # noqa: F401 - all tables of the metadata
from include.ledger.metadata import metadata

VERSION_TABLE = "doku_ledger_version"

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
