"""Commands that run until they are stopped: all in one, or each role by itself. And what they would be told."""

import json
import sys
from typing import Any

import click

from llm_proxy.cli.options import AS_JSON, FLAGS, PORT_FLAGS, PROXY_FLAGS, having, settings_of


@click.command()
@having(PROXY_FLAGS + FLAGS)
def serve(**flags: Any) -> None:
    """Relay calls, record them, and serve what was recorded."""
    from llm_proxy.wiring.serve import run  # noqa: PLC0415

    sys.exit(run(settings_of(**flags), flags=flags))


@click.command()
@having(PROXY_FLAGS + FLAGS)
def proxy(**flags: Any) -> None:
    """Relay calls, record them, and hand them over to Redis."""
    from llm_proxy.wiring.serve import run  # noqa: PLC0415

    sys.exit(run(settings_of(**flags), "proxy", flags=flags))


@click.command()
@having(PORT_FLAGS + FLAGS)
def worker(**flags: Any) -> None:
    """Take calls from Redis and store them; health and numbers are at the port."""
    from llm_proxy.wiring.serve import run  # noqa: PLC0415

    sys.exit(run(settings_of(**flags), "worker", flags=flags))


@click.command()
@having(PORT_FLAGS + FLAGS)
def store(**flags: Any) -> None:
    """Serve what was recorded."""
    from llm_proxy.wiring.serve import run  # noqa: PLC0415

    sys.exit(run(settings_of(**flags), "store", flags=flags))


@click.command()
@having(PROXY_FLAGS + FLAGS)
@AS_JSON
def config(*, as_json: bool, **flags: Any) -> None:
    """Show each setting with its value and where that comes from."""
    from llm_proxy.config import effective  # noqa: PLC0415

    for setting in effective(flags=flags):
        if as_json:
            click.echo(json.dumps({"key": setting.key, "value": setting.value, "origin": setting.origin}))
        else:
            click.echo(f"{setting.key} = {json.dumps(setting.value, ensure_ascii=False)}  # {setting.origin}")
