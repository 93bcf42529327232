"""Commands that record a decision of a person, with who and why."""

import argparse

from include.commands.parts import Commands, LookUp, context_of, decision, of_profile
from include.domain.operations import OPERATIONS, Field, Operation


def add(commands: Commands) -> None:
    """Add the commands that decide."""
    for operation in OPERATIONS.values():
        parser = decision(commands, operation.command, operation.words, _decide)
        parser.set_defaults(operation=operation)
        for field in operation.fields:
            _add_field(parser, field)
    recover = of_profile(
        commands, "recover", "rebuild attempts that the billing database knows and the ledger does not", _recover
    )
    recover.add_argument("--by", required=True, help="your name")
    recover.add_argument("--adopt", action="store_true", help="also take over attempts of a lost ledger")
    recover.add_argument("--apply", action="store_true", help="do it; without it only say what would be rebuilt")


def _add_field(parser: argparse.ArgumentParser, field: Field) -> None:
    kind = int if field.kind == "integer" else str
    choices = field.choices or None
    if field.flag:
        parser.add_argument(
            field.flag, dest=field.name, type=kind, choices=choices, required=not field.optional, help=field.words
        )
    else:
        parser.add_argument(field.name, type=kind, choices=choices, help=field.words)


def _decide(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.operate import carry_out, rehearse

    operation: Operation = options.operation
    about = {field.name: getattr(options, field.name) for field in operation.fields}
    with context_of(options, look_up) as context:
        if options.apply:
            print(carry_out(context, operation.name, about, by=options.by, why=options.why))
            return 0
        effect = rehearse(context, operation.name, about, by=options.by, why=options.why)
    print(effect.says)
    for change in effect.changes:
        print(f"  {change}")
    print("Nothing of this was done; run again with --apply to do it.")
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
