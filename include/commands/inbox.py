"""`inbox`: what DOKU has told, what became of it, and what was refused at the door."""

import argparse
from datetime import timedelta

from include.commands.parts import Commands, LookUp, context_of, of_profile


def add(commands: Commands) -> None:
    """Add the command that lists the inbox."""
    listing = of_profile(
        commands, "inbox", "list DOKU's notifications: how many of each kind, those that failed, and refusals", _inbox
    )
    listing.add_argument("--days", type=int, default=7, help="count refusals of so many days (default: 7)")
    listing.add_argument("--waiting", action="store_true", help="also list those that wait")


def _inbox(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.domain.states import NotificationState
    from include.flows.notices import failed_and_waiting
    from include.ledger.inbox import EVERYBODY, piles, refused_since, same_request

    with context_of(options, look_up) as context, context.ledger.read() as connection:
        name, since = context.profile.name, context.clock() - timedelta(days=options.days)
        heaps, refused = piles(connection, name), refused_since(connection, name, since.date())
        shared = same_request(connection, name, since, 20)
        listed = failed_and_waiting(connection, name)
    for heap in heaps:
        print(
            f"{heap.kind} {heap.state}: {heap.count}, {heap.repeats} repeats, "
            f"{heap.oldest:%Y-%m-%d %H:%M} to {heap.newest:%Y-%m-%d %H:%M} UTC"
        )
    for row in listed:
        if row["state"] == NotificationState.FAILED or options.waiting:
            print(
                f"{row['notification_id']}  {row['state']}  {row['kind']}  {row['size']} bytes: {row['result'] or ''}"
            )
    for ids in shared:
        print(f"The same Request-Id with different contents: {', '.join(map(str, ids))}")
    for one in refused:
        whose = "no path of ours" if one.profile == EVERYBODY else f"{one.kind or 'any kind'}"
        print(f"refused on {one.day}: {one.count} for {one.reason} ({whose}), last at {one.last_at:%H:%M} UTC")
    failed = sum(heap.count for heap in heaps if heap.state == NotificationState.FAILED)
    print(f"{sum(heap.count for heap in heaps)} notifications, {failed} failed.")
    return 0
