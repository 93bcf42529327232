"""Commands about bills that look and change nothing; those that decide are among the operations."""

import argparse

from include.commands.parts import Commands, LookUp, context_of, of_profile
from include.domain.states import BillState


def add(commands: Commands) -> None:
    """Add `bills` and `bill`."""
    bills = of_profile(
        commands, "bills", "count the bills by state, and list what waits for a person; or list them", _bills
    )
    bills.add_argument("--state", choices=[str(state) for state in BillState], help="list the bills in this state")
    bills.add_argument("--after", default="", metavar="NUMBER", help="go on after this billing number")
    bills.add_argument("--files", action="store_true", help="list the files that registered bills in bulk")
    bill = of_profile(commands, "bill", "tell the whole story of one bill", _bill)
    bill.add_argument("billing_number", help="the bill's number")


def _bills(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.recurring.overview import ROWS, bills_listed, files_listed, overview

    with context_of(options, look_up) as context:
        if options.files:
            print("\n".join(files_listed(context)) or "No file has registered bills.")
            return 0
        if options.state is None:
            print("\n".join(overview(context)))
            return 0
        found = bills_listed(context, BillState(options.state), options.after)
    for one in found[:ROWS]:
        print("  ".join(part for part in (one.number, one.customer_id, one.amount, one.days, one.reason) if part))
    if len(found) > ROWS:
        print(f"There are more: --after {found[ROWS - 1].number}")
    return 0


def _bill(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.recurring.bill_story import as_text, bill_story

    with context_of(options, look_up) as context:
        story = bill_story(context, options.billing_number)
    print(as_text(story) if story else f"Profile {options.profile} has no bill {options.billing_number}.")
    return 0 if story else 1
