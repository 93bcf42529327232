"""Commands about the charges that DOKU makes of bills."""

import argparse
import json
from datetime import date

from include.commands.parts import Commands, LookUp, context_of, of_profile


def add(commands: Commands) -> None:
    """Add them."""
    books = of_profile(
        commands, "recurring-books", "print what became of the charges that DOKU should have made", _books
    )
    books.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: today")
    books.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: as --from")
    books.add_argument("--json", action="store_true", help="as JSON")


def _books(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.recurring.books import books_of_charges, charges_as_text

    with context_of(options, look_up) as context:
        first = options.first or context.today
        books = books_of_charges(context, first, options.last or first)
    print(json.dumps(books, indent=2) if options.json else charges_as_text(books))
    return 0 if books["ties"] else 1
