"""Merchants with bills at DOKU."""

from collections.abc import Callable

import pytest

from include.domain.connection import ConnectionSettings
from tests.flows_harness import Merchant
from tests.recurring_harness import RECURRING, Bills


@pytest.fixture
def bills(make_merchant: Callable[..., Merchant]) -> Bills:
    """One whose ledger is in SQLite."""
    return Bills(make_merchant(changes=RECURRING))


@pytest.fixture
def bills_on_each(make_merchant: Callable[..., Merchant], ledger_settings: ConnectionSettings) -> Bills:
    """One on each database that a ledger may live on."""
    return Bills(make_merchant(ledger_settings, changes=RECURRING))
