"""Stems and fingerprints of whole columns are those of each value."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.fingerprints import token_fingerprint
from include.domain.invoice_numbers import charge_stem
from include.schemas.references import charge_stems, token_fingerprints

_texts = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=80), max_size=20)


@given(source=st.text(st.characters(exclude_categories=["Cs"]), max_size=40), texts=_texts)
@settings(max_examples=60)
def test_stems(source: str, texts: list[str | None]):
    found = charge_stems(source, pa.array(texts, pa.string()))
    assert found.to_pylist() == [None if text is None else charge_stem(source, text) for text in texts]


@given(key=st.binary(min_size=1, max_size=100), texts=_texts)
@settings(max_examples=60)
def test_fingerprints(key: bytes, texts: list[str | None]):
    found = token_fingerprints(key, pa.array(texts, pa.string()))
    assert found.to_pylist() == [None if text is None else token_fingerprint(key, text) for text in texts]


def test_a_part_of_a_column():
    part = pa.array(["a", None, "b", "c"]).slice(1, 2)
    assert charge_stems("s", part).to_pylist() == [None, charge_stem("s", "b")]
