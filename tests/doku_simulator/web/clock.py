"""The HTTP side's clock: the real time, or a simulated one that stands still until it is told to go on."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from tests.doku_simulator.web.settings import WIB
from tests.doku_simulator.web.store import Store


class Clock:
    """Seconds since the epoch. A simulated moment is kept over a restart."""

    def __init__(self, store: Store, real: Callable[[], float], start_at: datetime | None) -> None:
        self._store, self._real = store, real
        self._moment: float | None = store.get("moment")
        if self._moment is None and start_at is not None:
            self.set(_aware(start_at).timestamp())

    def now(self) -> float:
        return self._real() if self._moment is None else self._moment

    @property
    def simulated(self) -> bool:
        return self._moment is not None

    def set(self, moment: float) -> None:
        self._store.put("moment", moment)
        self._moment = moment


def seconds_of(moment: float | datetime | date | str) -> float:
    """Seconds since the epoch; a day means its end, and times without a zone are Jakarta's.

    Raises:
        ValueError: Not a moment.
    """
    if isinstance(moment, int | float):
        return float(moment)
    if isinstance(moment, str):
        moment = date.fromisoformat(moment) if len(moment) == 10 else datetime.fromisoformat(moment)
    if not isinstance(moment, datetime):
        return (datetime.combine(moment, time(), WIB) + timedelta(days=1)).timestamp() - 1
    return _aware(moment).timestamp()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=WIB)
