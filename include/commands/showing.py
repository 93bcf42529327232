"""Commands that show a person what became of things."""

import argparse

from include.commands.parts import Commands, LookUp, context_of, of_profile


def add(commands: Commands) -> None:
    """Add the commands that show."""
    explain = of_profile(
        commands, "explain", "tell the whole story of one charge, each decision with its rule", _explain
    )
    explain.add_argument("charge", help="charge id, or the invoice number of one of its attempts")


def _explain(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.explain import as_text, explain

    with context_of(options, look_up) as context:
        story = explain(context, options.charge)
    print(as_text(story))
    return 0 if story.known else 1
