"""Where the settings come from: flag before environment before file before default.

Invariants: everything is read once; whatever is wrong is a ConfigError of one line that names where it stands (flag,
variable, or file and line), the key and the reason; of a file, for each key that has a wrong value. The values of
variables that hold keys are in no message.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, JsonValue, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import NAMED, OPTIONS, Section, Settings, masked

__all__ = ["EffectiveSetting", "Settings", "effective", "load_settings"]

#: A variable is this, then the key in capitals, with two underscores for each dot.
ENVIRONMENT_PREFIX = "LLM_PROXY_"
CONFIG_VARIABLE = "LLM_PROXY_CONFIG"
#: Names a file with further variables, which is read anew with the configuration, as the environment cannot be.
ENV_FILE_VARIABLE = "LLM_PROXY_ENV_FILE"
DEFAULT_ORIGIN = "default"

_Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
#: A setting's place among the tables, for example ``("journal", "fsync")``.
Key: TypeAlias = tuple[str, ...]

#: What Kubernetes sets in each pod of a namespace that has a Service named llm-proxy (its docs on Service discovery).
_SERVICE_VARIABLE = re.compile(
    r"LLM_PROXY_(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP|SCTP)\w*)=.*|LLM_PROXY_PORT=(tcp|udp|sctp)://.*", re.DOTALL
)
#: As in systemd's EnvironmentFile: a name and its value, which may be quoted.
_VARIABLE_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=(?:\"([^\"]*)\"|'([^']*)'|(.*))")
_TABLE_LINE = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]")
_KEY_LINE = re.compile(r"\s*([\w.\-\"' ]+?)\s*=")
#: Options that name the variable with the key of an upstream, and the field that gets the key.
_KEY_FIELDS = {
    "key_env": "key",
    "upstream_key_env": "upstream_key",
    "access_key_id_env": "access_key_id",
    "secret_key_env": "secret_key",
    "session_token_env": "session_token",
    "client_secret_env": "client_secret",
}
#: Files that must be there.
_FILES = [key for key in OPTIONS if key[-1].endswith("_file")]
#: Variables with a shorter name than their key would give them.
_SHORT_NAMES = {
    "LLM_PROXY_STORE_URL": ("store", "url"),
    "LLM_PROXY_REDIS_URL": ("redis", "url"),
    "LLM_PROXY_ADMIN_KEY": ("auth", "admin_key"),
}
_SECTIONS = {key[:length] for key in OPTIONS for length in range(len(key))}
#: Characters of a wrong value that a message repeats.
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveSetting:
    """One line of ``llm-proxy config``; secrets are masked."""

    key: str
    value: _Value
    #: Flag, variable, file and line, or ``default``.
    origin: str


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    origin: str


_Layer: TypeAlias = dict[Key, _Given]
_NO_FLAGS: Mapping[str, JsonValue] = MappingProxyType({})


def load_settings(*, flags: Mapping[str, JsonValue] = _NO_FLAGS, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings as given by flags, by the environment, and by the file that one of the two names.

    ``flags`` is by key, dotted if nested, plus ``config``; a value of None means that the flag was not given.
    ``environ`` is the environment of the process if it is None. Raises ConfigError.
    """
    return _load(flags, os.environ if environ is None else environ)[0]


def effective(
    *, flags: Mapping[str, JsonValue] = _NO_FLAGS, environ: Mapping[str, str] | None = None
) -> list[EffectiveSetting]:
    """Every setting with its value and where that comes from, in the order of the documentation. Raises ConfigError."""
    settings, given = _load(flags, os.environ if environ is None else environ)
    return [
        EffectiveSetting(key=".".join(key), value=value, origin=given[key].origin if key in given else DEFAULT_ORIGIN)
        for key, value in _shown(settings)
    ]


def _load(flags: Mapping[str, JsonValue], environ: Mapping[str, str]) -> tuple[Settings, _Layer]:
    environ = {**environ, **_env_file(environ.get(ENV_FILE_VARIABLE))}
    variables = {name: text for name, text in environ.items() if text and not _is_of_kubernetes(name, text)}
    path = flags.get("config") or variables.get(CONFIG_VARIABLE)
    from_file = _from_file(Path(str(path)).expanduser()) if path else {}
    given = {**from_file, **_from_environment(variables), **_from_flags(flags)}
    _refuse_unknown(variables, given)
    given |= _keys(given, variables)
    settings = _validated(given)
    for section, name in _FILES:
        file = getattr(getattr(settings, section), name)
        if file is not None and not file.is_file():
            raise ConfigError(f"{_origin((section, name), given)}: {section}.{name}: there is no such file")
    return settings, given


def _env_file(name: str | None) -> dict[str, str]:
    """The variables in a file. Its lines are in no message: they hold keys."""
    if not name:
        return {}
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is no UTF-8"
        raise ConfigError(f"{ENV_FILE_VARIABLE}: {_printable(name)}: cannot be read: {reason}") from None
    variables = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line and line[0] not in "#;":
            found = _VARIABLE_LINE.fullmatch(line)
            if found is None:
                raise ConfigError(f"{_printable(name)}:{number}: is no line NAME=value")
            variables[found[1]] = next(text for text in found.groups()[1:] if text is not None)
    return variables


def _from_flags(flags: Mapping[str, JsonValue]) -> _Layer:
    keys = {tuple(flag.split(".")): value for flag, value in flags.items() if value is not None and flag != "config"}
    return {
        key: _checked(key, value, origin=f"--{'.'.join(key).replace('_', '-')}", directory=Path.cwd())
        for key, value in keys.items()
    }


def _is_of_kubernetes(name: str, text: str) -> bool:
    return _SERVICE_VARIABLE.fullmatch(f"{name}={text}") is not None


def _from_environment(variables: Mapping[str, str]) -> _Layer:
    keys = {_key_of_variable(name): name for name in variables if name.startswith(ENVIRONMENT_PREFIX)}
    return {
        key: _checked(key, variables[name], origin=name, directory=Path.cwd())
        for key, name in keys.items()
        if _option(key) is not None
    }


def variable_name(key: Key) -> str:
    """The environment variable that sets ``key``."""
    return ENVIRONMENT_PREFIX + "__".join(key).upper().replace("-", "_")


def _key_of_variable(name: str) -> Key:
    if name in _SHORT_NAMES:
        return _SHORT_NAMES[name]
    key = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
    # A variable cannot have the '-' of a name, and the name cannot have the '_' of a variable.
    at = _place_of_name(key)
    if at is not None:
        key = (*key[:at], key[at].replace("_", "-"), *key[at + 1 :])
    return key if variable_name(key) == name else (name,)


def _from_file(path: Path) -> _Layer:
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as exc:
        raise ConfigError(f"{_printable(str(path))}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigError(f"{_printable(str(path))}: is no TOML: {' '.join(str(exc).split())}") from exc
    return _all_checked(_leaves(tables, _File(path, _line_numbers(text))))


def _all_checked(leaves: Iterable[tuple[Key, Callable[[], _Given]]]) -> _Layer:
    """The values of all keys; what is wrong with each of them is told at once."""
    layer: _Layer = {}
    faults = []
    for key, checked in leaves:
        try:
            layer[key] = checked()
        except ConfigError as exc:
            faults.append(str(exc))
    if faults:
        raise ConfigError("; ".join(faults))
    return layer


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    lines: dict[Key, int]

    def origin(self, key: Key) -> str:
        """File and line of a key, or of the table that it is in."""
        known = (self.lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in self.lines)
        line = next(known, None)
        return _printable(str(self.path)) if line is None else f"{_printable(str(self.path))}:{line}"


def _line_numbers(text: str) -> dict[Key, int]:
    # tomllib tells no positions. This finds every key that is not inside an inline table.
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if head := _TABLE_LINE.match(line):
            table = _split(head[1])
            lines.setdefault(table, number)
        elif key := _KEY_LINE.match(line):
            lines.setdefault((*table, *_split(key[1])), number)
    return lines


def _split(dotted: str) -> Key:
    return tuple(part.strip(" \"'") for part in dotted.split("."))


def _leaves(table: Mapping[str, object], file: _File, prefix: Key = ()) -> Iterator[tuple[Key, Callable[[], _Given]]]:
    """Each key, and what checks its value."""
    for name, value in table.items():
        key = (*prefix, name)
        origin = file.origin(key)
        if _pattern(key) not in _SECTIONS:
            yield key, partial(_checked, key, value, origin=origin, directory=file.path.parent, is_typed=True)
        elif not isinstance(value, dict):
            raise ConfigError(f"{origin}: {_dotted(key)}: must be a table")
        else:
            # An empty table is passed on, too: a known provider needs no more than its name.
            yield from _leaves(value, file, key) if value else [(key, partial(_Given, {}, origin))]


def _checked(key: Key, value: object, *, origin: str, directory: Path, is_typed: bool = False) -> _Given:
    """The value in the type of its option; unless ``is_typed``, text stands for a number or a boolean.

    A path is meant relative to where it was written: ``directory`` is that of the file, or the current one.
    """
    option = _option(key)
    if option is None:
        known = [".".join(option) for option in (*OPTIONS, *_SECTIONS)]
        raise ConfigError(f"{origin}: {_dotted(key)}: is no setting{_suggestion('.'.join(_pattern(key)), known)}")
    kind: Any = Annotated[option.annotation, option]
    adapter: TypeAdapter[object] = TypeAdapter(kind, config=Section.model_config)
    is_text = isinstance(value, str) and not is_typed
    try:
        checked = adapter.validate_strings(value) if is_text else adapter.validate_python(value)
    except ValidationError as exc:
        raise ConfigError(f"{origin}: {_dotted(key)}: {_reason(exc)}") from None
    return _Given(_absolute(checked, directory) if isinstance(checked, Path) else checked, origin)


def _absolute(path: Path, directory: Path) -> Path:
    return Path(os.path.normpath(directory.absolute() / os.path.expanduser(path)))  # noqa: PTH111 (expanduser() raises)


def _pattern(key: Key) -> Key:
    at = _place_of_name(key)
    return key if at is None else (*key[:at], "*", *key[at + 1 :])


def _place_of_name(key: Key) -> int | None:
    """Where in ``key`` a name stands that somebody has given; None if there is none."""
    return next((len(named) for named in NAMED if len(key) > len(named) and key[: len(named)] == named), None)


def _option(key: Key) -> FieldInfo | None:
    return OPTIONS.get(_pattern(key))


def _dotted(key: Key) -> str:
    return _printable(".".join(key))


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _refuse_unknown(variables: Mapping[str, str], given: _Layer) -> None:
    expected = {
        CONFIG_VARIABLE,
        ENV_FILE_VARIABLE,
        *(value.value for key, value in given.items() if key[-1] in _KEY_FIELDS),
    }
    for name in variables:
        if name.startswith(ENVIRONMENT_PREFIX) and name not in expected and _option(_key_of_variable(name)) is None:
            raise ConfigError(f"{name}: is no setting{_suggestion(name, map(variable_name, OPTIONS))}")


def _keys(given: _Layer, variables: Mapping[str, str]) -> _Layer:
    keys: _Layer = {}
    for key, variable in given.items():
        if key[-1] not in _KEY_FIELDS or not isinstance(variable.value, str):
            continue
        # The name is not repeated: it may be the key itself, in the wrong place.
        if variable.value not in variables:
            raise ConfigError(f"{variable.origin}: {_dotted(key)}: names an environment variable that is not set")
        secret = SecretStr(variables[variable.value].strip())
        keys[(*key[:-1], _KEY_FIELDS[key[-1]])] = _Given(secret, variable.value)
    return keys


def _validated(given: _Layer) -> Settings:
    try:
        return Settings.model_validate(_nested(given))
    except ValidationError as exc:
        key = tuple(str(part) for part in exc.errors()[0]["loc"])
        raise ConfigError(f"{_origin(key, given)}: {_dotted(key)}: {_reason(exc)}") from None


def _nested(given: _Layer) -> dict[str, object]:
    root: dict[str, object] = {}
    for key, value in given.items():
        table = root
        for name in key[:-1]:
            inner = table.setdefault(name, {})
            assert isinstance(inner, dict)
            table = inner
        table.setdefault(key[-1], value.value)
    return root


def _origin(key: Key, given: _Layer) -> str:
    """Where the value of a key was given, or those of the section that it is missing in."""
    for length in range(len(key), 0, -1):
        origins = [value.origin for other, value in given.items() if other[:length] == key[:length]]
        if origins:
            return ", ".join(dict.fromkeys(origins))
    return DEFAULT_ORIGIN


def _reason(exc: ValidationError) -> str:
    error = exc.errors()[0]
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "missing":
        return "is required"
    shown = repr(error["input"])
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {shown}"


def _shown(section: BaseModel, prefix: Key = ()) -> Iterable[tuple[Key, _Value]]:
    for name, value in section:
        key = (*prefix, name)
        if isinstance(value, BaseModel):
            yield from _shown(value, key)
        elif isinstance(value, dict):
            for given_name, settings in value.items():
                yield from _shown(settings, (*key, given_name))
        elif isinstance(value, SecretStr):
            yield key, masked(value)
        elif _option(key) is not None:
            yield key, str(value) if isinstance(value, Path) else value
