import pytest

from llm_proxy.api.resource import nothing_else
from llm_proxy.errors import ConfigError
from llm_proxy.proxy.addresses import ROOTS
from llm_proxy.proxy.providers import PROVIDER_NAMES
from llm_proxy.proxy.upstreams import Credential
from llm_proxy.settings.table import Settings
from llm_proxy.settings.upstreams import RESERVED_NAMES
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.upstreams import upstreams_of
from whole_app import whole_app


def test_every_setting_of_an_upstream_is_in_force():
    settings = Settings(
        upstream="https://api.openai.com/v1",
        upstreams={
            "local": {"base_url": "http://localhost:11434/v1/"},
            "azure": {"base_url": "https://r.test", "api_version": "1", "key": "k", "key_header": "api-key"},
            "bedrock": {"region": "eu-central-1"},
            "claude": {"base_url": "https://h.test/v1", "native_url": "https://h.test/c", "provider": "anthropic"},
        },
    )

    upstreams = upstreams_of(settings)

    default, local, azure, bedrock, claude = upstreams.configured
    assert (default.provider, default.origin.port) == ("openai", 443)
    assert (local.provider, local.origin.port, local.base_path) == (None, 11434, b"/v1")
    assert (azure.provider, azure.api_version) == ("azure", b"1")
    assert azure.credential == Credential(compatible=(b"Api-Key", b"k"), native=(b"Api-Key", b"k"))
    assert bedrock.host == b"bedrock-runtime.eu-central-1.amazonaws.com"
    assert (claude.provider, claude.native_path) == ("anthropic", b"/c")


def test_known_providers_at_public_addresses_can_be_called_unless_the_settings_say_otherwise():
    everybody = upstreams_of(Settings())
    some = upstreams_of(Settings(providers=["claude", "ollama"]))
    nobody = upstreams_of(Settings(providers=[]))

    names = ["anthropic", "google", "ollama", "azure"]
    assert [upstreams.of(name) is not None for upstreams in (everybody, some, nobody) for name in names] == [
        *(True, True, False, False),
        *(True, False, True, False),
        *(False, False, False, False),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"upstreams": {"nobody": {}}}, "upstreams.nobody: is required, unless provider names one that is known"),
        ({"providers": ["nobody"]}, "providers: 'nobody' is no provider that is known"),
        ({"providers": ["azure"]}, "providers: 'azure' is no provider that is known with an address of its own"),
    ],
)
def test_what_does_not_add_up_is_an_error_of_the_configuration(settings, message):
    with pytest.raises(ConfigError, match=message):
        upstreams_of(Settings.model_validate(settings))


def test_no_page_or_api_stands_where_calls_do(tmp_path):
    app = whole_app(SqliteStore(tmp_path / "store.sqlite3"), tmp_path)

    nothing = {route.path for route in nothing_else()}  # is there, only words about it
    roots = {route.path.split("/")[1] for route in app.routes if route.path not in nothing} - {"", "v1"}

    assert roots
    assert roots <= RESERVED_NAMES, "a new page: keep its name from upstreams in settings/upstreams.py"
    assert not roots & (ROOTS | PROVIDER_NAMES)
    assert not RESERVED_NAMES & PROVIDER_NAMES
    assert ROOTS <= RESERVED_NAMES
