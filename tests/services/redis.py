"""A throwaway Redis server that can be stopped hard and started again with what it held."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.processes import Started, find_binary, free_port, start, wait_until


@dataclass
class RedisServer:
    """A Redis server on 127.0.0.1 that writes every change to its folder before it answers.

    Attributes:
        root: Its folder.
        port: Stays the same over restarts.
    """

    root: Path
    port: int
    process: Started | None = field(default=None)

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:port/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it with what its folder holds.

        Raises:
            ServiceUnavailable: No binary.
            ServiceFailed: It did not start; the message has the end of its log.
        """
        program = find_binary("redis-server", "/usr/bin", package="redis-server")
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self.root, "appendonly": "yes", "appendfsync": "always",
            "save": "",
        }  # fmt: skip
        arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        self.process = start("Redis", [program, *arguments], log=self.root / "server.log", cwd=self.root)
        wait_until(self._answers, self.process, timeout=30, what="Redis")

    def restart(self) -> None:
        """Kill it and start it again."""
        if self.process:
            self.process.kill()
        self.start()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Start a Redis server in a temporary folder; stop it and remove the folder at the end."""
    root = Path(tempfile.mkdtemp(prefix="doku-redis-"))
    server = RedisServer(root, free_port())
    try:
        server.start()
        yield server
    finally:
        if server.process:
            server.process.stop()
        shutil.rmtree(root, ignore_errors=True)
