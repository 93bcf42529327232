import base64
import datetime as dt
import subprocess
from datetime import date

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from include.doku.keys import DatedKey, choose_key, load_private_key, load_public_key
from include.domain.errors import KeyFileError


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


def private_pem(key, form=PrivateFormat.PKCS8, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def public_pem(key, form=PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, form)


def certificate(key) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_public_key_in_all_its_forms_has_one_fingerprint(key) -> None:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    forms = [
        public_pem(key),
        public_pem(key, PublicFormat.PKCS1),
        certificate(key),
        base64.b64encode(der),
        base64.encodebytes(der),
        b"\n\n" + public_pem(key).replace(b"\n", b"\r\n"),
    ]
    loaded = [load_public_key(form, "doku.pem") for form in forms]
    assert {one.fingerprint for one in loaded} == {load_private_key(private_pem(key), "m").fingerprint}
    assert all((one.bits, one.size) == (2048, 256) for one in loaded)
    digest = subprocess.run(
        "openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64",
        input=public_pem(key),
        shell=True,
        capture_output=True,
        check=True,
    )
    assert loaded[0].fingerprint == "SHA256:" + digest.stdout.decode().strip().rstrip("=")


def test_a_private_key_in_all_its_forms(key) -> None:
    secret = BestAvailableEncryption(b"secret")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for pem, password in [
        (private_pem(key), None),
        (private_pem(key), "not needed"),
        (private_pem(key, PrivateFormat.TraditionalOpenSSL), None),
        (private_pem(key, PrivateFormat.PKCS8, secret), "secret"),
        (private_pem(key, PrivateFormat.TraditionalOpenSSL, secret), b"secret"),
        (base64.b64encode(der), None),
    ]:
        loaded = load_private_key(pem, "merchant.pem", password)
        assert loaded.fingerprint == loaded.public().fingerprint
        assert "RSAPrivateKey" not in repr(loaded)


def small(bits: int = 1024, exponent: int = 65537):
    return rsa.generate_private_key(exponent, bits)


def test_a_wrong_public_key_file_says_what_it_is(key) -> None:
    # A number of 768 bits that nobody factored: good enough to be too small.
    tiny = rsa.RSAPublicNumbers(65537, (1 << 767) + 1081).public_key()
    tiny_pem = tiny.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem, reason in [
        (b"", "not a public key"),
        (b"hello", "not a public key"),
        (b"\xff\xfe\x00", "not a public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
        (public_pem(key)[:200], "not a public key"),
        (private_pem(key), "a private key where DOKU's public key belongs"),
        (key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH), "SSH key"),
        (public_pem(ed25519.Ed25519PrivateKey.generate()), "not an RSA key"),
        (public_pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (tiny_pem, "768 bits"),
        (public_pem(small(2048, 3)), "exponent 3"),
    ]:
        with pytest.raises(KeyFileError, match=reason) as caught:
            load_public_key(pem, "doku.pem")
        assert caught.value.message.startswith("doku.pem ")
        assert "\n" not in caught.value.message


def test_a_wrong_private_key_file_says_what_it_is(key) -> None:
    encrypted = private_pem(key, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for pem, password, reason in [
        (b"", None, "not a private key"),
        (b"hello", None, "not a private key"),
        (private_pem(key)[:300], None, "not a private key"),
        (public_pem(key), None, "a public key where the merchant's private key belongs"),
        (certificate(key), None, "a public key where"),
        (encrypted, None, "no password"),
        (encrypted, "", "no password"),
        (encrypted, "wrong-horse", "cannot be opened with the password"),
        (private_pem(key, PrivateFormat.OpenSSH), None, "ssh-keygen"),
        (private_pem(ed25519.Ed25519PrivateKey.generate()), None, "not an RSA key"),
    ]:
        with pytest.raises(KeyFileError, match=reason) as caught:
            load_private_key(pem, "merchant.pem", password)
        assert "wrong-horse" not in caught.value.message
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


OLD = DatedKey(date(2025, 1, 1), date(2026, 1, 31), "doku-2025.pem")
NEW = DatedKey(date(2026, 1, 10), date(2026, 12, 31), "doku-2026.pem")


@pytest.mark.parametrize(
    ("on", "chosen"),
    [
        (date(2025, 1, 1), OLD),
        (date(2026, 1, 9), OLD),
        (date(2026, 1, 10), NEW),
        (date(2026, 1, 31), NEW),
        (date(2026, 12, 31), NEW),
    ],
)
def test_the_newest_valid_key_is_chosen(on, chosen) -> None:
    assert choose_key([OLD, NEW], on) == chosen
    assert choose_key([NEW, OLD], on) == chosen


def test_no_valid_key_says_which_expired_when() -> None:
    for on in (date(2024, 12, 31), date(2027, 1, 1)):
        with pytest.raises(KeyFileError, match=r"doku-2025\.pem is valid from 2025-01-01 until 2026-01-31"):
            choose_key([OLD, NEW], on)
    with pytest.raises(KeyFileError, match="none is configured"):
        choose_key([], date(2026, 1, 1))
    with pytest.raises(KeyFileError, match="both valid from"):
        choose_key([OLD, DatedKey(OLD.valid_from, OLD.valid_until, "again.pem")], date(2026, 1, 1))
