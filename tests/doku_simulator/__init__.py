"""DOKU's end of Account Billing, for tests and demonstrations: SFTP, reports, the API, and faults.

Imports nothing of the merchant's package: a second reading of DOKU's formats. `python -m tests.doku_simulator --help`.
"""

from tests.doku_simulator.behaviour import Behaviour, Chaos, Fault
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.envelope import EnvelopeForm
from tests.doku_simulator.menu import MENU
from tests.doku_simulator.processor import FileResult
from tests.doku_simulator.simulator import AlreadyRunningError, Simulator
from tests.doku_simulator.web.settings import HttpConfig

__all__ = [
    "MENU",
    "AlreadyRunningError",
    "Behaviour",
    "Chaos",
    "EnvelopeForm",
    "Fault",
    "FileResult",
    "HttpConfig",
    "Simulator",
    "SimulatorConfig",
]
