"""docs/crash-matrix.md: every step that the flows have, how often it was killed there, and how that ended.

Written from the results of `make sweep` (var/sweeps), by `python -m tests.sweeps.matrix`.
"""

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.sweeps.scenarios import SCENARIOS

PROJECT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = PROJECT / "docs" / "crash-matrix.md"
RESULTS: Final = PROJECT / "var" / "sweeps" / "crash"

_LEDGERS: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_BY: Final = {"same": "same run", "other": "other runs"}

_HEAD: Final = """\
# Crash matrix

<!-- Generated from the results of `make sweep`. Do not edit: run it again. -->

Every effect that others can see, of submit and reconcile, of bills and of tokens, has a named step before and after it
(`context.step(...)` in `include/flows`). The sweep plays a day in a process of its own, over real SFTP and HTTP against
the DOKU simulator, kills it there with SIGKILL, restarts, runs on to the end, and checks: no invoice number sent twice,
no charge charged twice, no bill asked for twice, no payment told twice, none lost, no temporary file left behind, books
that tie, `verify` silent.

- **same run**: the same run goes on, from the first task of that hour. Every table of the ledger, the merchant's
  `doku_charge_outcomes`, `doku_bill_status` and `doku_tokens`, the bills and the files at DOKU must be as without the
  kill (times, ids, tries and endings of kept files apart).
- **other runs**: nobody restarts it. A fresh run of that day comes, then the next day's.
- **a person**: after a kill between the promise to rename and the rename nobody can say whether the file arrived, and
  nothing is sent again. A person asks DOKU and says so (`never-arrived`, for a file that registers bills
  `registration_never_arrived`); the next run claims the charges anew, or sends the bills in another file.

`make test` kills at a fixed sample of these steps; `make sweep` at all of them.
`never`: no day that is played comes by.
"""


def steps_of_the_code() -> list[str]:
    """The names of all steps in include/flows, in the order of files and lines."""
    return [name for name, _ in _steps()]


def steps_listed() -> list[str]:
    """The names of the steps that the page lists."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return re.findall(r"^\| \d+ \| ([^|]+?) \| `", text, re.MULTILINE)


def keep(scenario: str, ledger: str, by: str, results: list[dict[str, Any]]) -> None:
    """Store the results of one part of the sweep."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{scenario.replace(' ', '-')}.{ledger}.{by}.json"
    file.write_text(json.dumps({"scenario": scenario, "ledger": ledger, "by": by, "kills": results}, indent=1))


def render() -> str:
    """The page."""
    parts = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))]
    kills = [
        {**kill, **{key: part[key] for key in ("scenario", "ledger", "by")}} for part in parts for kill in part["kills"]
    ]
    columns = [(ledger, by) for ledger in _LEDGERS for by in _BY]
    names = [f"{_LEDGERS[ledger]}, {_BY[by]}" for ledger, by in columns]
    lines = [_HEAD, f"{len(kills)} kills in all, {sum(bool(one['problems']) for one in kills)} of them failed.\n"]
    lines += ["| # | step | where | " + " | ".join(names) + " | it ended |", "|---" * (4 + len(names)) + "|"]
    for number, (step, file) in enumerate(_steps(), start=1):
        mine = [one for one in kills if one["name"] == step]
        counts = [sum((one["ledger"], one["by"]) == column for one in mine) for column in columns]
        cells = " | ".join(str(count or "-") for count in counts)
        lines.append(f"| {number} | {step} | `{file}` | {cells} | {_ended(mine)} |")
    lines += [
        "",
        "## The days that were played",
        "",
        "| day | what happens | steps passed and killed at |",
        "|---|---|---|",
    ]
    for scenario in SCENARIOS.values():
        passed = len({(one["number"]) for one in kills if one["scenario"] == scenario.name})
        lines.append(f"| {scenario.name} | {scenario.title} | {passed} |")
    return "\n".join(lines) + "\n"


def _ended(kills: list[dict[str, Any]]) -> str:
    if not kills:
        return "never"
    if any(one["problems"] for one in kills):
        return "**failed**"
    counts = Counter(one["ending"] for one in kills)
    return ", ".join(f"{ending}: {count}" for ending, count in sorted(counts.items()))


def _steps() -> Iterator[tuple[str, str]]:
    seen = set()
    flows = PROJECT / "include" / "flows"
    for path in (*sorted(flows.glob("*.py")), *sorted(flows.glob("*/*.py"))):
        calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
        steps = [one for one in calls if ast.unparse(one.func) == "context.step"]
        for call in sorted(steps, key=lambda one: one.lineno):
            name = ast.literal_eval(call.args[0])
            if name not in seen:
                seen.add(name)
                yield name, str(path.relative_to(flows))


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(PROJECT)}\n")
