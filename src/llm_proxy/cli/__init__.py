"""The command ``llm-proxy``: one short function per command, one file for commands of one kind."""

from llm_proxy.cli.group import cli, main

__all__ = ["cli", "main"]
