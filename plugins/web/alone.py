"""The notification paths in a process of their own, for whatever is published to the internet.

    python -m plugins.web.alone --host 127.0.0.1 --port 8090

It imports no Airflow and needs the ledger only (and, for questions for an amount, the billing database). Connections
come from `AIRFLOW_CONN_<ID>` variables and profiles from `DOKU_PROFILES_DIR`, as for `python -m include.cli`. TLS is
for the proxy in front of it.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import ClassVar, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from include.cli import connection_from_environment
from plugins.web.notifications import make_app

MOST_CONNECTIONS: Final = 512
MOST_HEAD_BYTES: Final = 32_768


class ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which closes a connection whose next request does not begin in time.

    uvicorn itself waits forever for the head of a request: a few hundred silent connections would be enough to shut
    everybody else out.
    """

    head_seconds: ClassVar[float] = 10.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait no more once the head is there; from the first byte of another request on wait again."""
        super().data_received(data)
        if self._has_request():
            self._stop_waiting()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self._close_if_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close_if_late(self) -> None:
        self._late = None
        if not self._has_request() and not self.transport.is_closing():
            self.transport.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m plugins.web.alone", description="DOKU's notifications, alone")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8090, help="port to listen on (default: 8090)")
    parser.add_argument(
        "--head-seconds", type=float, default=10.0, help="how long a connection may wait for a request (default: 10)"
    )
    options = parser.parse_args(arguments)
    ImpatientProtocol.head_seconds = options.head_seconds
    uvicorn.run(
        make_app(connection_from_environment),
        host=options.host,
        port=options.port,
        http=ImpatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
