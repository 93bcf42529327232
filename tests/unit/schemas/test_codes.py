import pytest

from include.domain.errors import ConfigError
from include.schemas.codes import CodeTable

LINE = 'codes = [{ code = "0000", class = "approved", meaning = "Approved", source = "TRX", certainty = "certain" }'


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        (LINE + ", " + LINE[9:] + "]", "", "listed twice: 0000"),
        (LINE.replace("0000", "00") + "]", "codes.0.code", ""),
        (LINE.replace("approved", "fine") + "]", "codes.0.class", ""),
        (LINE.replace("approved", "never") + "]", "", "no code is approved"),
        (LINE.replace("certainty", "sure") + "]", "codes.0.certainty", "missing"),
        ("codes = []", "codes", ""),
        ("", "codes", "missing"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(text: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CodeTable.from_toml(text, "codes.toml")
    assert caught.value.key == key
    assert reason in caught.value.reason
