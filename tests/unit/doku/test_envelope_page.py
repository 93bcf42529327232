"""docs/envelope.md opens a sealed file: the very commands of the page are run."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.doku.envelope import seal
from include.schemas.envelope import EnvelopeSpec
from tests.unit.doku.samples import rendered, rows, shipped

PAGE = Path(__file__).parents[3] / "docs" / "envelope.md"
OPEN, COMPARE, FINGERPRINT = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def run(script: str, folder: Path) -> str:
    shell = "file=TKN.TXT\nkey=key.pem\nset -eu\n" + script
    done = subprocess.run(["sh", "-c", shell], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
@pytest.mark.parametrize("count", [1, 3000])
def test_the_commands_of_the_page_open_a_sealed_file(pair, tmp_path, bits, count) -> None:
    public, private = pair(bits)
    plain = rendered(shipped("assumed-batch"), rows(count))
    sealed = b"".join(seal([plain], public, EnvelopeSpec()))
    (tmp_path / "TKN.TXT").write_bytes(sealed)
    (tmp_path / "key.pem").write_bytes(private.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    run(OPEN, tmp_path)
    assert (tmp_path / "plain.txt").read_bytes() == plain
    assert {path.name for path in tmp_path.iterdir()} == {"TKN.TXT", "key.pem", "plain.txt"}, "no key is left lying"
    digests = [line.split()[0] for line in run(COMPARE, tmp_path).splitlines()]
    assert digests == [hashlib.sha256(data).hexdigest() for data in (plain, sealed)]
    assert "SHA256:" + run(FINGERPRINT, tmp_path).strip().rstrip("=") == public.fingerprint


def test_a_file_for_another_key_does_not_open(pair, tmp_path) -> None:
    (tmp_path / "TKN.TXT").write_bytes(b"".join(seal([b"lines\r\n" * 50], pair(2048)[0], EnvelopeSpec())))
    (tmp_path / "key.pem").write_bytes(
        pair(3072)[1].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(AssertionError):
        run(OPEN, tmp_path)
