"""``python -m llm_proxy`` is the same as the command ``llm-proxy``."""

from llm_proxy.cli import main

main()
