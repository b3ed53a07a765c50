import json
import re
import tomllib
from pathlib import Path

import pytest

from llm_proxy.config import EffectiveSetting, _pattern, effective, load_settings
from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import OPTIONS, Settings

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "config" / "llm-proxy.toml"
#: Defaults that the documentation says in words.
SPECIAL_DEFAULTS = {("data_dir",): "the user's data directory"}
UNITS = [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")]
SECRET = "sk-proj-0123456789abcdef"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "llm-proxy.toml"
        path.write_text(text)
        return str(path)

    return write


def origin_of(key, lines: list[EffectiveSetting]):
    return next(line.origin for line in lines if line.key == key)


def test_without_anything_given_every_value_is_the_default():
    settings = load_settings(environ={})

    assert settings == Settings()
    assert {line.origin for line in effective(environ={})} == {"default"}


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(write):
    path = write("port = 1\nworkers = 1\nhost = 'file'\n")
    environ = {"LLM_PROXY_PORT": "2", "LLM_PROXY_WORKERS": "2", "LLM_PROXY_CONFIG": path}

    settings = load_settings(flags={"port": 3, "host": None}, environ=environ)

    assert (settings.port, settings.workers, settings.host) == (3, 2, "file")
    assert settings.upstream == Settings().upstream


def test_each_value_is_shown_with_its_origin(write):
    path = write("host = 'file'\n\n[journal]\nfsync = 'never'\n")

    lines = effective(flags={"config": path, "data_dir": "/d"}, environ={"LLM_PROXY_TIMEOUTS__IDLE_S": "5"})

    assert origin_of("host", lines) == f"{path}:1"
    assert origin_of("journal.fsync", lines) == f"{path}:4"
    assert origin_of("timeouts.idle_s", lines) == "LLM_PROXY_TIMEOUTS__IDLE_S"
    assert origin_of("data_dir", lines) == "--data-dir"
    assert origin_of("port", lines) == "default"


def test_the_flag_for_the_file_goes_before_its_variable(write):
    path = write("port = 1\n")

    settings = load_settings(flags={"config": path}, environ={"LLM_PROXY_CONFIG": "/nowhere.toml"})

    assert settings.port == 1


@pytest.mark.parametrize(
    ("variable", "text", "section", "value"),
    [
        ("LLM_PROXY_JOURNAL__FSYNC", "always", ("journal", "fsync"), "always"),
        ("LLM_PROXY_TLS__VERIFY", "false", ("tls", "verify"), False),
        ("LLM_PROXY_LIMITS__MAX_BODY_BYTES", "10_000", ("limits", "max_body_bytes"), 10_000),
        ("LLM_PROXY_TIMEOUTS__CONNECT_S", "2.5", ("timeouts", "connect_s"), 2.5),
    ],
)
def test_a_variable_with_two_underscores_sets_a_nested_value_in_its_type(variable, text, section, value):
    settings = load_settings(environ={variable: text})

    assert getattr(getattr(settings, section[0]), section[1]) == value


def test_a_variable_can_make_an_upstream_whose_name_has_a_dash():
    settings = load_settings(environ={"LLM_PROXY_UPSTREAMS__MY_AZURE__BASE_URL": "https://azure.test/v1/"})

    assert settings.upstreams["my-azure"].base_url == "https://azure.test/v1"


def test_a_known_provider_needs_nothing_but_its_name(write):
    settings = load_settings(flags={"config": write("[upstreams.groq]\n")}, environ={})

    assert settings.upstreams["groq"].base_url is None


@pytest.mark.parametrize(
    ("text", "names"), [("anthropic, google", ("anthropic", "google")), (",", ()), ("all", ("all",))]
)
def test_names_in_a_variable_are_separated_by_commas(text, names):
    assert load_settings(environ={"LLM_PROXY_PROVIDERS": text}).providers == names


def test_an_empty_variable_counts_as_not_set():
    assert load_settings(environ={"LLM_PROXY_PORT": "", "LLM_PROXY_CONFIG": ""}) == Settings()


def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_ignored():
    environ = {
        "LLM_PROXY_PORT": "tcp://10.0.0.1:8080",
        "LLM_PROXY_PORT_8080_TCP_ADDR": "10.0.0.1",
        "LLM_PROXY_SERVICE_HOST": "10.0.0.1",
        "LLM_PROXY_SERVICE_PORT_HTTP": "8080",
    }

    assert load_settings(environ=environ) == Settings()


def test_a_relative_path_is_meant_relative_to_where_it_was_written(write, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    by_file = load_settings(flags={"config": write("data_dir = 'records'\n")}, environ={})
    by_flag = load_settings(flags={"data_dir": "records"}, environ={})

    assert by_file.data_dir == tmp_path / "records"
    assert by_flag.data_dir == tmp_path / "elsewhere" / "records"


REDIS_URL_RULE = (
    "must be a URL that begins with redis://, rediss:// or unix://, or with redis+sentinel:// or redis+cluster://"
)
FILE_ERRORS = [
    ("prot = 1", ":1: prot: is no setting; did you mean port?"),
    ("[jornal]\nfsync = 'never'", ":1: jornal: is no setting; did you mean journal?"),
    ("[journal]\n\nfsnc = 'never'", ":3: journal.fsnc: is no setting; did you mean journal.fsync?"),
    ("journal = 3", ":1: journal: must be a table"),
    ("port = '80'", ":1: port: input should be a valid integer, not '80'"),
    ("port = true", ":1: port: input should be a valid integer, not True"),
    ("host = {a = 1}", ":1: host: input should be a valid string, not {'a': 1}"),
    ("port = 65536", ":1: port: input should be less than or equal to 65535, not 65536"),
    ("timeouts.idle_s = nan", ":1: timeouts.idle_s: input should be a finite number, not nan"),
    ("[journal]\nfsync = 'yes'", ":2: journal.fsync: input should be 'never', 'interval' or 'always', not 'yes'"),
    ("[journal]\nmax_bytes = 65536", ":2: journal: segment_bytes must not be larger than max_bytes"),
    ("[tls]\nca_file = 'none.pem'", ":2: tls.ca_file: there is no such file"),
    ("[redis]\nca_file = 'none.pem'", ":2: redis.ca_file: there is no such file"),
    ("[redis]\ncert_file = 'a.pem'", ":2: redis: cert_file and key_file go together"),
    ("[redis]\nurl = 'http://h'", f":2: redis.url: {REDIS_URL_RULE}"),
    ("[redis]\nurl = 'redis://a b'", f":2: redis.url: {REDIS_URL_RULE}"),
    (
        "[streams]\nprefix = '{a}'",
        ":2: streams.prefix: string should match pattern '^[A-Za-z0-9._:-]{1,100}$', not '{a}'",
    ),
    ('data_dir = "a\\u0000b"', ":1: data_dir: must be a path in UTF-8"),
    ("upstream = 'ftp://h/v1'", ":1: upstream: must begin with http:// or https:// and a host name"),
    ("upstream = 'https:///v1'", ":1: upstream: must begin with http:// or https:// and a host name"),
    ("upstream = 'https://h/v1?a=b'", ":1: upstream: must have no query and no fragment"),
    ("upstream = 'https://h/v1#a'", ":1: upstream: must have no query and no fragment"),
    ("upstream = 'https://h:0/v1'", ":1: upstream: must have a port between 1 and 65535"),
    ("upstream = 'https://h:99999/v1'", ":1: upstream: Port out of range 0-65535"),
    (
        "upstream = 'https://h/a b'",
        ":1: upstream: must be a URL, without spaces and with other characters percent-encoded",
    ),
    (
        "[upstreams.groq]\nregion = 'a b'",
        ":2: upstreams.groq.region: string should match pattern '^[a-z0-9-]{1,40}$', not 'a b'",
    ),
    (
        "[upstreams.static]\nbase_url = 'http://h'",
        ":2: upstreams: the name 'static' is taken: such paths have a meaning of their own",
    ),
    ("providers = [1]", ":1: providers: input should be a valid string, not 1"),
    (
        "[upstreams.Groq]\nbase_url = 'http://h'",
        ":2: upstreams: the name 'Groq' must be made of a-z, 0-9 and '-'",
    ),
    (
        "[upstreams.default]\nbase_url = 'http://h'",
        ":2: upstreams: the name 'default' is taken by the option upstream",
    ),
    (
        "[upstreams.bedrock]\nsecret_key_env = 'HOME'",
        ":2, HOME: upstreams.bedrock: access_key_id_env and secret_key_env go together",
    ),
    ("upstream_key_env = 'NOWHERE'", ":1: upstream_key_env: names an environment variable that is not set"),
]


@pytest.mark.parametrize(("text", "message"), FILE_ERRORS)
def test_what_is_wrong_in_a_file_is_said_in_one_line_with_place_key_and_reason(write, text, message):
    path = write(text)

    with pytest.raises(ConfigError) as caught:
        load_settings(flags={"config": path}, environ={"HOME": "/home/ada"})

    assert str(caught.value) == f"{path}{message}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"port = ", "is no TOML: Invalid value"), (b"port = '\xff'", "is no TOML: 'utf-8' codec can't decode")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path, content, reason):
    path = tmp_path / "a.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_settings(flags={"config": str(path)}, environ={})

    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_in_a_file_is_said_at_once(write):
    path = write("prot = 1\n[timeouts]\nrequest_s = -1\n[journal]\nfsync = 'never'\n")

    with pytest.raises(ConfigError) as caught:
        load_settings(flags={"config": str(path)}, environ={})

    first, second = re.split(r"; (?=/)", str(caught.value))
    assert first.endswith(":1: prot: is no setting; did you mean port?")
    assert ":3: timeouts.request_s: " in second


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory"):
        load_settings(flags={"config": str(tmp_path / "none.toml")}, environ={})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"LLM_PROXY_PROT": "1"}, "LLM_PROXY_PROT: is no setting; did you mean LLM_PROXY_PORT?"),
        ({"LLM_PROXY_JOURNAL": "x"}, "LLM_PROXY_JOURNAL: is no setting; did you mean LLM_PROXY_JOURNAL__FSYNC?"),
        ({"LLM_PROXY_Port": "1"}, "LLM_PROXY_Port: is no setting; did you mean LLM_PROXY_PORT?"),
        ({"LLM_PROXY_WORKERS": "0"}, "LLM_PROXY_WORKERS: workers: input should be greater than or equal to 1, not '0'"),
    ],
)
def test_a_wrong_variable_is_named(environ, message):
    with pytest.raises(ConfigError) as caught:
        load_settings(environ=environ)

    assert str(caught.value) == message


def test_a_wrong_flag_is_named():
    with pytest.raises(ConfigError, match=r"^--port: port: input should be a valid integer"):
        load_settings(flags={"port": "eighty"}, environ={})


def test_the_key_of_an_upstream_is_read_from_the_variable_that_is_named(write):
    path = write("upstream_key_env = 'MY_KEY'\n[upstreams.groq]\nbase_url = 'http://h'\nkey_env = 'LLM_PROXY_GROQ'\n")
    environ = {"MY_KEY": f"{SECRET}\n", "LLM_PROXY_GROQ": "short"}

    settings = load_settings(flags={"config": path}, environ=environ)

    assert {name: upstream.key.get_secret_value() for name, upstream in settings.all_upstreams().items()} == {
        "default": SECRET,
        "groq": "short",
    }


def test_keys_are_shown_masked_with_the_variable_as_their_origin():
    environ = {"LLM_PROXY_UPSTREAM_KEY_ENV": "MY_KEY", "MY_KEY": SECRET}

    lines = effective(environ=environ)

    assert EffectiveSetting(key="upstream_key", value="…cdef", origin="MY_KEY") in lines
    assert SECRET not in repr(lines)


@pytest.mark.parametrize("place", ["upstream_key_env = '{}'", "[upstreams.g]\nbase_url = 'http://h'\nkey = '{}'"])
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(write, place):
    path = write(place.format(SECRET))

    with pytest.raises(ConfigError) as caught:
        load_settings(flags={"config": path}, environ={})

    assert SECRET not in str(caught.value)


def test_the_url_of_redis_is_taken_from_its_short_variable_and_shown_without_its_password():
    environ = {"LLM_PROXY_REDIS_URL": f"rediss+sentinel://user:{SECRET}@a:1,b:2/main/0"}

    settings, lines = load_settings(environ=environ), effective(environ=environ)

    assert settings.redis.url.get_secret_value() == environ["LLM_PROXY_REDIS_URL"]
    shown = "rediss+sentinel://user:…@a:1,b:2/main/0"
    assert EffectiveSetting(key="redis.url", value=shown, origin="LLM_PROXY_REDIS_URL") in lines
    assert SECRET not in repr(lines)


def test_a_url_of_redis_that_cannot_be_is_not_repeated():
    with pytest.raises(ConfigError, match=r"LLM_PROXY_REDIS_URL: redis\.url: must be a URL") as caught:
        load_settings(environ={"LLM_PROXY_REDIS_URL": f"redos://user:{SECRET}@h"})

    assert SECRET not in str(caught.value)


def test_credentials_in_a_url_are_refused_and_not_repeated(write):
    path = write(f"upstream = 'https://user:{SECRET}@h/v1'")

    with pytest.raises(ConfigError, match="must not hold a user name or password") as caught:
        load_settings(flags={"config": path}, environ={})

    assert SECRET not in str(caught.value)


def test_a_key_that_is_no_header_value_is_refused_and_not_repeated():
    environ = {"LLM_PROXY_UPSTREAM_KEY_ENV": "MY_KEY", "MY_KEY": f"{SECRET}\r\nX-Evil: 1"}

    with pytest.raises(
        ConfigError, match="MY_KEY: upstream_key: the key in the environment must be one line"
    ) as caught:
        load_settings(environ=environ)

    assert SECRET not in str(caught.value)


def test_the_url_of_the_store_is_a_secret_but_for_where_it_leads():
    environ = {"LLM_PROXY_STORE_URL": f"postgresql://user:{SECRET}@db.example/records"}

    settings = load_settings(environ=environ)

    assert settings.store.url.get_secret_value() == environ["LLM_PROXY_STORE_URL"]
    (line,) = [line for line in effective(environ=environ) if line.key == "store.url"]
    assert line.origin == "LLM_PROXY_STORE_URL"
    assert "db.example" in line.value
    assert SECRET not in line.value


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"mysql://user:{SECRET}@h/d", "must be a URL that begins with postgresql://"),
        (f"postgresql://user:{SECRET}@h/d e", "without spaces"),
        (f"postgresql://user@h/d?password={SECRET}", "must hold its password before the @"),
    ],
)
def test_a_url_of_a_store_that_is_none_is_refused_and_not_repeated(url, reason):
    with pytest.raises(ConfigError, match=f"LLM_PROXY_STORE_URL: store.url: .*{reason}") as caught:
        load_settings(environ={"LLM_PROXY_STORE_URL": url})

    assert SECRET not in str(caught.value)


def uncommented(text: str) -> str:
    """The example with every option switched on: prose has a space behind its '#', options have none."""
    return "\n".join(line[1:] if line.startswith("#") and line[1:2].strip() else line for line in text.splitlines())


def keys_of(table: dict, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    keys = {}
    for name, value in table.items():
        key = (*prefix, name)
        keys |= keys_of(value, key) if isinstance(value, dict) else {key: value}
    return keys


def test_the_example_file_changes_nothing():
    assert load_settings(flags={"config": str(EXAMPLE)}, environ={}) == Settings()


def test_the_example_file_names_exactly_the_options_that_exist_with_their_defaults():
    named = keys_of(tomllib.loads(uncommented(EXAMPLE.read_text())))

    assert set(map(_pattern, named)) == set(OPTIONS)
    # Options that are not set by default are shown with an example.
    assert {key: value for key, value in named.items() if key in OPTIONS and OPTIONS[key].default is not None} == {
        key: list(option.default) if isinstance(option.default, tuple) else option.default
        for key, option in OPTIONS.items()
        if "*" not in key and option.default is not None
    } | {("data_dir",): "~/.local/share/llm-proxy"}


def test_every_option_of_the_example_file_can_be_switched_on(tmp_path):
    for name in ("company-ca.pem", "redis-client.pem", "redis-client.key", "llm-proxy.pem", "llm-proxy.key"):
        (tmp_path / name).touch()
    path = tmp_path / "llm-proxy.toml"
    path.write_text(uncommented(EXAMPLE.read_text()))

    keys = ("OPENAI_API_KEY", "GROQ_API_KEY", "AZURE_OPENAI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK")
    keys += ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OIDC_CLIENT_SECRET")
    settings = load_settings(flags={"config": str(path)}, environ=dict.fromkeys(keys, "sk-1"))

    assert settings.upstreams["groq"].provider == "groq"


def test_what_is_kept_for_an_organisation_is_set_by_its_id_in_a_variable_or_by_any_name_in_a_file(write):
    path = write("[retention]\nmax_age_days = 30\n[retention.organizations.'Acme Inc.']\nmax_age_days = 7\n")
    organization_id = "01a2125c-acaa-74fa-b5a7-0ff8e9591021"
    variable = f"LLM_PROXY_RETENTION__ORGANIZATIONS__{organization_id.replace('-', '_').upper()}__BODIES_MAX_AGE_DAYS"

    settings = load_settings(flags={"config": path}, environ={variable: "1.5"})

    assert settings.retention.max_age_days == 30
    assert settings.retention.organizations["Acme Inc."].max_age_days == 7
    assert settings.retention.organizations[organization_id].bodies_max_age_days == 1.5


def table_row(key: tuple[str, ...]) -> str:
    option = OPTIONS[key]
    if key in SPECIAL_DEFAULTS:
        default = SPECIAL_DEFAULTS[key]
    elif option.default is None:
        default = "not set"
    else:
        default = f"`{json.dumps(option.default)}`"
        default += f", {in_binary_units(option.default)}" if key[-1].endswith("_bytes") else ""
    return f"| `{'.'.join(key).replace('*', 'NAME')}` | {default} | {option.description} |"


def in_binary_units(count: int) -> str:
    return next(f"{count // unit} {name}" for unit, name in UNITS if count % unit == 0)


def test_the_table_of_the_documentation_is_that_of_the_options():
    rows = [line for line in (ROOT / "docs" / "configuration.md").read_text().splitlines() if line.startswith("| `")]

    assert rows == [table_row(key) for key in OPTIONS]


def test_a_file_of_variables_goes_before_the_environment(tmp_path):
    path = tmp_path / "keys.env"
    path.write_text("# keys\n\nexport OPENAI_KEY='sk-new'\nLLM_PROXY_PORT=\"9\"\nOTHER=a=b # c\n")
    environ = {"LLM_PROXY_ENV_FILE": str(path), "OPENAI_KEY": "sk-old", "LLM_PROXY_WORKERS": "2"}

    settings = load_settings(flags={"upstream_key_env": "OPENAI_KEY"}, environ=environ)

    assert settings.upstream_key.get_secret_value() == "sk-new"
    assert (settings.port, settings.workers) == (9, 2)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"A=1\nsk-secret\n", "keys.env:2: is no line NAME=value"), (b"\xff", "is no UTF-8"), (None, "No such file")],
)
def test_a_file_of_variables_that_cannot_be_read_is_told_without_what_it_holds(tmp_path, content, says):
    path = tmp_path / "keys.env"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(says)) as told:
        load_settings(environ={"LLM_PROXY_ENV_FILE": str(path)})

    assert "secret" not in str(told.value)
