"""DOKU's reports on delivered batches, in bulk: by `assumed-report`, sealed, with an issuer's usual mix of answers.

The simulator answers line by line and takes minutes for a million; this asks the ledger for the lines and lets the
database write them. The mix is the simulator's own.
"""

from itertools import accumulate
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tests.doku_simulator.bank import APPROVED, DEFAULT_MIX, MESSAGES
from tests.doku_simulator.envelope import EnvelopeForm, seal
from tests.doku_simulator.keys import KeyRing

_LINES: Final = """
    SELECT 'D|' || invoice_number || '|' || customer_id || '|' || coalesce(billing_number, '') || '|' || amount
        || '.00|' || currency || '||' || code || '|' || {message} || '|'
        || CASE WHEN code = '0000' THEN 'A' || substr(invoice_number, 1, 5) ELSE '' END
        || '|411111******' || lpad(CAST(chance % 10000 AS text), 4, '0') || '|014|20261120213000',
        amount, code
    FROM (SELECT a.*, {code} AS code FROM
            (SELECT t.*, {chance} AS chance FROM attempt t WHERE t.batch_id = {batch_id}) a) d
    ORDER BY line_no
"""


def _cases() -> tuple[str, str]:
    """The code by chance, and its words, as SQL."""
    limits = list(accumulate(DEFAULT_MIX.values()))
    by_chance = " ".join(
        f"WHEN a.chance < {limit / limits[-1] * 1e6:.0f} THEN '{code}'"
        for code, limit in zip(DEFAULT_MIX, limits, strict=True)
    )
    words = " ".join(f"WHEN '{code}' THEN '{MESSAGES[code]}'" for code in DEFAULT_MIX)
    return f"CASE {by_chance} ELSE '0000' END", f"CASE code {words} END"


def answer_all(ledger: sa.Engine, keys: KeyRing, outbound: Path) -> int:
    """Write a report on each batch of the ledger into DOKU's folder; their bytes."""
    code, message = _cases()
    chance = (
        "abs(('x' || substr(md5(invoice_number), 1, 7))::bit(28)::int) % 1000000"
        if ledger.dialect.name == "postgresql"
        else "line_no * 7919 % 1000000"
    )
    size = 0
    with ledger.connect() as connection:
        for batch_id, name in connection.execute(
            sa.text("SELECT batch_id, file_name FROM batch WHERE state = 'delivered' ORDER BY batch_id")
        ).all():
            query = _LINES.format(message=message, code=code, chance=chance, batch_id=batch_id)
            if ledger.dialect.name == "sqlite":
                query = query.replace("lpad(CAST(chance % 10000 AS text), 4, '0')", "printf('%04d', chance % 10000)")
            rows = connection.execute(sa.text(query.replace(":", r"\:"))).all()
            sealed = seal(_report(name, rows), keys.public("merchant"), EnvelopeForm())
            path = outbound / f"RPT_{name.removesuffix('.TXT')}.TXT"
            path.write_bytes(sealed)
            path.chmod(0o644)
            size += len(sealed)
    return size


def _report(batch_name: str, rows: "list[sa.Row]") -> bytes:
    paid = sum(code in APPROVED for _, _, code in rows)
    total = sum(int(amount) for _, amount, _ in rows)
    head = f"H|{batch_name}|20261120|{len(rows)}|{total}.00|{paid}|{len(rows) - paid}||"
    return ("\r\n".join((head, *(line for line, *_ in rows))) + "\r\n").encode("ascii")
