"""The pages as an ASGI app that is made when it is first asked for.

Airflow loads plugins in every one of its processes; only the web server serves anything, and only there are FastAPI
and Airflow's own web modules worth importing.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


class PagesLazily:
    """Passes everything on to `plugins.web.app`."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Serve one request."""
        if self._app is None:
            from plugins.web.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)
