"""What the value of a single option may be: the types of table.py, with messages for whoever wrote the value.

Nothing here repeats a value that may be a secret.
"""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

#: Of a key that somebody has chosen: too long to be tried out.
_MIN_KEY_CHARACTERS = 20

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What may stand in a URL at all (RFC 3986 section 2), so neither spaces nor control characters nor quotes.
_URL = re.compile(r"[A-Za-z0-9\-._~:/\[\]@!$&'()*+,;=%?#]+")
_REDIS_SCHEME = re.compile(r"(rediss?(\+(sentinel|cluster))?|unix)://")


def _checked_base_url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError("must be a URL, without spaces and with other characters percent-encoded")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and a host name")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; name the variable that holds the key in key_env")
    if "?" in url or "#" in url:
        raise ValueError("must have no query and no fragment")
    if parts.port == 0:
        raise ValueError("must have a port between 1 and 65535")
    return url.rstrip("/")


def _checked_variable_name(name: str) -> str:
    # The value is not repeated in the message: it may be the key itself.
    if not _VARIABLE_NAME.fullmatch(name):
        raise ValueError("must be the name of an environment variable that holds the key, not the key")
    return name


def _checked_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("the key in the environment must be one line of visible ASCII")
    return key


def _checked_admin_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(rf"[!-~]{{{_MIN_KEY_CHARACTERS},}}", key.get_secret_value()):
        raise ValueError(f"must be one line of visible ASCII, at least {_MIN_KEY_CHARACTERS} characters long")
    return key


def _checked_store_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not re.match(r"postgres(ql)?://[!-~]*$", text):
        raise ValueError("must be a URL that begins with postgresql://, without spaces")
    if re.search(r"[?&]password=", text):
        raise ValueError("must hold its password before the @, where it is never shown")
    return url


def _checked_redis_url(url: SecretStr) -> SecretStr:
    # What is behind the scheme is read where it is used (queue/redis_address.py); this finds a slip at the start.
    text = url.get_secret_value()
    if not _URL.fullmatch(text) or not _REDIS_SCHEME.match(text):
        raise ValueError(
            "must be a URL that begins with redis://, rediss:// or unix://, or with redis+sentinel:// or redis+cluster://"
        )
    return url


def _checked_outgoing_proxy(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text == "off":
        return url
    if not _URL.fullmatch(text) or urlsplit(text).scheme != "http" or not urlsplit(text).hostname:
        raise ValueError('must be a URL that begins with http:// and a host name, or "off"')
    if urlsplit(text).path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError("must have no path, no query and no fragment")
    return url


def _checked_path(path: Path) -> Path:
    # A name that is no UTF-8 comes as lone surrogates, which neither JSON nor SQLite can hold.
    if "\0" in str(path) or any("\ud800" <= character <= "\udfff" for character in str(path)):
        raise ValueError("must be a path in UTF-8")
    return path


def _split_names(value: object) -> object:
    if isinstance(value, str):
        value = [name for name in (part.strip() for part in value.split(",")) if name]
    return tuple(value) if isinstance(value, list) else value


BaseUrl = Annotated[str, AfterValidator(_checked_base_url)]
VariableName = Annotated[str, AfterValidator(_checked_variable_name)]
Key = Annotated[SecretStr, AfterValidator(_checked_key)]
AdminKey = Annotated[SecretStr, AfterValidator(_checked_admin_key)]
#: With a password in it, so that it is a secret as a whole.
StoreUrl = Annotated[SecretStr, AfterValidator(_checked_store_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_checked_redis_url)]
OutgoingProxyUrl = Annotated[SecretStr, AfterValidator(_checked_outgoing_proxy)]
#: JSON and TOML have no type for paths, so that a string is one.
FilePath = Annotated[Path, Field(strict=False), AfterValidator(_checked_path)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Days = Annotated[float, Field(gt=0, le=36_500)]
#: An array; in a variable, separated by commas.
Names = Annotated[tuple[str, ...], BeforeValidator(_split_names)]
