import base64
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.doku import envelope
from include.doku.envelope import SNIFF_BYTES, looks_sealed, open_envelope, seal
from include.domain.errors import EnvelopeError
from include.schemas.envelope import EnvelopeSpec

SPECS = [
    EnvelopeSpec(key_encoding=key, rsa_padding=rsa, aes_mode=mode, cbc_iv=iv, data_encoding=data, prefix_counts=counts)
    for key, rsa, (mode, iv), data, counts in product(
        ["base64", "hex", "raw"],
        ["none", "pkcs1v15", "oaep-sha1", "oaep-sha256"],
        [("ecb", "zero"), ("cbc", "zero"), ("cbc", "prefixed")],
        ["base64", "hex", "raw"],
        ["encoded", "raw"],
    )
]
ABU = EnvelopeSpec()


def opened(data: bytes, private, spec: EnvelopeSpec, chunk: int = 4096) -> bytes:
    return b"".join(open_envelope((data[i : i + chunk] for i in range(0, len(data), chunk)), private, spec))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.model_dump().values())))
def test_every_variant_opens_what_it_seals(pair, spec) -> None:
    public, private = pair(1024)
    for plain in (b"", b"x", b"sixteen bytes!!!", bytes(range(256)) * 300):
        sealed = b"".join(seal([plain], public, spec))
        assert opened(sealed, private, spec) == plain
        assert looks_sealed(sealed[:SNIFF_BYTES], spec)


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 300), st.sampled_from(SPECS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_of_any_size(pair, chunks, size, spec) -> None:
    public, private = pair(1024)
    sealed = b"".join(seal(chunks, public, spec))
    assert opened(sealed, private, spec, size) == b"".join(chunks)


@pytest.mark.parametrize(("bits", "prefix"), [(1024, b"0172"), (2048, b"0344"), (3072, b"0512"), (4096, b"0684")])
def test_the_form_of_the_abu_page(pair, bits, prefix) -> None:
    public, private = pair(bits)
    sealed = b"".join(seal([b"D|1\r\n" * 40], public, ABU))
    assert sealed.startswith(prefix)
    wrapped = base64.b64decode(sealed[4 : 4 + int(prefix)], validate=True)
    assert len(wrapped) == bits // 8
    numbers = private.key.private_numbers()
    salt = pow(int.from_bytes(wrapped, "big"), numbers.d, numbers.public_numbers.n).to_bytes(bits // 8, "big")
    assert salt[:-32] == bytes(bits // 8 - 32)
    assert salt[-32:].decode("ascii").isalnum()
    assert len(base64.b64decode(sealed[4 + int(prefix) :], validate=True)) % 16 == 0


def test_the_raw_length_of_the_batch_page(pair) -> None:
    public, private = pair(1024)
    spec = EnvelopeSpec(key_encoding="raw", data_encoding="raw", prefix_counts="raw")
    sealed = b"".join(seal([b"lines"], public, spec))
    assert sealed.startswith(b"0128")
    assert opened(sealed, private, spec) == b"lines"


def test_every_file_has_a_key_of_its_own(pair) -> None:
    public, _ = pair(1024)
    assert len({b"".join(seal([b"the same lines"], public, ABU)) for _ in range(20)}) == 20


def test_a_key_with_leading_zero_bytes_is_read(pair, monkeypatch) -> None:
    public, private = pair(1024)
    monkeypatch.setattr(envelope, "_new_salt", lambda: bytes(3) + b"k" * 29)
    assert opened(b"".join(seal([b"lines"], public, ABU)), private, ABU) == b"lines"


def test_line_ends_inside_base64_are_skipped(pair) -> None:
    public, private = pair(2048)
    sealed = b"".join(seal([b"lines" * 100], public, ABU))
    broken = sealed[:348] + b"\r\n".join(sealed[348:][i : i + 76] for i in range(0, len(sealed), 76)) + b"\n"
    assert opened(broken, private, ABU, 7) == b"lines" * 100
    assert looks_sealed(broken)


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_altered_envelope_is_refused_or_opens(pair, data) -> None:
    public, private = pair(1024)
    spec = data.draw(st.sampled_from(SPECS))
    altered = bytearray(b"".join(seal([b"some lines\r\n" * 9], public, spec)))
    at = data.draw(st.integers(0, len(altered) - 1))
    match data.draw(st.sampled_from(["set", "cut", "drop", "add"])):
        case "set":
            altered[at] = data.draw(st.integers(0, 255))
        case "cut":
            del altered[at:]
        case "drop":
            del altered[at : at + data.draw(st.integers(1, 20))]
        case "add":
            altered[at:at] = data.draw(st.binary(min_size=1, max_size=20))
    with suppress(EnvelopeError):
        opened(bytes(altered), private, spec)
    looks_sealed(bytes(altered)[:SNIFF_BYTES], spec)


@given(st.binary(max_size=900), st.sampled_from(SPECS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_refused(pair, noise, spec) -> None:
    with pytest.raises(EnvelopeError):
        opened(noise, pair(1024)[1], spec)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.rsa_padding == "none"], ids=str)
def test_an_envelope_for_another_key_is_refused(pair, spec) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from include.doku.keys import PrivateKey

    other = PrivateKey(rsa.generate_private_key(65537, 1024), "other.pem")
    sealed = b"".join(seal([b"lines"], pair(1024)[0], spec))
    with pytest.raises(EnvelopeError, match=r"other\.pem"):
        opened(sealed, other, spec)
    with pytest.raises(EnvelopeError, match=r"1024 bits, and merchant\.pem has 2048"):
        opened(sealed, pair(2048)[1], spec)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "begin with a length"),
        (b"034", "begin with a length"),
        (b"H|20260105|3", "begin with a length"),
        (b"0000AAAA", "no RSA key"),
        (b"9999" + b"A" * 9999, "no RSA key"),
        (b"0172AAAA", "ends inside"),
        (b"0172" + b"!" * 172, "not base64"),
    ],
)
def test_what_is_no_envelope_says_so(pair, data, reason) -> None:
    with pytest.raises(EnvelopeError, match=reason):
        opened(data, pair(1024)[1], ABU)


def test_a_prefix_that_is_too_narrow(pair) -> None:
    with pytest.raises(EnvelopeError, match="prefix_width"):
        list(seal([b"x"], pair(1024)[0], EnvelopeSpec(prefix_width=2)))


def test_plain_files_do_not_look_sealed() -> None:
    for plain in (
        b"",
        b"2026",
        b"H|MCH-1|TKN.TXT\r\n",
        b"20260105000000010000\n" * 50,
        b"0344" + b"A" * 344,
        b"0344" + b"A" * 100 + b"\n" + b"A" * 2000,
        b"0004AAAA" + b"A" * 2000,
    ):
        assert not looks_sealed(plain)


def test_memory_is_bounded(pair) -> None:
    public, private = pair(2048)
    chunk = b"0123456789abcdef" * 4096

    def lines(megabytes: int) -> Iterator[bytes]:
        yield from (chunk for _ in range(megabytes * 16))

    tracemalloc.start()
    opened_size = sum(map(len, open_envelope(seal(lines(32), public, ABU), private, ABU)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened_size == 32 << 20
    assert peak < 8 << 20
