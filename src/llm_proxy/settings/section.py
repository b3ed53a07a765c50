"""What all sections of the settings have in common: they are frozen, strict, and show no secret."""

import re

from pydantic import BaseModel, ConfigDict, SecretStr, SerializationInfo, field_serializer

#: Key of the serialisation context under which secrets are written in clear.
REVEAL = "reveal_secrets"
#: Letters behind an ellipsis tell two keys apart; fewer than four times as many are not hidden by hiding the rest.
_SHOWN_CHARACTERS = 4
#: The password in a URL, and all before it.
_URL_PASSWORD = re.compile(r"([a-z+]+://[^/@:]*:).*@")
#: One that is an option behind the question mark.
_OPTION_PASSWORD = re.compile(r"([?&][a-z_]*password=)[^&]*")


class Section(BaseModel):
    """What all parts of the settings have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    @field_serializer("*", when_used="json")
    def _reveal(self, value: object, info: SerializationInfo) -> object:
        if isinstance(value, SecretStr):
            return value.get_secret_value() if info.context and info.context.get(REVEAL) else masked(value)
        return value


def masked(secret: SecretStr) -> str:
    """An ellipsis and the last characters of a secret, or the ellipsis alone if it is short; a URL but its password."""
    text = secret.get_secret_value()
    if "://" in text:
        return _URL_PASSWORD.sub(r"\1…@", _OPTION_PASSWORD.sub(r"\1…", text))
    return f"…{text[-_SHOWN_CHARACTERS:]}" if len(text) >= 4 * _SHOWN_CHARACTERS else "…"
