"""The simulator's settings."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.doku_simulator.bank import DEFAULT_ENDINGS, DEFAULT_MIX
from tests.doku_simulator.envelope import EnvelopeForm
from tests.doku_simulator.web.settings import HttpConfig

PROJECT = Path(__file__).resolve().parents[2]
LAYOUTS = PROJECT / "include" / "config" / "layouts"


@dataclass(frozen=True)
class SimulatorConfig:
    """All that a simulator is told at its start; what changes while it runs is `Behaviour`.

    Attributes:
        root: Its folder: keys, journals, state, control file and, unless `sftp_root` says otherwise, the SFTP folders.
        port: Of the SFTP server; 0 takes a free one.
        seed: Decides with each line what becomes of the charge.
        batch_layout, report_layout: Layout files.
        inbound, outbound, archive: Folders of the SFTP server; `archive=None` lets files vanish once they are taken.
        folders: More folders to have there.
        read_only: Folders in which nothing can be written, renamed or removed.
        pattern: Names that are picked up.
        report_name: May use {batch_stem}, {batch_name}, {part}, {parts}.
        code_width: 4, or 2: codes such as 0051 are written 51 (DOKU's own, 55xx, stay whole).
        part_suffix: Added to the report name's stem when a report comes in several files.
        rejection_name: Name of the note that says that a file was rejected, as `{batch_stem}.ERR`; None: no note.
        batch_sealed, report_sealed: Whether these files are in envelopes.
        merchant_public_key: PEM file for sealing reports; None: the merchant's pair in `root/keys`.
        process_after: Seconds for which a file must lie unchanged.
        poll: Seconds between looks at the folder.
        log: Operation log (JSON lines); None: `root/operations.jsonl`.
        sftp: False: only watch the folders, beside another SFTP server.
        sftp_root: What the SFTP server shows as `/`; None: `root/sftp`.
        http: The HTTP side; None: there is none.
        sync: Whether the journals wait for the disk; False is quicker, and as safe against a killed process.
        auto: True: a thread looks at the folder; False: only `process_once` does.
        clock: Seconds since the epoch.
        on_step: Called with a step's name each time the processing passes it; tests crash there.
    """

    root: Path
    port: int = 0
    host: str = "127.0.0.1"
    user: str = "merchant"
    password: str | None = None
    seed: int = 7
    batch_layout: Path = LAYOUTS / "assumed-batch.toml"
    report_layout: Path = LAYOUTS / "assumed-report.toml"
    inbound: str = "/inbound"
    outbound: str = "/outbound"
    archive: str | None = "/archive"
    folders: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    pattern: str = "TKN*.TXT"
    report_name: str = "RPT_{batch_stem}.TXT"
    part_suffix: str = "_P{part}"
    code_width: int = 4
    rejection_name: str | None = None
    batch_sealed: bool = True
    report_sealed: bool = True
    envelope: EnvelopeForm = field(default_factory=EnvelopeForm)
    report_envelope: EnvelopeForm | None = None
    merchant_public_key: Path | None = None
    key_bits: int = 2048
    process_after: float = 1.0
    poll: float = 0.3
    log: Path | None = None
    sftp: bool = True
    sftp_root: Path | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    endings: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_ENDINGS))
    unknown_charged_share: float = 0.5
    default_currency: str = "IDR"
    http: HttpConfig | None = None
    sync: bool = True
    auto: bool = True
    clock: Callable[[], float] = time.time
    on_step: Callable[[str], None] | None = None

    @property
    def remote_root(self) -> Path:
        return self.sftp_root or self.root / "sftp"

    def local(self, folder: str) -> Path:
        """Where a folder of the SFTP server lies on this machine."""
        return self.remote_root / folder.strip("/")
