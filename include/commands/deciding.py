"""Commands that record a decision of a person, with who and why."""

import argparse

from include.commands.parts import Commands, LookUp, context_of, decision, of_profile


def add(commands: Commands) -> None:
    """Add the commands that decide."""
    hold = decision(commands, "hold", "hold a charge, a customer, a batch or the whole profile, from now on", _decide)
    lift = decision(commands, "lift", "end a hold", _decide)
    for parser in (hold, lift):
        parser.add_argument("scope", choices=("charge", "customer", "batch", "profile"))
        parser.add_argument("subject", help="charge id, customer id, batch file name or profile name")
    release = decision(commands, "release", "release a charge from quarantine; the next run checks it again", _decide)
    cancel = decision(commands, "cancel", "close a charge: no attempt is made any more", _decide)
    for parser in (release, cancel):
        parser.add_argument("charge_id")
    for name, words in (
        ("withdraw", "withdraw a batch that has not left"),
        ("arrived", "DOKU has a file whose delivery is unknown: it is delivered"),
        ("never-arrived", "DOKU never got a file whose delivery is unknown: its attempts are withdrawn"),
        ("reopen", "read a refused report again, once a wrong key, layout or limit of ours is mended"),
    ):
        decision(commands, name, words, _decide).add_argument("file_name", help="the file's own name")
    for name, words in (
        ("approve", "let a run go on that a brake stopped"),
        ("refuse", "refuse it: its batches are withdrawn"),
    ):
        parser = decision(commands, name, words, _answer)
        parser.add_argument("--run-id", type=int, required=True)
        parser.set_defaults(approve=name == "approve")
    recover = of_profile(
        commands, "recover", "rebuild attempts that the billing database knows and the ledger does not", _recover
    )
    recover.add_argument("--by", required=True, help="your name")
    recover.add_argument("--adopt", action="store_true", help="also take over attempts of a lost ledger")
    recover.add_argument("--apply", action="store_true", help="do it; without it only say what would be rebuilt")


def _decide(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows import decisions

    names = ("scope", "subject", "charge_id", "file_name")
    about = {name: getattr(options, name) for name in names if hasattr(options, name)}
    with context_of(options, look_up) as context:
        print(getattr(decisions, options.decision)(context, **about, by=options.by, why=options.why))
    return 0


def _answer(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.approve import answer_run, in_words

    with context_of(options, look_up) as context:
        found = answer_run(context, options.run_id, by=options.by, approve=options.approve, words=options.why)
        words = in_words(context, found)
    said = f"{found.answer.answer} by {found.answer.answered_by}" if found.answer else "no answer"
    print(f"Run {options.run_id}: {said}; {words}")
    return 0


def _recover(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.recover import recover, unknown_deliveries

    with context_of(options, look_up) as context:
        found = recover(context, by=options.by, adopt=options.adopt, apply=options.apply)
    for one in found:
        print(f"{one.file_name}: {one.count} attempts, {one.total} in all, from ledger {one.ledger_id}: {one.state}")
    if not options.apply:
        print(f"{len(found)} batch files would be rebuilt; run again with --apply." if found else "Nothing is missing.")
        return 0
    for file_name in unknown_deliveries(found):
        print(
            f"{file_name}: the server shows nothing of it; ask DOKU whether they took it. It stays unknown until then."
        )
    return 0
