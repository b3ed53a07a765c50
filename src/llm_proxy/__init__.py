"""llm-proxy: a logging reverse proxy between programs and their LLM providers."""

__version__ = "0.1.0"
