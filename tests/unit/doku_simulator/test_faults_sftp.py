"""Faults of the connection, of uploads, downloads and listings: what the client sees, and what is true afterwards."""

import io
import time

import paramiko
import pytest

from tests.doku_simulator import Behaviour, Chaos, Fault
from tests.unit.doku_simulator.conftest import Merchant, Start

LOST = (OSError, EOFError, paramiko.SSHException)


@pytest.fixture
def merchant(start: Start):
    with start(sftp=True, clock=time.time) as merchant:
        yield merchant


def fired(merchant: Merchant) -> list[str]:
    return [record["name"] for record in merchant.simulator.faults_fired]


def put(merchant: Merchant, name: str = "TKN1.TXT", data: bytes = b"x" * 1000) -> None:
    merchant.upload(name, data)


def inbound(merchant: Merchant) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in merchant.simulator.inbound.iterdir()}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("connection_refused", (paramiko.SSHException, EOFError, OSError)),
        ("login_refused", paramiko.AuthenticationException),
        ("host_key_changed", paramiko.BadHostKeyException),
    ],
)
def test_no_login_once_and_then_again(merchant: Merchant, name: str, error: type[Exception]) -> None:
    merchant.simulator.behave(faults=[name])
    with pytest.raises(error):
        put(merchant)
    assert fired(merchant) == [name]
    assert inbound(merchant) == {}
    put(merchant)
    assert inbound(merchant) == {"TKN1.TXT": 1000}


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault("upload_cut", params={"at": 300}), {".TKN1.TXT.part": 300}),
        (Fault("upload_cut", params={"at": 5000}), {".TKN1.TXT.part": 1000}),
        (Fault("write_refused"), {}),
        (Fault("disk_full", params={"at": 300}), {".TKN1.TXT.part": 300}),
        (Fault("close_answer_lost"), {".TKN1.TXT.part": 1000}),
        (Fault("rename_refused"), {".TKN1.TXT.part": 1000}),
        (Fault("rename_cut"), {".TKN1.TXT.part": 1000}),
        (Fault("rename_answer_lost"), {"TKN1.TXT": 1000}),
    ],
    ids=lambda value: value.name + str(value.params.get("at", "")) if isinstance(value, Fault) else "",
)
def test_an_upload_fails(merchant: Merchant, fault: Fault, left: dict[str, int]) -> None:
    merchant.simulator.behave(faults=[fault])
    with pytest.raises(LOST):
        put(merchant)
    assert inbound(merchant) == left
    assert fired(merchant) == [fault.name]
    put(merchant, "TKN2.TXT")
    assert inbound(merchant) == {**left, "TKN2.TXT": 1000}


def test_the_seed_chooses_the_byte(merchant: Merchant) -> None:
    sizes = set()
    for seed in range(4):
        merchant.simulator.behave(faults=[Fault("upload_cut", seed=seed)])
        with pytest.raises(LOST):
            put(merchant, f"TKN{seed}.TXT", b"x" * 10_000)
        sizes.add(inbound(merchant)[f".TKN{seed}.TXT.part"])
    assert len(sizes) == 4
    assert max(sizes) <= 4096


def test_a_file_is_taken_at_once(merchant: Merchant) -> None:
    merchant.simulator.behave(faults=["taken_at_once"])
    data = merchant.sealed(merchant.plain("TKN1.TXT", merchant.rows(3)))
    with merchant.sftp() as sftp:
        sftp.putfo(io.BytesIO(data), "/inbound/.t")
        sftp.rename("/inbound/.t", "/inbound/TKN1.TXT")
        assert sftp.listdir("/inbound") == []
        with pytest.raises(FileNotFoundError):
            sftp.stat("/inbound/TKN1.TXT")
    (result,) = merchant.simulator.process_once()
    assert result.event == "processed"
    merchant.simulator.behave(faults=[Fault("taken_at_once", seed=2)])
    with merchant.sftp() as sftp:
        # A direct upload: gone when it is closed.
        data = merchant.sealed(merchant.plain("TKN2.TXT", merchant.rows(3, 10)))
        sftp.putfo(io.BytesIO(data), "/inbound/TKN2.TXT", confirm=False)
        assert sftp.listdir("/inbound") == []


def test_a_delete_is_refused(merchant: Merchant) -> None:
    put(merchant)
    merchant.simulator.behave(faults=["remove_refused"])
    with merchant.sftp() as sftp:
        with pytest.raises(PermissionError):
            sftp.remove("/inbound/TKN1.TXT")
        sftp.remove("/inbound/TKN1.TXT")
    assert inbound(merchant) == {}


@pytest.mark.parametrize("at", [100, 10**6])
def test_a_download_is_cut(merchant: Merchant, at: int) -> None:
    (merchant.simulator.outbound / "RPT_1.TXT").write_bytes(b"r" * 50_000)
    merchant.simulator.behave(faults=[Fault("download_cut", match="RPT*", params={"at": at})])
    with merchant.sftp() as sftp, pytest.raises(LOST):
        sftp.getfo("/outbound/RPT_1.TXT", io.BytesIO())
    with merchant.sftp() as sftp:
        got = io.BytesIO()
        sftp.getfo("/outbound/RPT_1.TXT", got)
    assert len(got.getvalue()) == 50_000


def test_listings_fail_or_lag(merchant: Merchant) -> None:
    for number in range(3):
        (merchant.simulator.outbound / f"RPT_{number}.TXT").write_bytes(b"r")
        time.sleep(0.02)
    merchant.simulator.behave(faults=[Fault("listing_refused", match="outbound"), Fault("listing_stale", after=0)])
    with merchant.sftp() as sftp:
        with pytest.raises(OSError, match="Failure"):
            sftp.listdir("/outbound")
        assert sorted(sftp.listdir("/outbound")) == ["RPT_0.TXT", "RPT_1.TXT"]
        assert len(sftp.listdir("/outbound")) == 3


def test_slow(merchant: Merchant) -> None:
    merchant.simulator.behave(faults=[Fault("slow", times=0, params={"seconds": 0.2, "op": "rename"})])
    started = time.monotonic()
    put(merchant)
    assert time.monotonic() - started >= 0.2
    assert fired(merchant) == ["slow"]


def test_hang(merchant: Merchant) -> None:
    merchant.simulator.behave(faults=[Fault("hang", params={"op": "stat"})])
    with merchant.sftp() as sftp:
        channel = sftp.get_channel()
        assert channel is not None
        channel.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sftp.stat("/inbound")
    with merchant.sftp() as sftp:
        sftp.stat("/inbound")


def test_clock_skew(merchant: Merchant) -> None:
    merchant.simulator.behave(faults=[Fault("clock_skew", params={"seconds": -7200})])
    put(merchant)
    with merchant.sftp() as sftp:
        (entry,) = sftp.listdir_attr("/inbound")
        assert 7100 < time.time() - (entry.st_mtime or 0) < 7300
        assert sftp.stat("/inbound/TKN1.TXT").st_mtime == entry.st_mtime


def test_a_fault_waits_for_its_turn_and_its_name(merchant: Merchant) -> None:
    merchant.simulator.behave(faults=[Fault("rename_refused", match="TKN9*", after=1, times=2)])
    outcome = []
    for number, name in enumerate(["TKN1.TXT", "TKN91.TXT", "TKN92.TXT", "TKN93.TXT", "TKN94.TXT"]):
        try:
            put(merchant, name, b"x" * (number + 1))
            outcome.append(True)
        except OSError:
            outcome.append(False)
    assert outcome == [True, True, False, False, True]


def test_chaos_is_the_same_for_the_same_seed_and_ends(start: Start, tmp_path) -> None:
    def run(folder: str) -> tuple[list[bool], list[str]]:
        names = ("rename_refused", "upload_cut", "rename_answer_lost", "write_refused")
        with start(tmp_path / folder, sftp=True) as merchant:
            merchant.simulator.behave(Behaviour(chaos=Chaos(seed=4, probability=0.3, names=names, limit=6)))
            outcome = []
            for number in range(20):
                try:
                    put(merchant, f"TKN{number}.TXT")
                    outcome.append(True)
                except LOST:
                    outcome.append(False)
            return outcome, fired(merchant)

    first, names = run("one")
    assert (first, names) == run("two")
    assert len(names) == 6
    assert not all(first)
    assert all(first[-3:])


def test_a_control_file_written_by_hand(merchant: Merchant) -> None:
    control = merchant.simulator.config.root / "control.json"
    control.write_text('{"faults": ["rename_refused"]}')
    with pytest.raises(OSError, match="Failure"):
        put(merchant)
    for bad, problem in (("{", "control.json"), ('{"fault": []}', "'fault'"), ('{"faults": ["nonsense"]}', "nonsense")):
        control.write_text(bad)
        put(merchant, f"TKN{len(bad)}.TXT")
        assert problem in merchant.simulator.director.problem
    control.unlink()
    assert merchant.simulator.director.behaviour == Behaviour()


def test_uses_are_counted_over_a_restart_until_ordered_anew(start: Start) -> None:
    with start(sftp=True) as merchant:
        merchant.simulator.behave(faults=["rename_refused", Fault("remove_refused", id="mine")])
        with pytest.raises(OSError, match="Failure"):
            put(merchant, "TKN1.TXT")
    with start(sftp=True) as merchant:
        put(merchant, "TKN2.TXT")
        merchant.simulator.behave(faults=["rename_refused", Fault("remove_refused", id="mine")])
        with pytest.raises(OSError, match="Failure"):
            put(merchant, "TKN3.TXT")
        with merchant.sftp() as sftp:
            with pytest.raises(PermissionError):
                sftp.remove("/inbound/TKN2.TXT")
            merchant.simulator.behave(faults=[Fault("remove_refused", id="mine")])
            sftp.remove("/inbound/TKN2.TXT")
    assert fired(merchant) == ["rename_refused", "rename_refused", "remove_refused"]


def test_each_parameter_must_exist() -> None:
    for bad in ('{"split": 0}', "[1]", '{"faults": [{"name": "slow", "params": {"second": 1}}]}', '{"faults": [{}]}'):
        with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
            Behaviour.from_json(bad)
    behaviour = Behaviour(late_seconds=3, faults=(Fault("slow"),), chaos=Chaos(1, names=("hang",)))
    assert Behaviour.from_json(behaviour.to_json()) == behaviour
