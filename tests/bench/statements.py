"""What each statement costs in PostgreSQL's own processor time: for profiles, on a machine that others use too."""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa


class Statements:
    """Listens to every statement of this process; what COPY does beside SQLAlchemy is not seen."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = defaultdict(list)
        sa.event.listen(sa.Engine, "before_cursor_execute", self._before)
        sa.event.listen(sa.Engine, "after_cursor_execute", self._after)

    def keep(self, path: Path) -> None:
        """Write the dearest ones: seconds, times, statement."""
        path.parent.mkdir(parents=True, exist_ok=True)
        dearest = sorted(self._spent.items(), key=lambda item: -sum(item[1]))[:40]
        lines = [f"{sum(spent):8.2f} {len(spent):6d}  {' '.join(words.split())[:700]}" for words, spent in dearest]
        path.write_text("\n".join(lines) + "\n")

    def _before(self, connection: Any, *_: Any) -> None:
        connection.info["bench_before"] = self._seconds(connection)

    def _after(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._spent[statement].append(self._seconds(connection) - connection.info.get("bench_before", 0.0))

    @staticmethod
    def _seconds(connection: Any) -> float:
        with suppress(AttributeError, OSError):
            pid = connection.connection.driver_connection.info.backend_pid
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0
