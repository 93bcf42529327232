"""The SFTP server: behaves like OpenSSH's internal-sftp in a chroot, keeps an operation log, and fails on command.

Like OpenSSH: a plain rename refuses an existing target, `posix-rename@openssh.com` overwrites it, the root folder is
not writable, and errors have the few codes that protocol version 3 knows.
"""

import asyncio
import errno
import os
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import wraps
from pathlib import Path, PurePosixPath
from typing import Any, Final

import asyncssh

from tests.doku_simulator.behaviour import Director
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.keys import KeyRing

_NO_SUCH_FILE: Final = frozenset({errno.ENOENT, errno.EBADF, errno.ELOOP})
_DENIED: Final = frozenset({errno.EPERM, errno.EACCES, errno.EFAULT, errno.EROFS})
_BAD_MESSAGE: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL})
_KEPT_OPERATIONS: Final = 200_000


class OperationLog:
    """What clients did, in memory for tests and in a file for people."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._journal = Journal(path, sync=False)
        self._clock = clock
        self.records: list[dict[str, Any]] = []

    def add(self, op: str, path: str = "", **facts: Any) -> None:
        record = {"time": round(self._clock(), 6), "op": op, "path": path, **facts}
        if len(self.records) < _KEPT_OPERATIONS:
            self.records.append(record)
        self._journal.append([record])

    def close(self) -> None:
        self._journal.close()


def _as_openssh(error: OSError) -> asyncssh.SFTPError:
    """The status that OpenSSH's server would send: protocol 3 knows few."""
    if error.errno in _NO_SUCH_FILE:
        return asyncssh.SFTPNoSuchFile("No such file")
    if error.errno in _DENIED:
        return asyncssh.SFTPPermissionDenied("Permission denied")
    if error.errno in _BAD_MESSAGE:
        return asyncssh.SFTPBadMessage("Bad message")
    return asyncssh.SFTPFailure("Failure")


class OpenFile:
    """A file that a client has open."""

    def __init__(self, handle: int, path: str, local: Path, *, writing: bool, append: bool) -> None:
        self.handle, self.path, self.local, self.writing, self.append = handle, path, local, writing, append
        self.read = self.written = 0
        self.cut_at: int | None = None
        self.full_at: int | None = None

    def spare(self, limit: int | None) -> bool:
        """Whether a fault that waits for a byte was not reached by the end of the file."""
        return limit is not None and self.written <= limit

    # asyncssh asks an open file for these two when it answers fstat.
    def fileno(self) -> int:
        return self.handle

    def flush(self) -> None:
        """Nothing is buffered."""


def _operation(op: str) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Coroutine[Any, Any, Any]]]:
    """Wrap one SFTP operation: delays, log, and OpenSSH's errors."""

    def decorate(method: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        @wraps(method)
        async def wrapped(self: "SftpSession", target: Any, *more: Any) -> Any:
            path = target.path if isinstance(target, OpenFile) else self.shown(target)
            await self.dawdle(op, path)
            try:
                return await method(self, target, *more)
            except OSError as error:
                answer = _as_openssh(error)
                self.note(op, path, error=type(answer).__name__)
                raise answer from error
            except asyncssh.SFTPError as error:
                self.note(op, path, error=type(error).__name__)
                raise

        return wrapped

    return decorate


class SftpSession(asyncssh.SFTPServer):
    """One client's session."""

    def __init__(self, chan: Any, server: "SftpService") -> None:
        super().__init__(chan, chroot=os.fsencode(server.root))
        self._service = server
        self._director = server.director
        self._config = server.config

    # --- what all operations need --------------------

    def shown(self, path: bytes) -> str:
        """The path as clients see it."""
        return os.path.normpath("/" + os.fsdecode(path)).replace("//", "/")

    def note(self, op: str, path: str, **facts: Any) -> None:
        self._service.log.add(op, path, **facts)

    async def dawdle(self, op: str, path: str) -> None:
        name = PurePosixPath(path).name
        if slow := self._director.take("slow", name, op=op):
            await asyncio.sleep(float(slow.param("seconds")))
        if hang := self._director.take("hang", name, op=op):
            self.note(op, path, fault="hang")
            await asyncio.sleep(float(hang.param("seconds")))
            raise self._cut(op, path, "hang")

    def _cut(self, op: str, path: str, fault: str) -> asyncssh.SFTPError:
        """Cut the connection now; no answer leaves any more."""
        self.note(op, path, fault=fault)
        self.connection.abort()
        return asyncssh.SFTPConnectionLost("Connection lost")

    def _local(self, path: bytes) -> Path:
        local = Path(os.fsdecode(self.map_path(path)))
        # A link inside the chroot could lead out of it; DOKU's folders have none.
        if local.parent.resolve() != local.parent:
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        return local

    def _writable(self, path: bytes) -> Path:
        """The local path of something that is to be made, changed or removed."""
        local = self._local(path)
        shown = self.shown(path)
        parent = str(PurePosixPath(shown).parent)
        locked = any(parent == folder.rstrip("/") for folder in self._config.read_only)
        if parent == "/" or locked:
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        return local

    def _take(self, fault: str, path: str) -> Any:
        return self._director.take(fault, PurePosixPath(path).name)

    def _skewed(self, status: os.stat_result) -> asyncssh.SFTPAttrs:
        attrs = asyncssh.SFTPAttrs.from_local(status)
        shift = self._service.skew()
        if shift:
            attrs.mtime, attrs.atime = int(attrs.mtime + shift), int(attrs.atime + shift)
        return attrs

    # --- files --------------------

    @_operation("open")
    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> OpenFile:
        writing = bool(pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC))
        shown = self.shown(path)
        local = self._writable(path) if writing else self._local(path)
        if writing and self._take("write_refused", shown):
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        flags = os.O_RDONLY
        if pflags & asyncssh.FXF_WRITE:
            flags = os.O_RDWR if pflags & asyncssh.FXF_READ else os.O_WRONLY
        for asked, flag in _OPEN_FLAGS.items():
            flags |= flag if pflags & asked else 0
        permissions = 0o666 if attrs.permissions is None else attrs.permissions & 0o777
        opened = OpenFile(
            os.open(local, flags, permissions), shown, local, writing=writing, append=bool(flags & os.O_APPEND)
        )
        if stat.S_ISDIR(os.fstat(opened.handle).st_mode):
            os.close(opened.handle)
            raise asyncssh.SFTPFailure("Failure")
        if writing:
            cut, full = self._take("upload_cut", shown), self._take("disk_full", shown)
            opened.cut_at = cut.at(PurePosixPath(shown).name) if cut else None
            opened.full_at = full.at(PurePosixPath(shown).name) if full else None
            self._service.writing.add(opened)
        elif cut := self._take("download_cut", shown):
            opened.cut_at = min(cut.at(PurePosixPath(shown).name), os.fstat(opened.handle).st_size - 1)
        self.note("open", shown, mode="write" if writing else "read")
        return opened

    @_operation("write")
    async def write(self, file_obj: OpenFile, offset: int, data: bytes) -> int:
        limit = min((at for at in (file_obj.cut_at, file_obj.full_at) if at is not None), default=None)
        kept = data if limit is None else data[: max(0, limit - offset)]
        if file_obj.append:
            os.write(file_obj.handle, kept)
        else:
            os.pwrite(file_obj.handle, kept, offset)
        file_obj.written = max(file_obj.written, offset + len(kept))
        if limit is not None and len(kept) < len(data):
            if limit == file_obj.cut_at:
                raise self._cut("write", file_obj.path, "upload_cut")
            raise asyncssh.SFTPFailure("Failure")  # what OpenSSH says for ENOSPC
        return len(data)

    @_operation("read")
    async def read(self, file_obj: OpenFile, offset: int, size: int) -> bytes:
        data = os.pread(file_obj.handle, size, offset)
        if file_obj.cut_at is not None and offset + len(data) > file_obj.cut_at:
            raise self._cut("read", file_obj.path, "download_cut")
        file_obj.read += len(data)
        return data

    @_operation("close")
    async def close(self, file_obj: OpenFile) -> None:
        os.close(file_obj.handle)
        self._service.writing.discard(file_obj)
        mode, size = ("write", file_obj.written) if file_obj.writing else ("read", file_obj.read)
        if self.channel.is_closing():
            self.note("dropped", file_obj.path, size=size, mode=mode)
            return
        self.note("close", file_obj.path, size=size, mode=mode)
        if not file_obj.writing:
            return
        if file_obj.spare(file_obj.cut_at):
            raise self._cut("close", file_obj.path, "upload_cut")
        if file_obj.spare(file_obj.full_at):
            raise asyncssh.SFTPFailure("Failure")
        if self._service.picked_up(file_obj.path) and self._take("taken_at_once", file_obj.path):
            self._service.take_now(file_obj.local)
        if self._take("close_answer_lost", file_obj.path):
            raise self._cut("close", file_obj.path, "close_answer_lost")

    @_operation("fsync")
    async def fsync(self, file_obj: OpenFile) -> None:
        os.fsync(file_obj.handle)

    # --- names --------------------

    @_operation("rename")
    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._rename("rename", oldpath, newpath)

    @_operation("posix_rename")
    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._rename("posix_rename", oldpath, newpath)

    async def _rename(self, op: str, oldpath: bytes, newpath: bytes) -> None:
        old, new = self._writable(oldpath), self._writable(newpath)
        shown, target = self.shown(oldpath), self.shown(newpath)
        if self._take("rename_refused", target):
            raise asyncssh.SFTPFailure("Failure")
        if self._take("rename_cut", target):
            raise self._cut(op, shown, "rename_cut")
        if op == "posix_rename":
            old.rename(new)
        else:
            _rename_without_overwriting(old, new)
        self._service.renamed(old, new)
        self.note(op, shown, to=target, size=new.stat().st_size)
        if self._service.picked_up(target) and self._take("taken_at_once", target):
            self._service.take_now(new)
        if self._take("rename_answer_lost", target):
            raise self._cut(op, shown, "rename_answer_lost")

    @_operation("remove")
    async def remove(self, path: bytes) -> None:
        local = self._writable(path)
        if self._take("remove_refused", self.shown(path)):
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        local.unlink()
        self.note("remove", self.shown(path))

    @_operation("mkdir")
    async def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._writable(path).mkdir(mode=0o777 if attrs.permissions is None else attrs.permissions & 0o777)
        self.note("mkdir", self.shown(path))

    @_operation("rmdir")
    async def rmdir(self, path: bytes) -> None:
        self._writable(path).rmdir()
        self.note("rmdir", self.shown(path))

    @_operation("symlink")
    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("Permission denied")

    @_operation("link")
    async def link(self, oldpath: bytes, newpath: bytes) -> None:
        old, new = self._writable(oldpath), self._writable(newpath)
        new.hardlink_to(old)
        self.note("link", self.shown(oldpath), to=self.shown(newpath))

    # --- attributes and listings --------------------

    @_operation("stat")
    async def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        status = self._local(path).stat()
        self.note("stat", self.shown(path), size=status.st_size)
        return self._skewed(status)

    @_operation("stat")
    async def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        status = self._local(path).lstat()
        self.note("stat", self.shown(path), size=status.st_size)
        return self._skewed(status)

    @_operation("stat")
    async def fstat(self, file_obj: OpenFile) -> asyncssh.SFTPAttrs:
        return self._skewed(os.fstat(file_obj.handle))

    @_operation("setstat")
    async def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        local = self._writable(path)
        super().setstat(os.fsencode(local.relative_to(self._service.root)), attrs)
        self.note("setstat", self.shown(path))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        shown = self.shown(path)
        await self.dawdle("list", shown)
        if self._take("listing_refused", shown):
            self.note("list", shown, error="SFTPFailure")
            raise asyncssh.SFTPFailure("Failure")
        try:
            names = self._listing(path)
        except OSError as error:
            self.note("list", shown, error=type(_as_openssh(error)).__name__)
            raise _as_openssh(error) from error
        self.note("list", shown, count=len(names) - 2)
        for name in names:
            yield name

    def _listing(self, path: bytes) -> list[asyncssh.SFTPName]:
        folder = self._local(path)
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        if stale := self._take("listing_stale", self.shown(path)):
            newest = sorted(found, key=lambda item: item[1].st_mtime_ns, reverse=True)[: int(stale.param("count"))]
            found = [item for item in found if item not in newest]
        found = [(".", folder.stat()), ("..", folder.stat()), *found]
        return [asyncssh.SFTPName(os.fsencode(name), attrs=self._skewed(status)) for name, status in found]


_OPEN_FLAGS: Final = {
    asyncssh.FXF_APPEND: os.O_APPEND,
    asyncssh.FXF_CREAT: os.O_CREAT,
    asyncssh.FXF_TRUNC: os.O_TRUNC,
    asyncssh.FXF_EXCL: os.O_EXCL,
}


def _rename_without_overwriting(old: Path, new: Path) -> None:
    """As OpenSSH: a file by link and unlink, which refuses an existing target without a gap."""
    if not old.is_symlink() and old.is_file():
        new.hardlink_to(old)
        old.unlink()
        return
    old.lstat()
    if new.exists() or new.is_symlink():
        raise FileExistsError(errno.EEXIST, "File exists")
    old.rename(new)


class _Login(asyncssh.SSHServer):
    """Password or key of the one user there is."""

    def __init__(self, service: "SftpService") -> None:
        self._service = service

    def connection_made(self, conn: Any) -> None:
        self._service.connected(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.log.add("disconnect", error=type(exc).__name__ if exc else None)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._admit(username, "password", right=password == self._service.password)

    def validate_public_key(self, username: str, key: Any) -> bool:
        offered = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
        return self._admit(username, "key", right=offered == self._service.keys.ssh_public_line("client_key"))

    def _admit(self, username: str, how: str, *, right: bool) -> bool:
        good = right and username == self._service.config.user
        if good and self._service.director.take("login_refused", username):
            good = False
        self._service.log.add("login", user=username, how=how, good=good)
        return good


class SftpService:
    """The listening server, in an event loop and a thread of its own."""

    def __init__(
        self,
        config: SimulatorConfig,
        keys: KeyRing,
        director: Director,
        log: OperationLog,
        take_now: Callable[[Path], object],
    ) -> None:
        self.config, self.keys, self.director, self.log = config, keys, director, log
        self.root = config.remote_root.resolve()
        self.password = config.password or keys.password
        self.take_now = take_now
        self.port = 0
        self.writing: set[OpenFile] = set()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._acceptor: Any = None
        self._connections: set[Any] = set()
        self._shown_key = "host_key"
        self._thread = threading.Thread(target=self._run, name="doku-simulator-sftp", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._loop and self._stop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:  # the port is taken: the starter must hear of it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._acceptor = await asyncssh.listen(
            self.config.host,
            self.config.port,
            server_factory=lambda: _Login(self),
            server_host_keys=[str(self.keys.ssh_path("host_key"))],
            sftp_factory=lambda chan: SftpSession(chan, self),
            allow_scp=False,
            server_version="OpenSSH_9.2p1-simulated",
        )
        self.port = self._acceptor.get_port()
        self._show_right_key()
        self._ready.set()
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.2)
            self._show_right_key()
        self._acceptor.close()
        for connection in list(self._connections):
            connection.abort()
        await self._acceptor.wait_closed()
        await asyncio.sleep(0.05)

    def connected(self, connection: Any) -> None:
        self.log.add("connect", host_key=self._shown_key)
        self._connections.add(connection)
        if self._shown_key == "other_host_key":
            self.director.take("host_key_changed", self.config.user)
            self._show_right_key()
        if self.director.take("connection_refused", self.config.user):
            connection.abort()

    def is_open(self, path: Path) -> bool:
        path = path.resolve()
        return any(file.local == path for file in list(self.writing))

    def renamed(self, old: Path, new: Path) -> None:
        """A file that is being written keeps being written under its new name."""
        for file in self.writing:
            if file.local == old:
                file.local = new

    def picked_up(self, shown: str) -> bool:
        """Whether DOKU takes a file with this path."""
        folder, _, name = shown.rpartition("/")
        return folder == "/" + self.config.inbound.strip("/") and Path(name).match(self.config.pattern)

    def skew(self) -> float:
        """Seconds that the server's clock is off."""
        return self.director.behaviour.skew

    def tick(self) -> None:
        """From another thread: show the host key that the behaviour of the moment asks for, before this returns."""
        if self._loop is None or not self._thread.is_alive():
            return
        done = threading.Event()

        def change() -> None:
            self._show_right_key()
            done.set()

        self._loop.call_soon_threadsafe(change)
        done.wait(5)

    def _show_right_key(self) -> None:
        wanted = "other_host_key" if self.director.pending("host_key_changed", self.config.user) else "host_key"
        if wanted != self._shown_key:
            self._shown_key = wanted
            self._acceptor.update(server_host_keys=[str(self.keys.ssh_path(wanted))])
