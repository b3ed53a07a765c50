"""The upstreams of the settings, and the known providers that can be called without any."""

from urllib.parse import urlsplit

from llm_proxy.errors import ConfigError
from llm_proxy.proxy.providers import PROVIDERS, Provider, provider_named
from llm_proxy.proxy.target_hosts import TargetHosts
from llm_proxy.proxy.upstreams import Upstream, Upstreams, upstream_at
from llm_proxy.settings.table import DEFAULT_UPSTREAM, Settings
from llm_proxy.settings.upstreams import Upstream as Configured

#: Stands for all that are at public addresses: what listens on this machine is not everybody's to call.
_ALL = "all"


def upstreams_of(settings: Settings) -> Upstreams:
    """What calls can be sent to. Raises ConfigError for what does not add up."""
    named = {name: _upstream(name, configured) for name, configured in settings.all_upstreams().items()}
    return Upstreams(named[DEFAULT_UPSTREAM], named, known=_known(settings.providers))


def target_hosts_of(settings: Settings) -> TargetHosts:
    """What calls may name by themselves. Raises ConfigError for what is no host."""
    try:
        return TargetHosts(settings.routing.target_hosts, timeout_s=settings.timeouts.connect_s)
    except ValueError as exc:
        raise ConfigError(f"routing.target_hosts: {exc}") from None


def _upstream(name: str, configured: Configured) -> Upstream:
    try:
        return upstream_at(
            name,
            configured.base_url,
            provider=configured.provider,
            key=configured.key.get_secret_value() if configured.key else None,
            native_url=configured.native_url,
            api_version=configured.api_version,
            region=configured.region,
            key_header=configured.key_header,
            aws=_aws(configured),
        )
    except ValueError as exc:
        raise ConfigError(f"upstreams.{name}: {exc}") from None


def _aws(configured: Configured) -> tuple[str, str, str | None] | None:
    if configured.access_key_id is None or configured.secret_key is None:
        return None
    token = configured.session_token
    return (
        configured.access_key_id.get_secret_value(),
        configured.secret_key.get_secret_value(),
        token.get_secret_value() if token else None,
    )


def _known(names: tuple[str, ...]) -> list[Provider]:
    rows = {row.name: row for row in PROVIDERS if _is_public(row)} if _ALL in names else {}
    for name in names:
        row = provider_named(name)
        if name != _ALL and (row is None or row.base_url is None):
            raise ConfigError(f"providers: {name!r} is no provider that is known with an address of its own")
        if row is not None:
            rows[row.name] = row
    return list(rows.values())


def _is_public(row: Provider) -> bool:
    return row.base_url is not None and urlsplit(row.base_url).scheme == "https"
