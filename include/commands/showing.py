"""Commands that show a person what became of things."""

import argparse
import sys
from datetime import date
from pathlib import Path

from include.commands.parts import Commands, LookUp, context_of, of_profile


def add(commands: Commands) -> None:
    """Add the commands that show."""
    explain = of_profile(
        commands, "explain", "tell the whole story of one charge, each decision with its rule", _explain
    )
    explain.add_argument("charge", help="charge id, or the invoice number of one of its attempts")
    summary = of_profile(
        commands, "summary", "write a day's page for people to standard output, as it is now", _summary
    )
    summary.add_argument("--business-date", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    summary.add_argument("--out", type=Path, metavar="FILE", help="write it there instead")
    summary.add_argument("--csv", action="store_true", help="its figures as CSV instead of HTML")


def _explain(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.explain import as_text, explain

    with context_of(options, look_up) as context:
        story = explain(context, options.charge)
    print(as_text(story))
    return 0 if story.known else 1


def _summary(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.summarise import summary_now

    with context_of(options, look_up) as context:
        page, sheet = summary_now(context, options.business_date)
    text = sheet if options.csv else page
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8", newline="")
    return 0
