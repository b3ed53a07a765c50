"""What the process says that reads a configuration anew."""

import pytest

from llm_proxy.config import load_settings
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.differences import fingerprints
from llm_proxy.wiring.reloading import Asked
from llm_proxy.wiring.rereading import reread


@pytest.fixture
def reread_with(tmp_path):
    """Reads a configuration of these lines, beside one in force of those; environment as given."""

    def reread_with(running, new, *, environ=(), command="serve"):
        path = tmp_path / "llm-proxy.toml"
        flags = {"config": str(path), "data_dir": str(tmp_path), "port": None}
        path.write_text(running)
        settings = load_settings(flags=flags, environ={})
        files = fingerprints(settings)
        path.write_text(new)
        asked = Asked(command=command, flags=flags, running=settings.to_json(), files=files)
        return reread(asked, dict(environ))

    return reread_with


def test_what_has_changed_is_told_by_its_key_and_the_new_settings_have_it(reread_with):
    told = reread_with(
        '[upstreams.a]\nbase_url = "http://a/v1"\n[upstreams.b]\nbase_url = "http://b/v1"',
        '[upstreams.a]\nbase_url = "http://a/v2"\n[timeouts]\nidle_s = 7.0\n'
        '[routes.r]\nmodels = ["x*"]\ntargets = ["a"]',
    )

    assert not told.problems
    assert told.changed == ["routes.r", "timeouts.idle_s", "upstreams.a", "upstreams.b"]
    assert told.kept == []
    assert Settings.from_json(told.settings).timeouts.idle_s == 7.0


def test_a_key_that_changes_in_the_environment_changes_its_upstream_and_is_not_told(reread_with):
    lines = '[upstreams.a]\nbase_url = "http://a/v1"\n'

    told = reread_with(lines, f'{lines}key_env = "KEY_OF_A"', environ={"KEY_OF_A": "sk-secret"})

    assert told.changed == ["upstreams.a"]


def test_what_cannot_change_keeps_its_value_and_is_named(reread_with):
    told = reread_with(
        "port = 8080", 'port = 9\nhost = "::1"\nworkers = 2\n[store]\nurl = "postgresql://h/d"\nconnections = 9'
    )

    settings = Settings.from_json(told.settings)
    assert told.kept == ["host", "port", "store.url"]
    assert (settings.port, settings.host, settings.store.url) == (8080, "127.0.0.1", None)
    assert told.changed == ["store.connections", "workers"]
    assert settings.workers == 2


def test_a_file_with_another_content_is_a_change_though_its_name_is_the_same(reread_with, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text('{"m": {"input_cost_per_token": 1e-6}}')
    lines = '[pricing]\nfile = "prices.json"'
    first = reread_with(lines, lines)
    settings = load_settings(flags={"config": str(tmp_path / "llm-proxy.toml"), "data_dir": str(tmp_path)}, environ={})
    asked = Asked(
        command="serve",
        flags={"config": str(tmp_path / "llm-proxy.toml"), "data_dir": str(tmp_path)},
        running=settings.to_json(),
        files=first.files,
    )
    prices.write_text('{"m": {"input_cost_per_token": 2e-6}}')

    assert first.changed == []
    assert reread(asked, {}).changed == ["pricing.file"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("workers = 0", ":1: workers: "),
        ("no toml", "is no TOML"),
        ('[routes.r]\nmodels = ["*"]\ntargets = ["nobody"]', "routes: "),
        ('[auth]\nopen = "x"', ":2: auth.open: "),
    ],
)
def test_what_is_wrong_is_told_as_the_check_tells_it(reread_with, lines, problem):
    told = reread_with("", lines)

    assert any(problem in said for said in told.problems), told.problems
    assert told.settings == ""


def test_a_file_that_is_gone_is_told(reread_with, tmp_path):
    flags = {"config": str(tmp_path / "gone.toml"), "data_dir": str(tmp_path)}
    asked = Asked(command="serve", flags=flags, running=Settings(data_dir=tmp_path).to_json(), files={})

    assert "gone.toml: cannot be read" in reread(asked, {}).problems[0]


@pytest.mark.parametrize(("command", "is_wrong"), [("serve", True), ("proxy", False)])
def test_what_no_key_guards_any_more_is_no_configuration_for_an_open_port(reread_with, command, is_wrong):
    told = reread_with(
        'host = "0.0.0.0"\n[auth]\nadmin_key = "a-key-of-twenty-characters"', 'host = "0.0.0.0"', command=command
    )

    assert any("no key guards the records" in problem for problem in told.problems) is is_wrong


def test_a_key_in_a_file_of_variables_is_read_anew(reread_with, tmp_path):
    path = tmp_path / "keys.env"
    path.write_text("KEY_OF_A=sk-new\n")
    environ = {"LLM_PROXY_ENV_FILE": str(path), "KEY_OF_A": "sk-old"}

    told = reread_with("", 'upstream_key_env = "KEY_OF_A"', environ=environ)

    assert Settings.from_json(told.settings).upstream_key.get_secret_value() == "sk-new"
