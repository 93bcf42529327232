"""The comparison: what a careful data engineer would otherwise write, with pandas, pandera and Airflow's SFTP operator.

Read all that is due (`read_sql`), check it (pandera, lazily), keep the claims (`executemany`), write the file
(`to_csv`), encrypt it, send it as `SFTPOperator` does (paramiko, compressed). Fetch the report the same way, read it
(`read_csv`), merge it with the claims, write the outcomes (`executemany`). It has transactions, keys, and a unique
constraint against claiming twice. It has no brakes, no holds, no proof of what was delivered, no re-attempts and no way
back from a kill.

    python -m tests.bench.plain submit|reconcile
"""

import io
import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.bench.meter import Meter, added

SUBMIT: Final = ("start", "read", "check", "claim", "render", "seal", "deliver")
RECONCILE: Final = ("start", "fetch", "open and read", "match", "write back")

_DUE: Final = """
    SELECT charge_id, customer_id, billing_number, token, amount, currency, due_date, channel, description
    FROM doku_due_charges WHERE due_date <= :day ORDER BY charge_id
"""
_TABLES: Final = """
    CREATE TABLE plain_claim (
        invoice_number varchar(64) PRIMARY KEY, charge_id varchar(200) NOT NULL UNIQUE, batch varchar(100) NOT NULL,
        customer_id varchar(200) NOT NULL, amount bigint NOT NULL, status varchar(12) NOT NULL,
        response_code varchar(10), response_message text, approval_code varchar(40))
"""
_OUTCOME: Final = """
    INSERT INTO doku_charge_outcomes (billing_source, profile, charge_id, attempt_no, invoice_number, ledger_id,
        batch_name, status, response_code, response_message, approval_code, amount, currency, updated_at)
    VALUES ('plain', 'plain', :charge_id, 1, :invoice_number, 'plain', :batch, :status, :response_code,
        :response_message, :approval_code, :amount, 'IDR', now())
    ON CONFLICT (billing_source, charge_id, attempt_no) DO UPDATE SET status = excluded.status,
        response_code = excluded.response_code, response_message = excluded.response_message,
        approval_code = excluded.approval_code, updated_at = excluded.updated_at
"""
_REPORT: Final = (
    "record_type", "invoice_number", "customer_id", "billing_number", "amount", "currency", "status", "response_code",
    "response_message", "approval_code", "masked_card", "bank", "charged_at",
)  # fmt: skip
_KEY: Final = b"a" * 32


def submit(told: Any, meter: Meter, rows_per_batch: int) -> None:
    """The whole day into files at the server."""
    import pandas as pd
    import sqlalchemy as sa

    billing, ledger = _engines(told)
    with ledger.begin() as connection:
        connection.execute(sa.text(_TABLES))
    meter.ends("start")
    with billing.connect() as connection:
        from tests.bench.ground import DAY

        due = pd.read_sql(sa.text(_DUE), connection, params={"day": DAY})
    meter.ends("read")
    good = _checked(due)
    meter.ends("check")
    good["invoice_number"] = ["PL" + charge.replace("-", "") for charge in good["charge_id"]]
    good["batch"] = [f"PLAIN_{number // rows_per_batch}.TXT" for number in range(len(good))]
    claims = good[["invoice_number", "charge_id", "batch", "customer_id", "amount"]].assign(status="in_flight")
    with ledger.begin() as connection:
        connection.execute(_insert("plain_claim", list(claims.columns)), claims.to_dict("records"))
    meter.ends("claim")
    files = {}
    for name, lines in good.groupby("batch"):
        text = io.StringIO()
        text.write(f"H|MCH0001|{name}|20261120|{len(lines)}|{lines['amount'].sum()}.00|IDR\r\n")
        written = lines.assign(record_type="D", line_no=range(1, len(lines) + 1), execute_date="20261120")
        written["amount"] = [f"{amount}.00" for amount in written["amount"]]
        order = [
            "record_type", "line_no", "invoice_number", "customer_id", "billing_number", "token", "amount", "currency",
            "execute_date", "channel", "description",
        ]  # fmt: skip
        written[order].to_csv(text, sep="|", header=False, index=False, lineterminator="\r\n")
        files[str(name)] = text.getvalue().encode("ascii")
    meter.ends("render")
    sealed = {name: _encrypted(plain) for name, plain in files.items()}
    meter.ends("seal")
    with _sftp(told) as server:
        for name, content in sealed.items():
            local = Path(told.root) / name
            local.write_bytes(content)
            server.put(str(local), f"/inbound/{name}", confirm=True)
    meter.ends("deliver")


def reconcile(told: Any, meter: Meter, _rows_per_batch: int) -> None:
    """The reports into outcomes."""
    import pandas as pd
    import sqlalchemy as sa

    billing, ledger = _engines(told)
    meter.ends("start")
    reports = []
    with _sftp(told) as server:
        for name in sorted(server.listdir("/outbound")):
            if name.startswith("PLAIN_"):
                server.get(f"/outbound/{name}", str(Path(told.root) / name))
                reports.append(Path(told.root) / name)
    meter.ends("fetch")
    frames = [
        pd.read_csv(io.BytesIO(_decrypted(path.read_bytes())), sep="|", names=list(_REPORT), skiprows=1, dtype=str)
        for path in reports
    ]
    lines = pd.concat(frames, ignore_index=True)
    lines["amount"] = lines["amount"].str.removesuffix(".00").astype("int64")
    meter.ends("open and read")
    with ledger.connect() as connection:
        claims = pd.read_sql(sa.text("SELECT invoice_number, charge_id, batch, amount FROM plain_claim"), connection)
    merged = claims.merge(lines, on="invoice_number", how="outer", suffixes=("", "_reported"), indicator=True)
    tied = merged[(merged["_merge"] == "both") & (merged["amount"] == merged["amount_reported"])]
    if len(tied) != len(lines):
        raise ValueError("lines that tie to nothing")
    tied = tied.assign(status=tied["response_code"].map(lambda code: "paid" if code == "0000" else "declined"))
    wanted = ["invoice_number", "status", "response_code", "response_message", "approval_code"]
    with ledger.begin() as connection:
        update = "UPDATE plain_claim SET status = :status, response_code = :response_code, response_message = "
        update += ":response_message, approval_code = :approval_code WHERE invoice_number = :invoice_number"
        connection.execute(sa.text(update), _records(tied[wanted]))
    meter.ends("match")
    with billing.begin() as connection:
        connection.execute(sa.text(_OUTCOME), _records(tied[[*wanted, "charge_id", "batch", "amount"]]))
    meter.ends("write back")


def _records(frame: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return found


def _checked(due: Any) -> Any:
    """The rows that pass every check, amounts as whole numbers; pandera names the others."""
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    text = pa.Check.str_matches(r"^[\x20-\x7b\x7d-\x7e]*$")
    schema = pa.DataFrameSchema({
        "charge_id": pa.Column(str, [text, pa.Check.str_length(1, 200)], unique=True),
        "customer_id": pa.Column(str, [text, pa.Check.str_length(1, 50)]),
        "billing_number": pa.Column(str, [text, pa.Check.str_length(1, 32)], nullable=True),
        "token": pa.Column(str, [pa.Check.str_matches(r"^[A-Za-z0-9_.:\-]{8,128}$")]),
        "amount": pa.Column(object, [
            pa.Check(lambda column: column > 0), pa.Check(lambda column: column <= 50_000_000),
            pa.Check(lambda column: column % 1 == 0),
        ]),
        "currency": pa.Column(str, [pa.Check.isin(["IDR"])]),
        "channel": pa.Column(str, [text], nullable=True),
        "description": pa.Column(str, [text, pa.Check.str_length(0, 60)], nullable=True),
    })  # fmt: skip
    try:
        good = schema.validate(due, lazy=True)
    except SchemaErrors as caught:
        bad = set(caught.failure_cases["index"].dropna())
        good = due[~due.index.isin(bad)]
    return good.assign(amount=good["amount"].astype("int64")).copy()


def _insert(table: str, columns: list[str]) -> Any:
    import sqlalchemy as sa

    return sa.text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})")


def _encrypted(plain: bytes) -> bytes:
    import base64

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    pad = 16 - len(plain) % 16
    cipher = Cipher(algorithms.AES256(_KEY), modes.ECB()).encryptor()
    return base64.b64encode(cipher.update(plain + bytes([pad]) * pad) + cipher.finalize())


def _decrypted(sealed: bytes) -> bytes:
    import base64

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES256(_KEY), modes.ECB()).decryptor()
    plain = cipher.update(base64.b64decode(sealed)) + cipher.finalize()
    return plain[: -plain[-1]]


def _engines(told: Any) -> tuple[Any, Any]:
    """The billing database and the ledger."""
    import sqlalchemy as sa

    found = []
    for name in ("INSURANCE_BILLING", "DOKU_LEDGER"):
        value = json.loads(told.environment[f"AIRFLOW_CONN_{name}"])
        url = f"postgresql+psycopg://{value['login']}:{value['password']}@{value['host']}:{value['port']}"
        found.append(sa.create_engine(f"{url}/{value['schema']}", poolclass=sa.NullPool))
    return found[0], found[1]


class _sftp:  # noqa: N801 - reads as a function
    """A session as Airflow's SFTP hook opens it: compressed, with paramiko's defaults."""

    def __init__(self, told: Any) -> None:
        import paramiko

        value = json.loads(told.environment["AIRFLOW_CONN_INSURANCE_SFTP"])
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(value["extra"]["private_key"]))
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        self._client.connect(value["host"], value["port"], value["login"], pkey=key, compress=True, look_for_keys=False)

    def __enter__(self) -> Any:
        return self._client.open_sftp()

    def __exit__(self, *_: object) -> None:
        self._client.close()


def answers(told: Any, outbound: Path) -> None:
    """DOKU's reports on what was claimed: not measured."""
    import sqlalchemy as sa

    _, ledger = _engines(told)
    query = """
        SELECT batch, 'D|' || invoice_number || '|' || customer_id || '||' || amount || '.00|IDR||' || code || '|'
            || CASE code WHEN '0000' THEN 'APPROVED' ELSE 'INSUFFICIENT FUNDS' END || '|'
            || CASE code WHEN '0000' THEN 'A12345' ELSE '' END || '|411111******1234|014|20261120213000'
        FROM (SELECT c.*, CASE WHEN random() < 0.86 THEN '0000' ELSE '0051' END AS code FROM plain_claim c) d
        ORDER BY batch, charge_id
    """
    lines: dict[str, list[str]] = {}
    with ledger.connect() as connection:
        for batch, line in connection.execute(sa.text(query)):
            lines.setdefault(batch, ["H"]).append(line)
    for batch, written in lines.items():
        path = outbound / batch
        path.write_bytes(_encrypted(("\r\n".join(written) + "\r\n").encode("ascii")))
        path.chmod(0o644)


if __name__ == "__main__":
    from tests.bench.ground import Told

    told_now = Told.loads(sys.stdin.read())
    meter_now = Meter(told_now.servers)
    {"submit": submit, "reconcile": reconcile}[sys.argv[1]](told_now, meter_now, int(sys.argv[2]))
    sys.stdout.write(json.dumps([cost.as_json() for cost in added(meter_now.costs)]) + "\n")
