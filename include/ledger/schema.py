"""Making and upgrading the ledger's schema, and refusing to work on one that is not at head."""

import secrets
import uuid
from datetime import datetime
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, select

from include.domain.errors import LedgerError
from include.ledger import tables

VERSION_TABLE: Final = "doku_ledger_version"
UPGRADE_COMMAND: Final = "python -m include.cli ledger upgrade --environment sandbox|production"


def alembic_config() -> Config:
    """Alembic's configuration for the ledger, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if revision is None:
        raise LedgerError("The package holds no ledger migration; the installation is broken. Install it again.")
    return revision


def known_revisions() -> set[str]:
    """The revisions that this code knows."""
    return {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}


def upgrade(engine: Engine, environment: str, now: datetime) -> tuple[str | None, str]:
    """Bring the ledger's schema to head, and give a new ledger its id and its environment.

    Args:
        engine: The ledger's database.
        environment: "sandbox" or "production"; a ledger belongs to one for good.
        now: The moment, with a timezone.

    Returns:
        Revision before (None: it was empty) and after.

    Raises:
        LedgerError: The ledger belongs to the other environment.
    """
    with engine.begin() as connection:
        before = _revision(connection.engine, connection)
        if before is not None and before not in known_revisions():
            raise LedgerError(
                f"The ledger is at schema {before}, which is newer than this code ({head()}). Nothing was changed; "
                "install the newer package again."
            )
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        known = connection.execute(select(tables.ledger.c.environment)).scalar()
        if known is None:
            row = {
                "one": 1,
                "ledger_id": str(uuid.uuid4()),
                "environment": environment,
                "fingerprint_key": secrets.token_hex(32),
                "created_at": now,
            }
            connection.execute(tables.ledger.insert(), row)
        elif known != environment:
            raise LedgerError(
                f"This ledger belongs to the {known} environment and stays there. "
                f"Name another database for {environment} in the ledger's connection."
            )
    return before, head()


def refuse_unless_at_head(engine: Engine) -> None:
    """LedgerError, naming the command to run, when the ledger's schema is not the one that this code needs."""
    with engine.connect() as connection:
        found = _revision(engine, connection)
    if found is not None and found not in known_revisions():
        raise LedgerError(
            f"The ledger is at schema {found}, which is newer than this code ({head()}). "
            "Install the newer package again; a ledger is never taken back to an older schema."
        )
    if found != head():
        state = "has no schema yet" if found is None else f"is at schema {found}, this code needs {head()}"
        raise LedgerError(f"The ledger {state}. Run: {UPGRADE_COMMAND}")


def _revision(engine: Engine, connection: object) -> str | None:
    context = MigrationContext.configure(
        connection,  # type: ignore[arg-type]
        dialect=engine.dialect,
        opts={"version_table": VERSION_TABLE},
    )
    return context.get_current_revision()
