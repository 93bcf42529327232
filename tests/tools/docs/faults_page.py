"""docs/faults.md, from the fault table and the simulator's menu."""

from collections.abc import Iterator

from tests.doku_simulator.menu import MENU
from tests.sweeps.fault_table import CHARGES, ROWS, Row
from tests.tools.docs.markdown import code, table

_HEAD = f"""# Faults, and where they end

Written by `make docs` from `tests/sweeps/fault_table.py`; do not edit. Every fault of the [simulated DOKU's
menu](../tests/doku_simulator/README.md), played over real SFTP on a day of {CHARGES} charges and on the day after it,
with what people would do in between; a test holds every row to what it says. In all of them the promises hold: each
charge is collected at most once, none is lost, the books tie, the merchant is told what DOKU said, and `python -m
include.cli verify` finds nothing.

`make sweep` plays all rows with several seeds, and random mixes of them. A mix that fails names its seed; `make fault
SEED=7` plays it again and looks for the fewest steps that fail.

Errors that Airflow tries again by itself are marked so. The words of each error have a [runbook](runbooks/README.md).
"""

_GROUPS = (
    ("The line and the log-in", "connection_refused"),
    ("Delivery", "upload_cut"),
    ("Listing and fetching reports", "download_cut"),
    ("What DOKU does with the batch file", "file_rejected"),
    ("The report as a whole", "report_late"),
    ("The report's lines", "lines_duplicated"),
)


def render() -> str:
    """The page."""
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    starts = [next(at for at, row in enumerate(ROWS) if row.fault == first) for _, first in _GROUPS]
    for (title, _), start, end in zip(_GROUPS, starts, [*starts[1:], len(ROWS)], strict=True):
        yield f"## {title}"
        yield ""
        head = ("fault", "what happens", "a person sees", "after the first runs", "in the end", "safe next action")
        yield from table(head, (_cells(row) for row in ROWS[start:end]))


def _cells(row: Row) -> tuple[str, ...]:
    name = code(row.fault) + (f", {row.when}" if row.when else "")
    return (name, MENU[row.fault].summary, _seen(row), _first(row), _end(row), row.action)


def _seen(row: Row) -> str:
    if not row.sees:
        return "no error"
    again = "; Airflow tries again" if row.retried else ""
    return f"{code(row.sees)}: … {row.words.strip()} … {row.next_words} …{again}"


def _first(row: Row) -> str:
    return f"batch {code(row.batch)}{_reports(row.reports)}"


def _end(row: Row) -> str:
    reports = row.reports if row.ends_reports is None else row.ends_reports
    told = ", ".join(f"{count} {status}" for status, count in row.told.items())
    breaks = ", ".join(f"{count} {code(kind)}" for kind, count in row.breaks.items())
    parts = [f"batch {code(row.ends)}{_reports(reports)}", told and f"attempts: {told}", breaks and f"breaks: {breaks}"]
    return "; ".join(part for part in parts if part)


def _reports(reports: object) -> str:
    found = dict(reports)  # type: ignore[call-overload]
    return "".join(f", {count} report {code(state)}" for state, count in found.items())
