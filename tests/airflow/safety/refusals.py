"""Merchants with one thing broken each, and what Airflow has to say about it."""

from dataclasses import dataclass, replace

from tests.airflow.safety.house import House, write_to
from tests.services.processes import free_port
from tests.stack.databases import Database, upgraded
from tests.stack.scene import SHIPPED_PROFILES

_ANOTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbmyYvSCpqkSYbHIvsDIf3jxqBO3kLXTHXLx7xK1TpO"


@dataclass(frozen=True)
class Broken:
    """What is wrong, and how it shows.

    Attributes:
        task: The task that fails.
        says: Parts of the sentence: the thing, and what to do.
        claimed: Whether the charges are claimed by then.
    """

    task: str
    says: tuple[str, ...]
    claimed: bool = True


BROKEN = {
    "no_server": Broken("deliver", ("The SFTP server 127.0.0.1", "cannot be reached")),
    "other_host_key": Broken("deliver", ("host key", "extra.host_key")),
    "wrong_key": Broken("extract_and_claim", ("doku_public.pem", "private key"), claimed=False),
    "no_column": Broken("extract_and_claim", ("doku_due_charges", "token", "billing.columns"), claimed=False),
    "old_ledger": Broken("extract_and_claim", ("include.cli ledger upgrade",), claimed=False),
}


def break_in(house: House) -> None:
    """Settle these merchants, and a profile with a misspelt setting."""
    shown = house.doku.remote
    house.settle("no_server", remote=replace(shown, sftp={**shown.sftp, "port": free_port()}))
    pinned = {**shown.sftp["extra"], "host_key": _ANOTHER_KEY}
    house.settle("other_host_key", remote=replace(shown, sftp={**shown.sftp, "extra": pinned}))
    scene = house.settle("wrong_key")
    keys = scene.profiles / "keys" / "wrong_key"
    (keys / "doku_public.pem").write_bytes((keys / "merchant_private.pem").read_bytes())
    scene = house.settle("no_column")
    for statement in _without_token(scene.billing):
        write_to(scene.billing, statement)
    scene = house.settle("old_ledger")
    house.scenes["old_ledger"] = replace(scene, ledger=Database.sqlite(house.root / "never-upgraded.sqlite"))
    shipped = (SHIPPED_PROFILES / "insurance.toml").read_text(encoding="utf-8")
    misspelt = shipped.replace('name = "insurance"', 'name = "misspelt"').replace("max_rows_per_", "max_row_per_")
    (house.root / "profiles" / "misspelt.toml").write_text(misspelt, encoding="utf-8")


def mend(house: House, name: str) -> None:
    """What `verify` needs to look at all."""
    if name == "old_ledger":
        upgraded(house.scenes[name].ledger)


def _without_token(billing: Database) -> list[str]:
    columns = "premium_id AS charge_id, policy_number AS customer_id, premium_id AS billing_number, amount, currency"
    view = f"CREATE VIEW doku_due_charges AS SELECT {columns}, due_date, 'VISA' AS channel, description"
    return ["DROP VIEW doku_due_charges", f"{view} FROM insurer_premiums"]
