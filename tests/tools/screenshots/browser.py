"""A Chromium without a window, driven over its debugging protocol: nothing but what a picture needs."""

import base64
import io
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from tests.services.processes import start

CHROMIUM: Final = "/usr/bin/chromium"
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


class Browser:
    """One page of a running Chromium."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def log_in(self, url: str, token: str) -> None:
        """Carry Airflow's cookie from now on."""
        self._ask("Network.setCookie", name="_token", value=token, url=url)

    def shoot(
        self, url: str, file: Path, *, width: int, height: int | None = None, dark: bool = False, settle: float = 0.5
    ) -> None:
        """A picture of a page.

        Args:
            url: The page.
            file: Where the picture goes; with 256 colours, which is plenty for text and bars.
            width: In CSS pixels; below 500 it is a phone.
            height: None: the whole page.
            dark: What the reader prefers.
            settle: Seconds after loading, for pages that go on by themselves.
        """
        phone = width < 500
        self._ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        ])  # fmt: skip
        self._size(width, height or 300, phone)
        self._ask("Page.enable")
        self._ask("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")
        time.sleep(settle)
        if height is None:
            content = self._ask("Page.getLayoutMetrics")["cssContentSize"]
            self._size(width, int(content["height"]) + 1, phone)
        taken = self._ask("Page.captureScreenshot", format="png")
        picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
        picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, optimize=True)

    def run(self, script: str) -> Any:
        """What a script in the page comes to."""
        return self._ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def _size(self, width: int, height: int, phone: bool) -> None:
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer: Mapping[str, Any] = json.loads(self._connection.recv(timeout=60))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _wait_for(self, event: str) -> None:
        while json.loads(self._connection.recv(timeout=60)).get("method") != event:
            pass


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser of its own, with nothing in it; stopped at the end.

    Args:
        folder: An empty folder for what it writes.
    """
    data = folder / "chromium"
    process = start(
        "chromium", [CHROMIUM, *_FLAGS, f"--user-data-dir={data}", "about:blank"], log=folder / "chromium.log"
    )
    try:
        port = _port(data / "DevToolsActivePort")
        (page,) = [one for one in httpx.get(f"http://127.0.0.1:{port}/json").json() if one["type"] == "page"]
        with connect(page["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Browser(connection)
    finally:
        process.ask_to_stop()
        process.stop()


def _port(file: Path, seconds: float = 30) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.1)
    raise TimeoutError(f"Chromium did not start within {seconds:.0f} s; see its log beside {file.parent}")
