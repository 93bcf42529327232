"""The simulator's envelope: every variant there and back, damage refused, and openssl agrees."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.doku_simulator.envelope import BadEnvelopeError, EnvelopeForm, open_sealed, seal
from tests.doku_simulator.keys import KeyRing


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    ring = KeyRing(tmp_path_factory.mktemp("ring"))
    ring.create()
    return ring


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_every_variant_there_and_back(form: EnvelopeForm, keys: KeyRing, size: int) -> None:
    plain = random.Random(size).randbytes(size)
    assert open_sealed(seal(plain, keys.public("merchant"), form), keys.private("merchant"), form) == plain


def test_default_is_the_abu_form(keys: KeyRing) -> None:
    sealed = seal(b"x" * 100, keys.public("merchant"), EnvelopeForm())
    assert sealed[:4] == b"0344"
    assert len(sealed) == 4 + 344 + 152


def test_length_of_a_raw_1024_bit_key_is_128(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path, bits=1024)
    ring.create()
    form = EnvelopeForm(key_encoding="raw", prefix_counts="raw")
    sealed = seal(b"abc", ring.public("merchant"), form)
    assert sealed[:4] == b"0128"
    assert open_sealed(sealed, ring.private("merchant"), form) == b"abc"


def test_each_file_has_a_key_of_its_own(keys: KeyRing) -> None:
    first, second = (seal(b"same", keys.public("merchant"), EnvelopeForm()) for _ in range(2))
    assert first != second


def test_another_key_pair_opens_nothing(form: EnvelopeForm, keys: KeyRing) -> None:
    with pytest.raises(BadEnvelopeError):
        open_sealed(seal(b"abc", keys.public("other"), form), keys.private("merchant"), form)


def test_damage_never_escapes_as_another_error(keys: KeyRing) -> None:
    rng, private = random.Random(5), keys.private("merchant")
    sealed = seal(b"line\r\n" * 50, keys.public("merchant"), EnvelopeForm())
    for _ in range(60):
        at = rng.randrange(len(sealed))
        broken = rng.choice([sealed[:at], sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], sealed[at:]])
        try:
            open_sealed(broken, private, EnvelopeForm())
        except BadEnvelopeError:
            continue


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_openssl_and_a_shell_open_what_the_simulator_seals(keys: KeyRing, tmp_path: Path) -> None:
    plain = b"H|RPT|1|150000.00\r\nD|INV1|0000\r\n"
    (tmp_path / "report").write_bytes(seal(plain, keys.public("merchant"), EnvelopeForm()))
    script = """
        set -eu
        length=$(head -c 4 report | sed 's/^0*//')
        tail -c +5 report | head -c "$length" | base64 -d > wrapped
        openssl pkeyutl -decrypt -inkey "$1" -pkeyopt rsa_padding_mode:none -in wrapped | tail -c 32 > key
        tail -c +$((5 + length)) report | base64 -d > data
        openssl enc -d -aes-256-ecb -K "$(od -An -v -tx1 key | tr -d ' \\n')" -in data
    """
    result = subprocess.run(
        ["sh", "-c", script, "sh", str(keys.private_path("merchant"))], cwd=tmp_path, capture_output=True, check=True
    )
    assert result.stdout == plain


def test_the_simulator_opens_what_openssl_seals(keys: KeyRing, tmp_path: Path) -> None:
    plain = b"H|one line\r\n"
    (tmp_path / "plain").write_bytes(plain)
    script = """
        set -eu
        printf 'abcdefghijklmnopqrstuvwxyzABCDEF' > key
        { head -c 224 /dev/zero; cat key; } > block
        openssl pkeyutl -encrypt -pubin -inkey "$1" -pkeyopt rsa_padding_mode:none -in block | base64 -w 0 > wrapped
        openssl enc -aes-256-ecb -K "$(od -An -v -tx1 key | tr -d ' \\n')" -in plain | base64 -w 0 > data
        { printf '%04d' "$(wc -c < wrapped)"; cat wrapped data; } > sealed
    """
    subprocess.run(["sh", "-c", script, "sh", str(keys.public_path("doku"))], cwd=tmp_path, check=True)
    assert open_sealed((tmp_path / "sealed").read_bytes(), keys.private("doku"), EnvelopeForm()) == plain


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="key_encodings"):
        EnvelopeForm.from_mapping({"key_encodings": "hex"})
    with pytest.raises(ValueError, match="aes_mode"):
        EnvelopeForm.from_mapping({"aes_mode": "gcm"})
