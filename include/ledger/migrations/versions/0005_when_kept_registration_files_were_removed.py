"""When the kept copies of registration files were removed

Housekeeping left them for ever. Nothing is removed by the upgrade; what is old by then goes with the next run.
"""

import sqlalchemy as sa
from alembic import op

from include.ledger.types import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "Housekeeping removed the kept file; its digests stay"
    op.add_column("registration_file", sa.Column("file_removed_at", UtcDateTime(), nullable=True, comment=comment))
