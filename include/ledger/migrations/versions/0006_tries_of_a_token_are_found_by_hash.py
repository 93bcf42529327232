"""Tries of a token are found by hash

Fingerprints come at random places, and writing this index took longest of all that a claim writes. SQLite has no hash
index and keeps the one it has.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # While it is built attempts can be read; nobody can for the moment that it takes to change the names.
        op.create_index("ix_attempt_token_hash", "attempt", ["token_fingerprint"], postgresql_using="hash")
        op.drop_index("ix_attempt_token", "attempt")
        op.execute("ALTER INDEX ix_attempt_token_hash RENAME TO ix_attempt_token")
