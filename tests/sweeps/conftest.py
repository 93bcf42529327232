"""What the sweeps share: servers, keys, and a workshop that makes merchants quickly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import doku_keys, postgres  # noqa: F401 - fixtures
from tests.sweeps.workshop import Workshop

POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.services])


@pytest.fixture
def make_workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Workshop]:
    """Makes a workshop for ledgers of a kind."""

    def make(ledger: str) -> Workshop:
        server = request.getfixturevalue("postgres") if ledger == "postgresql" else None
        return Workshop(tmp_path, request.getfixturevalue("doku_keys").parent / "keys", server)

    return make
