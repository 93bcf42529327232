"""A throwaway object store that speaks S3 (moto's server), with one empty bucket."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.services.processes import ServiceFailed, free_port, listens, start, wait_until


@dataclass(frozen=True)
class ObjectStore:
    """Where it is and how to log in.

    Attributes:
        url: `http://127.0.0.1:port`.
        bucket: The bucket that is there.
    """

    url: str
    bucket: str
    key: str = "cluster"
    secret: str = "cluster-secret"

    def airflow_connection(self) -> dict[str, object]:
        """Airflow's JSON form of a connection to it."""
        extra = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return {"conn_type": "aws", "login": self.key, "password": self.secret, "extra": extra}


@contextmanager
def object_store(root: Path, bucket: str) -> Iterator[ObjectStore]:
    """Start it; its log is in `root`, what it holds in its memory. Stop it at the end.

    Raises:
        ServiceFailed: It did not start, or made no bucket.
    """
    port = free_port()
    command = [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    process = start("the object store", command, log=root / "object_store.log", cwd=root)
    try:
        wait_until(lambda: listens(port), process, timeout=60, what="The object store")
        store = ObjectStore(f"http://127.0.0.1:{port}", bucket)
        answer = httpx.put(f"{store.url}/{bucket}", timeout=30)
        if answer.is_error:
            raise ServiceFailed(f"the object store made no bucket: {answer.status_code} {answer.text[:200]}")
        yield store
    finally:
        process.stop()
