"""Commands about the configuration: whether it adds up, and what would happen to a request."""

import sys
from pathlib import Path
from typing import Any

import click

from llm_proxy.cli.options import AS_JSON, FLAGS, having, settings_of


@click.command()
@having(FLAGS)
@AS_JSON
@click.option("--connect", is_flag=True, help="Try each upstream, the store and Redis, too.")
def check(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Check the whole configuration, and start nothing; exit with 2 if it is wrong, 1 if something is away."""
    from llm_proxy.wiring.check import run_check  # noqa: PLC0415

    sys.exit(run_check(settings_of(config=config, data_dir=data_dir), **wanted))


@click.command()
@having(FLAGS)
@AS_JSON
@click.option("--model", help="Model that the request asks for.")
@click.option(
    "--path", help="Its path, with its query; otherwise /v1/chat/completions, or /v1/realtime with --websocket."
)
@click.option("--method", default="POST", show_default=True, help="Its method.")
@click.option("--header", "headers", multiple=True, help="A header of it, 'Name: value'; may be repeated.")
@click.option("--key", help="The key that it comes with, as a bearer token.")
@click.option("--websocket", is_flag=True, help="It asks for a WebSocket; a model is then in its query.")
@click.option("--body", "body_file", type=click.Path(path_type=Path), help="File with its body, in place of --model.")
def route(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Show what would happen to a request: where it goes, with which key, what is changed and what recorded."""
    from llm_proxy.wiring.explain import show_route  # noqa: PLC0415

    sys.exit(show_route(settings_of(config=config, data_dir=data_dir), **wanted))
