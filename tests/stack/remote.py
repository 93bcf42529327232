"""DOKU's end as a merchant knows it: the connection to its SFTP server, and the keys on both sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.openssh import OpensshServer


@dataclass(frozen=True)
class Remote:
    """Where files go and how they are sealed.

    Attributes:
        sftp: Airflow's JSON form of the connection to the SFTP server, with the host key pinned.
        doku_public_key: PEM file with which batch files are sealed.
        merchant_private_key: PEM file with which reports are opened.
        files: The local folder that the SFTP server shows.
        prefix: What a client must put before /inbound: empty, unless the server shows its whole file system.
        doku: Airflow's JSON form of the connection to DOKU's HTTP API; None where it has none.
    """

    sftp: Mapping[str, Any]
    doku_public_key: Path
    merchant_private_key: Path
    files: Path
    prefix: str = ""
    doku: Mapping[str, Any] | None = None

    @classmethod
    def simulator(cls, facts: Mapping[str, Any]) -> "Remote":
        """The simulator with its own SFTP server; `facts` is what it says of itself when it is ready."""
        extra = {"host_key": facts["host_key"], "compress": False, "look_for_keys": False, "allow_agent": False}
        sftp = {
            "conn_type": "sftp", "host": facts["host"], "port": facts["port"],
            "login": facts["user"], "password": facts["password"], "extra": extra,
        }  # fmt: skip
        return cls(sftp, *_keys_and_files(facts), doku=_http(facts))

    @classmethod
    def openssh(cls, server: OpensshServer, facts: Mapping[str, Any]) -> "Remote":
        """An OpenSSH server, in whose folders a simulator without SFTP works (`--no-sftp --sftp-root`)."""
        prefix = "" if server.chrooted else str(server.root)
        return cls(server.airflow_connection(), *_keys_and_files(facts), prefix, _http(facts))


def _http(facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    told = facts.get("http")
    if not told or not told["url"]:
        return None
    return {"conn_type": "doku", "host": told["url"], "login": told["client_id"], "password": told["secret_key"]}


def _keys_and_files(facts: Mapping[str, Any]) -> tuple[Path, Path, Path]:
    return Path(facts["doku_public_key"]), Path(facts["merchant_private_key"]), Path(facts["sftp_root"])
