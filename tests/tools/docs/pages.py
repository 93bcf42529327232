"""The generated pages, by file name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.tools.docs import (
    architecture_page,
    dags_page,
    faults_page,
    incidents_page,
    ledger_page,
    onboarding_page,
    retry_page,
)

PROJECT: Final = Path(__file__).resolve().parents[3]

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/DAGS.md": dags_page.render,
    "docs/architecture.md": architecture_page.render,
    "docs/faults.md": faults_page.render,
    "docs/incidents.md": incidents_page.render,
    "docs/ledger.md": ledger_page.render,
    "docs/onboarding.md": onboarding_page.render,
    "docs/retry.md": retry_page.render,
}
