"""DOKU's SFTP server: host key pinned, no compression, pipelined writes, named errors.

DOKU publishes neither host, nor port, nor host key: they come from the connection (source: connectivity and file
security
page, "configuration handed over at onboarding").
"""

import hashlib
import io
import socket
import stat as stat_module
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import paramiko

from include.domain.connection import ConnectionSettings
from include.domain.errors import HostKeyError, KeyFileError, RemoteError, RemoteRefused

CHUNK_BYTES: Final = 256 * 1024
_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr")
_KEY_CLASSES: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True)
class SftpSettings:
    """Where DOKU's SFTP server is, how to log in, and which host keys are its own.

    Attributes:
        host_keys: "ssh-ed25519 AAAA..." lines; two while DOKU changes its key. None pinned: no connection is made.
        timeout: Seconds for connecting and for each answer.
    """

    conn_id: str
    host: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    host_keys: tuple[str, ...] = ()
    timeout: float = 30.0

    @classmethod
    def from_connection(cls, connection: ConnectionSettings) -> "SftpSettings":
        """Read an Airflow SFTP connection: host, port, login, password and the extras host_key (text or list),
        private_key or key_file, private_key_passphrase, conn_timeout.

        Raises:
            RemoteRefused: No host or no user.
            KeyFileError: key_file cannot be read.
        """  # noqa: D205 - one sentence
        if not connection.host or not connection.login:
            raise RemoteRefused(f"Connection {connection.conn_id} needs a host and a login. Fill them in.")
        extra = connection.extra
        pins = extra.get("host_key") or ()
        return cls(
            conn_id=connection.conn_id,
            host=connection.host,
            port=connection.port or 22,
            user=connection.login,
            password=connection.password,
            private_key=extra.get("private_key") or _key_text(connection.conn_id, extra.get("key_file")),
            passphrase=extra.get("private_key_passphrase"),
            host_keys=(pins,) if isinstance(pins, str) else tuple(pins),
            timeout=float(extra.get("conn_timeout") or 30),
        )


@dataclass(frozen=True)
class RemoteFile:
    """A file as the server lists it: name, bytes, modification time (seconds since 1970)."""

    name: str
    size: int
    modified: int


@contextmanager
def connect(settings: SftpSettings) -> Iterator["SftpServer"]:
    """Log in and open one SFTP session.

    Raises:
        HostKeyError: No key is pinned, or the server shows another one.
        RemoteRefused: The log-in was refused.
        RemoteError: The server does not answer.
    """
    with closing(paramiko.SSHClient()) as client:
        _pin(client, settings)
        _log_in(client, settings)
        with _named(f"opening a session at {settings.host}"):
            session = client.open_sftp()
            channel = session.get_channel()
            if channel is not None:
                channel.settimeout(settings.timeout)
        with closing(session):
            yield SftpServer(session, f"{settings.host}:{settings.port}")


def remote_path(folder: str, name: str) -> str:
    """A file in a folder of the server."""
    return f"{folder.rstrip('/')}/{name}"


class SftpServer:
    """An open session. Paths are the server's own, with slashes."""

    def __init__(self, session: paramiko.SFTPClient, name: str) -> None:
        self._session = session
        self.name = name

    def list(self, folder: str) -> list[RemoteFile]:
        """Plain files of a folder, by name."""
        with _named(f"listing {folder} at {self.name}"):
            found = self._session.listdir_attr(folder)
        files = [entry for entry in found if entry.st_mode is None or stat_module.S_ISREG(entry.st_mode)]
        return sorted((_remote_file(entry.filename, entry) for entry in files), key=lambda file: file.name)

    def stat(self, path: str) -> RemoteFile | None:
        """The file at a path, or None when there is none."""
        with _named(f"looking at {path} at {self.name}"):
            try:
                return _remote_file(path.rsplit("/", 1)[-1], self._session.stat(path))
            except FileNotFoundError:
                return None

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        """Write a new file, refusing an existing one, and return how many bytes the server says it has.

        Raises:
            RemoteRefused: The server did not let the file be opened: nothing was written.
            RemoteError: Anything after that: some of it, or all of it, may be there, or was there and was taken away.
        """
        doing = f"writing {path} at {self.name}"
        with _named(doing):
            file = self._session.open(path, "wbx")
        try:
            with _named(doing):
                with file:
                    file.set_pipelined(True)
                    for chunk in chunks:
                        file.write(chunk)
                return self._session.stat(path).st_size or 0
        except RemoteRefused as refusal:
            raise RemoteError(f"{refusal.message} It was open for writing by then.") from None

    def read(self, path: str, size: int | None = None) -> Iterator[bytes]:
        """The bytes of a file, prefetched; `size` spares a question where it is known."""
        with _named(f"reading {path} at {self.name}"), self._session.open(path, "rb") as file:
            file.prefetch(size, max_concurrent_requests=64)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def digest(self, path: str) -> tuple[str, int]:
        """SHA-256 (hex) and size of a file's content."""
        digest, size = hashlib.sha256(), 0
        for chunk in self.read(path):
            digest.update(chunk)
            size += len(chunk)
        return digest.hexdigest(), size

    def rename(self, old: str, new: str) -> None:
        """Rename without overwriting: SFTP's plain rename, which refuses an existing name.

        Raises:
            RemoteRefused: The server answered no: nothing was renamed.
            RemoteError: No answer came: nobody knows.
        """
        with _named(f"renaming {old} to {new} at {self.name}", advise=False):
            self._session.rename(old, new)

    def remove(self, path: str) -> None:
        """Delete a file; one that is not there is no error."""
        with _named(f"deleting {path} at {self.name}"):
            try:
                self._session.remove(path)
            except FileNotFoundError:
                return


def fingerprint(key: paramiko.PKey) -> str:
    """A host key's fingerprint as OpenSSH shows it: "SHA256:..."."""
    return "SHA256:" + b64encode(hashlib.sha256(key.asbytes()).digest()).decode("ascii").rstrip("=")


class _RefuseUnknownKey(paramiko.MissingHostKeyPolicy):
    """Called when no pin is of the kind of key that the server shows."""

    def __init__(self, settings: SftpSettings) -> None:
        self._settings = settings

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        raise _wrong_key(self._settings, key)


def _wrong_key(settings: SftpSettings, key: paramiko.PKey) -> HostKeyError:
    pinned = "none of the pinned keys" if settings.host_keys else "and no key is pinned"
    return HostKeyError(
        f"The SFTP server {settings.host}:{settings.port} shows the {key.get_name()} host key {fingerprint(key)}, "
        f"{pinned}. "
        f"Ask DOKU for its fingerprint; if it is this one, put `ssh-keyscan`'s line into extra.host_key of connection "
        f"{settings.conn_id}. Until then nothing is sent."
    )


def _pin(client: paramiko.SSHClient, settings: SftpSettings) -> None:
    client.set_missing_host_key_policy(_RefuseUnknownKey(settings))
    known = client.get_host_keys()
    host = settings.host if settings.port == 22 else f"[{settings.host}]:{settings.port}"
    for pin in settings.host_keys:
        try:
            entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{host} {pin.strip()}")
        except (paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):  # a pin that is cut off or mistyped
            entry = None
        if entry is None or entry.key is None:
            raise HostKeyError(
                f"extra.host_key of connection {settings.conn_id} holds a line that is no host key. "
                "It should read like `ssh-ed25519 AAAA...`, without the host name."
            )
        known.add(host, entry.key.get_name(), entry.key)


def _log_in(client: paramiko.SSHClient, settings: SftpSettings) -> None:
    where = f"{settings.host}:{settings.port}"
    try:
        client.connect(
            settings.host,
            settings.port,
            settings.user,
            password=settings.password,
            pkey=_private_key(settings),
            timeout=settings.timeout,
            banner_timeout=settings.timeout,
            auth_timeout=settings.timeout,
            compress=False,
            look_for_keys=False,
            allow_agent=False,
            transport_factory=_transport,  # type: ignore[arg-type]
        )
    except HostKeyError:
        raise
    except paramiko.BadHostKeyException as caught:
        raise _wrong_key(settings, caught.key) from None
    except paramiko.AuthenticationException:
        raise RemoteRefused(
            f"The SFTP server {where} refused the log-in of {settings.user}. "
            f"Check login, password or private key of connection {settings.conn_id}."
        ) from None
    except (paramiko.SSHException, OSError, EOFError) as caught:
        raise RemoteError(
            f"The SFTP server {where} cannot be reached ({_short(caught)}). "
            f"Check connection {settings.conn_id} and whether this machine's address is on DOKU's list; "
            "then the task may be tried again."
        ) from None


def _transport(sock: socket.socket, **options: Any) -> paramiko.Transport:
    # Else a small question waits until the one before is acknowledged: a report of 20 MB took seconds of waiting.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    known = list(security.ciphers)
    security.ciphers = [name for name in _CIPHERS if name in known] + [name for name in known if name not in _CIPHERS]
    return transport


def _private_key(settings: SftpSettings) -> paramiko.PKey | None:
    if not settings.private_key:
        return None
    for key_class in _KEY_CLASSES:
        try:
            return key_class.from_private_key(io.StringIO(settings.private_key), settings.passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    raise KeyFileError(
        f"The private key of connection {settings.conn_id} is not an Ed25519, ECDSA or RSA key, or its passphrase "
        f"is wrong. "
        "Check extra.private_key or extra.key_file, and extra.private_key_passphrase."
    )


def _key_text(conn_id: str, path: str | None) -> str | None:
    if not path:
        return None
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - a path of the deployment's own
            return file.read()
    except (OSError, UnicodeDecodeError) as caught:
        raise KeyFileError(
            f"extra.key_file of connection {conn_id} cannot be read ({caught.__class__.__name__}): {path}. Check "
            f"path and rights."
        ) from None


@contextmanager
def _named(doing: str, *, advise: bool = True) -> Iterator[None]:
    """Tell apart "the server said no" and "no answer came"; `advise`: and say what is safe to do now."""
    try:
        yield
    except FileNotFoundError:
        raise _refused(
            f"The server knows no such file or folder while {doing}.", "Check the profile's folders,", advise
        ) from None
    except PermissionError:
        raise _refused(
            f"The server refused {doing}: permission denied.", "Ask DOKU for the rights of this user,", advise
        ) from None
    except (OSError, TimeoutError, EOFError, ConnectionError, paramiko.SSHException) as caught:
        if _is_answer(caught):
            raise _refused(f"The server refused {doing} ({_short(caught)}).", "Ask DOKU why,", advise) from None
        advice = " The task may be run again: it looks at the server first." if advise else ""
        raise RemoteError(f"The connection broke while {doing} ({_short(caught)}).{advice}") from None


def _refused(fact: str, ask: str, advise: bool) -> RemoteRefused:
    return RemoteRefused(f"{fact} {ask} then clear the task." if advise else fact)


def _is_answer(caught: BaseException) -> bool:
    """SFTP status answers come as plain OSErrors without an errno; broken sockets have one.

    Except paramiko's own "Socket is closed": it stands for a connection that was gone before anything was asked.
    """
    if not isinstance(caught, OSError) or isinstance(caught, (TimeoutError, ConnectionError)):
        return False
    return caught.errno is None and "closed" not in str(caught)


def _short(caught: BaseException) -> str:
    words = str(caught).strip()
    return f"{caught.__class__.__name__}: {words[:120]}" if words else caught.__class__.__name__


def _remote_file(name: str, entry: paramiko.SFTPAttributes) -> RemoteFile:
    return RemoteFile(name, entry.st_size or 0, int(entry.st_mtime or 0))
