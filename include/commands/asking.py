"""Commands that ask DOKU over HTTP."""

import argparse

from include.commands.parts import Commands, LookUp, context_of, of_profile


def add(commands: Commands) -> None:
    """Add the commands that ask."""
    ask = of_profile(
        commands, "ask-status", "ask DOKU what became of attempts that are unknown, not above what reports say", _ask
    )
    ask.add_argument("--invoice", metavar="NUMBER", help="ask for this one now, show the answer and keep nothing")
    ask.add_argument(
        "--apply", action="store_true", help="ask and keep the answers; without it only list what would be asked for"
    )


def _ask(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.ask_status import ask_and_conclude, look_up_status
    from include.flows.due_questions import questions

    with context_of(options, look_up) as context:
        if options.invoice is not None:
            print(look_up_status(context, options.invoice))
            return 0
        if not options.apply:
            due = questions(context)
            for one in due:
                print(
                    f"{one.invoice_number}: charge {one.charge_id}, attempt {one.attempt_no}, asked {one.times} times"
                )
            print(f"DOKU would be asked about {len(due)} attempts; run again with --apply to ask.")
            return 0
        found = ask_and_conclude(context)
    for answer in found.answers:
        print(f"{answer.invoice_number}: {answer.words}; {answer.outcome or 'decides nothing'}")
    for problem in (found.problem, found.clock_problem):
        if problem:
            print(problem)
    print(f"DOKU was asked about {len(found.answers)} attempts.")
    return 1 if found.problem else 0
