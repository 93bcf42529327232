"""A merchant for the simulator's tests: writes batch files by hand, with nothing of the package under test."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from tests.doku_simulator import EnvelopeForm, Fault, HttpConfig, Simulator, SimulatorConfig
from tests.doku_simulator.envelope import open_sealed, seal
from tests.doku_simulator.web.settings import KINDS
from tests.unit.doku_simulator.merchant_web import Inbox, WebMerchant

LAYOUTS = Path(__file__).resolve().parents[2] / "doku_simulator" / "layouts"
FIXED_TIME = 1_795_000_000.0


class Merchant:
    """What a merchant can do with the simulator: seal, put a file into the inbound folder, read reports."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._doku_key = simulator.keys.public("doku")

    @staticmethod
    def plain(name: str, rows: list[tuple[str, int]]) -> bytes:
        """Lines of (invoice number, amount) in the form of layouts/batch.toml."""
        lines = [f"H|{name}|{len(rows)}|{sum(amount for _, amount in rows)}.00"]
        lines += [
            f"D|{invoice}|CUST{number}|BILL{number}|tok-{invoice}|{amount}.00|IDR|20261123"
            for number, (invoice, amount) in enumerate(rows)
        ]
        return "".join(f"{line}\r\n" for line in lines).encode("ascii")

    @staticmethod
    def rows(count: int, start: int = 0) -> list[tuple[str, int]]:
        return [(f"INV{number:08d}", 150_000 + number) for number in range(start, start + count)]

    def sealed(self, plain: bytes) -> bytes:
        return seal(plain, self._doku_key, self.simulator.config.envelope)

    def drop(self, name: str, rows: list[tuple[str, int]] | int, start: int = 0) -> bytes:
        """Put a batch file where DOKU picks it up; its bytes."""
        data = self.sealed(self.plain(name, self.rows(rows, start) if isinstance(rows, int) else rows))
        (self.simulator.inbound / name).write_bytes(data)
        return data

    def report(self, name: str) -> list[list[str]]:
        """A report's lines, cells split."""
        data = (self.simulator.outbound / name).read_bytes()
        form = self.simulator.config.report_envelope or self.simulator.config.envelope
        plain = open_sealed(data, self.simulator.keys.private("merchant"), form)
        return [line.split("|") for line in plain.decode("ascii").split("\r\n")[:-1]]

    def reports(self) -> list[str]:
        return sorted(path.name for path in self.simulator.outbound.iterdir())

    @contextmanager
    def sftp(self, *, with_key: bool = False) -> Iterator[paramiko.SFTPClient]:
        simulator = self.simulator
        client = paramiko.SSHClient()
        kind, key = simulator.host_key.split()
        host = f"[{simulator.host}]:{simulator.port}"
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{host} {kind} {key}")
        assert entry is not None
        client.get_host_keys().add(host, kind, entry.key)
        login = (
            {"key_filename": str(simulator.keys.ssh_path("client_key"))}
            if with_key
            else {"password": simulator.password}
        )
        try:
            client.connect(
                simulator.host,
                simulator.port,
                simulator.user,
                look_for_keys=False,
                allow_agent=False,
                timeout=10,
                **login,
            )
            yield client.open_sftp()
        finally:
            client.close()

    def upload(self, name: str, data: bytes) -> None:
        """As a careful merchant does: a temporary name, then a plain rename."""
        with self.sftp() as sftp:
            sftp.putfo(io.BytesIO(data), f"/inbound/.{name}.part")
            sftp.rename(f"/inbound/.{name}.part", f"/inbound/{name}")


MakeConfig = Callable[..., SimulatorConfig]
Play = Callable[..., AbstractContextManager[WebMerchant]]
Start = Callable[..., AbstractContextManager[Merchant]]


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs take a second to make: once is enough."""
    folder = tmp_path_factory.mktemp("keys")
    with Simulator(_config(folder, sftp=False, auto=False)):
        pass
    return folder / "keys"


def _config(root: Path, **changes: object) -> SimulatorConfig:
    config = SimulatorConfig(
        root=root,
        batch_layout=LAYOUTS / "batch.toml",
        report_layout=LAYOUTS / "report.toml",
        auto=False,
        sftp=False,
        sync=False,
        clock=lambda: FIXED_TIME,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.fixture
def make_config(tmp_path: Path, key_folder: Path) -> MakeConfig:
    def make(root: Path | None = None, **changes: object) -> SimulatorConfig:
        root = root or tmp_path / "doku"
        root.mkdir(exist_ok=True)
        if not (root / "keys").exists():
            (root / "keys").symlink_to(key_folder)
        return _config(root, **changes)

    return make


URLS = {kind: f"https://merchant.example/doku/{kind}" for kind in KINDS}


@pytest.fixture
def play(make_config: MakeConfig) -> Play:
    """A simulator with an HTTP side and a merchant who hears it: `with play("api_slow", words="sha256") as web`."""

    @contextmanager
    def run(
        *faults: Fault | str, root: Path | None = None, mix: object = None, **settings: object
    ) -> Iterator[WebMerchant]:
        inbox = Inbox()
        config = HttpConfig(**{"listen": False, "post": inbox.post, "notify_urls": URLS, **settings})  # type: ignore[arg-type]
        with Simulator(make_config(root, http=config, **({"mix": mix} if mix else {}))) as simulator:
            simulator.behave(faults=faults)
            inbox.simulator = simulator
            yield WebMerchant(simulator, inbox)

    return run


@pytest.fixture
def start(make_config: MakeConfig) -> Start:
    """Start a simulator: `with start(seed=3) as merchant`."""

    @contextmanager
    def run(root: Path | None = None, **changes: object) -> Iterator[Merchant]:
        with Simulator(make_config(root, **changes)) as simulator:
            yield Merchant(simulator)

    return run


ALL_FORMS = [
    EnvelopeForm(),
    EnvelopeForm(key_encoding="hex", data_encoding="hex"),
    EnvelopeForm(key_encoding="raw", data_encoding="raw"),
    EnvelopeForm(key_encoding="raw", data_encoding="base64", prefix_counts="raw"),
    EnvelopeForm(prefix_counts="raw"),
    EnvelopeForm(rsa_padding="pkcs1v15"),
    EnvelopeForm(rsa_padding="oaep-sha1", aes_mode="cbc"),
    EnvelopeForm(rsa_padding="oaep-sha256", aes_mode="cbc", cbc_iv="prefixed"),
    EnvelopeForm(prefix_width=6, key_encoding="hex", prefix_counts="raw"),
]


@pytest.fixture(params=ALL_FORMS, ids=lambda form: "-".join(str(value) for value in form.__dict__.values()))
def form(request: pytest.FixtureRequest) -> EnvelopeForm:
    return request.param
