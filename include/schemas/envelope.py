"""The envelope's variants: what DOKU's pages leave open is a setting of the profile.

Default: the form of the ABU page, the more exact of the two [ABU, certain for that product; inferred for Batch Upload].
"""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.schemas.strict import StrictModel


class EnvelopeSpec(StrictModel):
    """How a batch file or a report is sealed: length of the key, wrapped key, data."""

    key_encoding: Literal["base64", "hex", "raw"] = Field(
        default="base64",
        description="How the RSA-wrapped key is written. base64: ABU page, certain there; inferred here",
    )
    rsa_padding: Literal["none", "pkcs1v15", "oaep-sha1", "oaep-sha256"] = Field(
        default="none",
        description="none (textbook RSA, zeros on the left): certain [BU, ABU]; the side of the zeros inferred",
    )
    aes_mode: Literal["ecb", "cbc"] = Field(default="ecb", description="ECB with PKCS5/PKCS7 padding: certain [ABU]")
    cbc_iv: Literal["zero", "prefixed"] = Field(
        default="zero", description="Only for cbc: 16 zero bytes, or a random IV in front of the ciphertext. Assumed"
    )
    data_encoding: Literal["base64", "hex", "raw"] = Field(
        default="base64", description="How the AES data is written. base64: ABU page, certain there; inferred here"
    )
    prefix_width: Annotated[int, Field(ge=1, le=9)] = Field(
        default=4, description="Digits of the length in front: certain [BU, ABU]"
    )
    prefix_counts: Literal["encoded", "raw"] = Field(
        default="encoded",
        description="encoded: characters of the wrapped key as written, 0344 [ABU]; raw: its bytes, 128 [BU]",
    )


class PublicKeyEntry(StrictModel):
    """One of DOKU's public keys. DOKU changes it every year or half-year: keep the old and the new one here."""

    file: str = Field(description="PEM file, relative to the profile's folder")
    valid_from: date
    valid_until: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_until < self.valid_from:
            raise ValueError("valid_until is before valid_from")
        return self
