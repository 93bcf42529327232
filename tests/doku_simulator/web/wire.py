"""One POST to the merchant."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

MOST_ANSWER = 65_536


def post(url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> tuple[int, bytes]:
    """Status and body of the answer; redirections are not followed.

    Raises:
        OSError: No answer in time, or none that is HTTP.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(
            "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, dict(headers)
        )
        response = connection.getresponse()
        return response.status, response.read(MOST_ANSWER)
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
