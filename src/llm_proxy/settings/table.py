"""The settings: every option with its type, default, unit and reason.

``Settings`` is the one table of options: flags, environment, file, ``llm-proxy config`` and docs/configuration.md are
derived from it. Where the values come from is the concern of config.py; nothing here reads a file or the environment.

Invariants: frozen; no value is coerced (a string is no number, true is no 1); an unknown key is an error; a secret is
in no repr and no dump but that of ``to_json``, which is for the pipe to a child process, never for a log or a file.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeVar

from platformdirs import user_data_path
from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic.fields import FieldInfo

from llm_proxy.settings.oidc import Oidc, Role
from llm_proxy.settings.retention import OrganizationRetention, Retention
from llm_proxy.settings.routes import Breaker, Retries, Route
from llm_proxy.settings.section import REVEAL, Section, masked
from llm_proxy.settings.upstreams import DEFAULT_UPSTREAM, Upstream, checked_upstream_names
from llm_proxy.settings.usage import Pricing, Usage
from llm_proxy.settings.values import (
    AdminKey,
    BaseUrl,
    Count,
    FilePath,
    Key,
    Names,
    OutgoingProxyUrl,
    RedisUrl,
    Seconds,
    StoreUrl,
    VariableName,
)

__all__ = ["DEFAULT_UPSTREAM", "NAMED", "OPTIONS", "Section", "Settings", "Upstream", "masked"]

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30

#: Neither braces, which are Redis' hash tags, nor what would be a pattern.
_PREFIX = r"^[A-Za-z0-9._:-]{1,100}$"


_Identified = TypeVar("_Identified", "Redis", "Tls")


def _certificate_with_key(section: _Identified) -> _Identified:
    if (section.cert_file is None) != (section.key_file is None):
        raise ValueError("cert_file and key_file go together")
    return section


class Routing(Section):
    """What of a call chooses its upstream, besides headers and paths."""

    model_prefix: bool = Field(
        default=False,
        description="Whether `NAME/model` in a body goes to the upstream or provider `NAME`, with `model` as its model",
    )
    target_hosts: Names = Field(
        default=(),
        description="Hosts that a call may name itself (`Helicone-Target-URL`, `x-portkey-custom-host`): `host`, "
        "`host:port`, `*.domain`, `http://host:port`",
    )


class Limits(Section):
    """What a request may be like; more is answered with 414, 431 or 413."""

    max_url_bytes: Count = Field(default=64 * _KIB, description="Path and query, in bytes; more is answered with 414")
    max_header_bytes: Count = Field(
        default=256 * _KIB, description="All names and values of the headers, in bytes; more is answered with 431"
    )
    max_header_count: Count = Field(default=1000, description="Header lines; more is answered with 400")
    buffered_body_bytes: Annotated[int, Field(ge=0)] = Field(
        default=_MIB,
        description="Request bodies of known length up to this many bytes are read whole before the upstream is called",
    )
    max_body_bytes: Count | None = Field(
        default=None, description="Request body, in bytes; more is answered with 413; not set is without limit"
    )
    upstream_calls: Count | None = Field(
        default=None,
        description="Calls that a proxy process has running at a time with each upstream; more wait their turn, for "
        "`timeouts.connect_s` at most; not set is without limit",
    )


class Timeouts(Section):
    """How long to wait, in seconds. There is no limit on a whole call: a long answer is no fault."""

    connect_s: Seconds = Field(
        default=10.0, description="Name resolution, connect and TLS towards an upstream; more is answered with 504"
    )
    idle_s: Seconds = Field(
        default=600.0,
        description="Silence of an upstream, before its answer (more is a 504) and between two pieces of it",
    )
    websocket_idle_s: Seconds | None = Field(default=None, description="Silence of a WebSocket; not set: no limit")
    drain_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=30.0, description="How long running calls may go on at shutdown"
    )
    reload_drain_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=3600.0,
        description="How long calls that run when the configuration is loaded anew may go on, each as it was begun",
    )
    request_s: Seconds = Field(
        default=60.0,
        description="How long the head of a request may take, and its body may pause; more is answered with 408",
    )
    keep_alive_s: Seconds = Field(default=75.0, description="How long an idle connection of a client is kept open")
    pool_idle_s: Seconds = Field(
        default=30.0,
        description="How long an idle connection to an upstream is kept; shorter than upstreams keep theirs",
    )


class Capture(Section):
    """What is recorded of a call; what is relayed is not affected."""

    max_body_bytes: Annotated[int, Field(ge=0)] = Field(
        default=100 * _MIB, description="Bytes recorded of each body and direction; the rest is relayed only"
    )


class Journal(Section):
    """The write-ahead log of the wire."""

    fsync: Literal["never", "interval", "always"] = Field(
        default="interval",
        description="When frames are forced to the disk: left to the kernel, every so often, or before every byte "
        "is relayed. A killed process loses nothing in any case; a power cut loses what was not forced",
    )
    fsync_interval_s: Seconds = Field(default=1.0, description='Seconds between two of them with `fsync = "interval"`')
    segment_bytes: Annotated[int, Field(ge=64 * _KIB)] = Field(
        default=64 * _MIB, description="Size at which a new file is begun; a file goes when all of its calls are stored"
    )
    max_bytes: Annotated[int, Field(ge=64 * _KIB)] = Field(
        default=4 * _GIB, description="Size of the whole journal at which it counts as full"
    )
    when_full: Literal["continue", "refuse"] = Field(
        default="continue",
        description="Whether calls that cannot be recorded are relayed and counted, or refused with 503",
    )

    @model_validator(mode="after")
    def _segments_fit(self) -> Self:
        if self.segment_bytes > self.max_bytes:
            raise ValueError("segment_bytes must not be larger than max_bytes")
        return self


class Store(Section):
    """Where the records are."""

    url: StoreUrl | None = Field(
        default=None,
        description="A PostgreSQL database, `postgresql://user:password@host:port/name`; without it, the records are "
        "in a SQLite file in `data_dir`",
    )
    connections: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=5, description="Connections of each process to PostgreSQL, one of which writes"
    )
    uploads_dir: FilePath | None = Field(
        default=None,
        description="Directory of the files that instrumented programs upload, shared by all hosts that run a store; "
        "without it, `uploads` in `data_dir`",
    )
    statement_timeout_s: Seconds = Field(
        default=60.0, description="How long PostgreSQL may take for one statement before it is given up"
    )


class Redis(Section):
    """The way to Redis, for those who run more than one host."""

    url: RedisUrl | None = Field(
        default=None,
        description="With it, calls go from the journal through Redis to workers; without it, the store takes them "
        "from the journal of its own machine",
    )
    timeout_s: Seconds = Field(default=10.0, description="Connecting, and each answer; no call ever waits for Redis")
    ca_file: FilePath | None = Field(
        default=None, description="Certificate authorities in PEM to trust instead of the built-in ones, with rediss://"
    )
    cert_file: FilePath | None = Field(
        default=None, description="Certificate in PEM to show, where Redis asks for one; with `redis.key_file`"
    )
    key_file: FilePath | None = Field(default=None, description="Its key in PEM")

    _with_its_key = model_validator(mode="after")(_certificate_with_key)


class Streams(Section):
    """The queue in Redis. The first two must be the same on all hosts."""

    prefix: Annotated[str, Field(pattern=_PREFIX)] = Field(
        default="llm-proxy", description="Beginning of every key, within the braces"
    )
    shards: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=1, description="Streams that the calls are spread over; in a cluster, a few times its masters"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1, description="Worker processes of `llm-proxy worker`; one fills one core"
    )
    claim_after_s: Seconds = Field(
        default=60.0, description="Silence of a worker after which others take over what it had"
    )
    max_deliveries: Annotated[int, Field(ge=3)] = Field(
        default=5, description="Deliveries without an acknowledgement after which a call becomes a dead letter"
    )


class Auth(Section):
    """Who may see and write the records. Further keys are made by ``llm-proxy keys``."""

    admin_key: AdminKey | None = Field(
        default=None,
        description="Key of who runs the proxy: it opens everything, and makes others; at least 20 characters. "
        "Better kept in `LLM_PROXY_ADMIN_KEY` than in a file",
    )
    open: bool = Field(
        default=False,
        description="Start on an address beyond loopback although no key guards the records there, or a key of a "
        "provider that the proxy adds to the calls of others",
    )

    calls: Literal["open", "keys"] = Field(
        default="open",
        description="Whether calls need a key of the scope `proxy`; one that is sent counts in any case",
    )
    keys_unknown: Literal["refuse", "continue"] = Field(
        default="refuse",
        description="Calls that come with a key before the proxy knows any, since no store has run yet: refused with "
        "503, or relayed as if they had none",
    )
    limits_unknown: Literal["refuse", "continue"] = Field(
        default="continue",
        description="Calls of a key one of whose limits cannot be checked, since the store is away for more than a "
        "minute or the body is not read whole: refused, or relayed",
    )


class Tls(Section):
    """TLS towards the upstreams."""

    ca_file: FilePath | None = Field(
        default=None, description="Certificate authorities in PEM to trust instead of the built-in ones"
    )
    verify: bool = Field(default=True, description="Whether certificates are checked; off, anybody can read the keys")
    cert_file: FilePath | None = Field(
        default=None, description="Certificate in PEM to show, where an upstream asks for one; with `tls.key_file`"
    )
    key_file: FilePath | None = Field(default=None, description="Its key in PEM")

    _with_its_key = model_validator(mode="after")(_certificate_with_key)


class Log(Section):
    """The program's own log, on standard error. It holds no bodies, prompts or keys."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="One JSON object a line, or text for people; auto is text on a terminal"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged")


class Settings(Section):
    """Everything that can be set."""

    host: Annotated[str, Field(min_length=1)] = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 is all of them"
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8080, description="Port to listen on; 0 is a free one")
    data_dir: FilePath = Field(
        default_factory=lambda: user_data_path("llm-proxy", appauthor=False),
        description="Directory of the journal and the SQLite store; made if it is not there",
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1, description="Proxy processes on the port; one fills one core"
    )
    upstream: BaseUrl = Field(
        default="https://api.openai.com/v1",
        description="Base URL of the default upstream including its `/v1`; http or https",
    )
    upstream_key_env: VariableName | None = Field(
        default=None,
        description="Variable that holds the key of the default upstream; "
        "without it the client's own `Authorization` is sent",
    )
    #: The value of that variable.
    upstream_key: Key | None = None
    upstream_transport: Literal["http1", "httpx"] = Field(
        default="http1", description="HTTP client towards the upstreams: the fast HTTP/1.1 one, or httpx with HTTP/2"
    )
    outgoing_proxy: OutgoingProxyUrl | None = Field(
        default=None,
        description="HTTP proxy to reach the upstreams through, `http://user:password@host:port`, or `off` for none; "
        "without it, the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` count",
    )
    upstreams: Annotated[dict[str, Upstream], AfterValidator(checked_upstream_names)] = Field(default_factory=dict)
    providers: Names = Field(
        default=("all",),
        description="Known providers that can be called without being configured, with the client's own key; "
        "`all` is all at public addresses",
    )
    routing: Routing = Routing()
    routes: dict[str, Route] = Field(default_factory=dict)
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    capture: Capture = Capture()
    journal: Journal = Journal()
    store: Store = Store()
    redis: Redis = Redis()
    streams: Streams = Streams()
    auth: Auth = Auth()
    oidc: Oidc = Oidc()
    retention: Retention = Retention()
    usage: Usage = Usage()
    pricing: Pricing = Pricing()
    tls: Tls = Tls()
    log: Log = Log()

    def all_upstreams(self) -> dict[str, Upstream]:
        """Every upstream by its name, the default one first."""
        default = Upstream(base_url=self.upstream, key_env=self.upstream_key_env, key=self.upstream_key)
        return {DEFAULT_UPSTREAM: default, **self.upstreams}

    def to_json(self) -> str:
        """One line of JSON with all secrets in clear, for the pipe to a child process only."""
        return self.model_dump_json(context={REVEAL: True})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings that ``to_json`` wrote."""
        return cls.model_validate_json(text)


#: Sections of which there may be any number, each under a name.
NAMED: dict[tuple[str, ...], type[Section]] = {
    ("upstreams",): Upstream,
    ("routes",): Route,
    ("oidc", "roles"): Role,
    ("retention", "organizations"): OrganizationRetention,
}


def _options(section: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, option in section.model_fields.items():
        key, kind = (*prefix, name), option.annotation
        if key in NAMED:
            yield from _options(NAMED[key], (*key, "*"))
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _options(kind, key)
        elif option.description:
            yield key, option


#: Every option by its path; ``*`` stands for the name of an upstream, or whatever is named. A key is no option: it is
#: not to be written down.
OPTIONS: dict[tuple[str, ...], FieldInfo] = dict(_options(Settings))
