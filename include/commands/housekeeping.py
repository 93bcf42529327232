"""`housekeeping`: what is over is kept no longer than the profile says."""

import argparse

from include.commands.parts import Commands, LookUp, context_of, of_profile


def add(commands: Commands) -> None:
    """Add the command that tidies."""
    words = "remove files, tokens and raw notifications whose time is over; without --apply only say what"
    tidy = of_profile(commands, "housekeeping", words, _housekeeping)
    tidy.add_argument("--by", required=True, help="your name; it is kept in the trail")
    tidy.add_argument("--apply", action="store_true", help="do it; without it only say what it would do")


def _housekeeping(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.housekeeping import tidy, what_is_old
    from include.flows.people import refuse_nobody

    refuse_nobody(options.by, "housekeeping")
    with context_of(options, look_up) as context:
        found = tidy(context, options.by) if options.apply else what_is_old(context)
    for line in found.lines():
        print(f"{'Removed' if options.apply else 'Would remove'}: {line}")
    for line in found.stays():
        print(f"Stays: {line}")
    return 0
