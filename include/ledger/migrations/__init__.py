"""The ledger's schema, step by step (Alembic). `python -m include.cli ledger upgrade` runs them; no task ever does."""
