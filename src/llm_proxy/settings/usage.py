"""The settings about what calls take: tokens and money. Part of the table in table.py."""

from typing import Literal

from pydantic import Field

from llm_proxy.settings.section import Section
from llm_proxy.settings.values import FilePath


class Usage(Section):
    """Tokens."""

    streams: Literal["off", "ask"] = Field(
        default="off",
        description="Whether streams of chat completions and completions are asked for their tokens where the client "
        "says nothing about it and the provider takes it; the event that this causes is kept from the client",
    )
    estimate: bool = Field(
        default=False,
        description="Whether tokens that no answer tells are estimated by the text of the call, without a vocabulary; "
        "marked in the record, and so is a cost that is made of them (`source`: `estimate`)",
    )


class Pricing(Section):
    """What calls cost."""

    file: FilePath | None = Field(
        default=None,
        description="Prices of one's own, as JSON in the shape of LiteLLM's `model_prices_and_context_window.json`; "
        "they go before list prices, and what an answer tells goes before them",
    )
    from_callers: bool = Field(
        default=True,
        description="Whether what a caller says of the cost in `cf-aig-custom-cost` counts, before everything else",
    )
