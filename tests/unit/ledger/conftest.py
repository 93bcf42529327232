"""A ledger to try rules on, once on each database that a ledger may live on."""

from collections.abc import Iterator

import pytest

from include.domain.connection import ConnectionSettings
from include.ledger.store import Ledger, ledger_engine
from tests.flows_harness import without_fsync
from tests.unit.ledger.lab import Lab


def _lab(settings: ConnectionSettings) -> Iterator[Lab]:
    engine = ledger_engine(settings)
    yield Lab(without_fsync(Ledger.open(engine)))
    engine.dispose()


@pytest.fixture
def lab(ledger_settings: ConnectionSettings) -> Iterator[Lab]:
    yield from _lab(ledger_settings)


@pytest.fixture
def sqlite_lab(sqlite_ledger: ConnectionSettings) -> Iterator[Lab]:
    yield from _lab(sqlite_ledger)
