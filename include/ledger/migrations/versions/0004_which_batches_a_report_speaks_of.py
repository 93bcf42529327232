"""Which batches a report speaks of, and how often it was read

Most batches are answered by one report: then none of its lines has to be held against all lines that there ever were.
The reports that are there are looked through once; each counts as read once, for only what is still to come matters.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_FILL = """
    INSERT INTO report_batch (report_id, batch_id)
    SELECT DISTINCT l.report_id, a.batch_id FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # first of all: whoever is writing lines is waited for
        op.execute("LOCK TABLE report_line IN SHARE MODE")
    op.create_table(
        "report_batch",
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=op.f("fk_report_batch_batch_id")),
        sa.ForeignKeyConstraint(["report_id"], ["report_file.report_id"], name=op.f("fk_report_batch_report_id")),
        sa.PrimaryKeyConstraint("report_id", "batch_id", name=op.f("pk_report_batch")),
        comment="Which batches the lines of a report tie to",
    )
    op.create_index(op.f("ix_report_batch_batch_id"), "report_batch", ["batch_id"])
    op.execute(_FILL)
    comment = "How many times it was taken in"
    op.add_column(
        "report_file", sa.Column("readings", sa.Integer(), nullable=False, server_default="1", comment=comment)
    )
