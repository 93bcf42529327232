"""A throwaway OpenSSH server that serves SFTP only (`internal-sftp`), as DOKU's would."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.services.processes import ServiceUnavailable, find_binary, free_port, listens, start, wait_until

# A folder to chroot to must belong to root in every component, so /tmp will not do.
_CHROOT_PARENTS = (Path("/run"), Path("/var/lib"))


@dataclass(frozen=True)
class OpensshServer:
    """A running OpenSSH server and how to log in.

    Attributes:
        host: Always 127.0.0.1.
        port: A port that was free.
        user: The account of the merchant.
        private_key: File of the merchant's private SSH key (OpenSSH form); there is no password.
        host_key: The server's key as it is pinned: `ssh-ed25519 AAAA...`.
        root: The local folder that holds what the server serves.
        chrooted: Whether a client sees `root` as `/`. Only root can do that; otherwise clients see the whole path.
    """

    host: str
    port: int
    user: str
    private_key: Path
    host_key: str
    root: Path
    chrooted: bool

    def remote_path(self, name: str) -> str:
        """How a client names `name` below the served folder."""
        return str(PurePosixPath("/" if self.chrooted else str(self.root)) / name.lstrip("/"))

    def airflow_connection(self) -> dict[str, object]:
        """Airflow's JSON form of an SFTP connection, with the host key pinned."""
        extra = {
            "private_key": self.private_key.read_text(), "host_key": self.host_key,
            "compress": False, "look_for_keys": False,
        }  # fmt: skip
        return {"conn_type": "sftp", "host": self.host, "port": self.port, "login": self.user, "extra": extra}


@contextmanager
def openssh_server(folders: tuple[str, ...] = ("inbound", "outbound", "archive")) -> Iterator[OpensshServer]:
    """Start an OpenSSH server for one account and one tree of folders; stop it and remove them at the end.

    Started by root, the account is `nobody`, in a chroot. Otherwise it is ourselves, without one.

    Args:
        folders: Made below the served folder, writable for the account.

    Raises:
        ServiceUnavailable: No binaries.
        ServiceFailed: It did not start; the message has the end of its log.
    """
    sshd = find_binary("sshd", "/usr/sbin", package="openssh-server")
    keygen = find_binary("ssh-keygen", "/usr/bin", package="openssh-client")
    as_root = os.geteuid() == 0
    user = "nobody" if as_root else getpass.getuser()
    home = _make_home(as_root)
    try:
        _make_key(keygen, home / "host_key")
        _make_key(keygen, home / "merchant_key")
        served = _make_folders(home, folders, user if as_root else None)
        port = free_port()
        config = home / "sshd_config"
        config.write_text(sshd_config(home, port, user, served if as_root else None))
        server = start("OpenSSH", [sshd, "-D", "-e", "-f", config], log=home / "sshd.log", cwd=home)
        try:
            wait_until(lambda: listens(port), server, timeout=20, what="OpenSSH")
            yield OpensshServer(
                "127.0.0.1", port, user, home / "merchant_key",
                " ".join((home / "host_key.pub").read_text().split()[:2]), served, as_root,
            )  # fmt: skip
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _make_home(as_root: bool) -> Path:
    if not as_root:
        return Path(tempfile.mkdtemp(prefix="doku-openssh-"))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation needs it
    for parent in _CHROOT_PARENTS:
        if parent.is_dir() and parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o022:
            home = Path(tempfile.mkdtemp(prefix="doku-openssh-", dir=parent))
            home.chmod(0o755)
            return home
    raise ServiceUnavailable("OpenSSH needs a folder that belongs to root all the way up, and /run is none")


def _make_key(keygen: Path, path: Path) -> None:
    subprocess.run(
        [str(keygen), "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True
    )  # fmt: skip


def _make_folders(home: Path, folders: tuple[str, ...], owner: str | None) -> Path:
    served = home / "served"
    served.mkdir(mode=0o755)
    for name in folders:
        folder = served / name.lstrip("/")
        folder.mkdir(parents=True, mode=0o755)
        if owner:
            os.chown(folder, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
    authorized = home / "authorized_keys"
    authorized.write_text((home / "merchant_key.pub").read_text())
    authorized.chmod(0o644)
    return served


def sshd_config(home: Path, port: int, user: str, chroot: Path | None, address: str = "127.0.0.1") -> str:
    """What sshd is told: SFTP only, by the key in `home`/authorized_keys; host key `home`/host_key."""
    lines = [
        f"Port {port}",
        f"ListenAddress {address}",
        f"HostKey {home / 'host_key'}",
        "PidFile none",
        f"AuthorizedKeysFile {home / 'authorized_keys'}",
        f"AllowUsers {user}",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "UseDNS no",
        "AllowTcpForwarding no",
        "Subsystem sftp internal-sftp",
        "ForceCommand internal-sftp",
        *([f"ChrootDirectory {chroot}"] if chroot else []),
    ]
    return "\n".join(lines) + "\n"
