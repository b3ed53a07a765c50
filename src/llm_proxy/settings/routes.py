"""The settings of routes: which calls are tried again and elsewhere; and of what keeps that from becoming a storm."""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from llm_proxy.settings.section import Section
from llm_proxy.settings.values import Count, Names, Seconds

#: ``NAME``, or ``NAME/MODEL`` where the model is another one there.
_TARGET = re.compile(r"[a-z0-9-]+(?:/\S+)?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*:.*")


def _split_numbers(value: object) -> object:
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(int(part) if part.isdecimal() else part for part in parts)
    return tuple(value) if isinstance(value, list) else value


#: An array; in a variable, separated by commas.
_Weights = Annotated[tuple[Annotated[int, Field(ge=0, le=1_000_000)], ...], BeforeValidator(_split_numbers)]
_Statuses = Annotated[tuple[Annotated[int, Field(ge=400, le=599)], ...], BeforeValidator(_split_numbers)]


class Route(Section):
    """Calls that are tried again, or elsewhere, when an upstream fails."""

    models: Names = Field(
        default=(), description="Models it is for, as clients name them; `*` stands for anything; empty is all calls"
    )
    endpoints: Names = Field(
        default=(), description="Endpoints it is for, as the records name them (`chat.completions`); empty is all"
    )
    headers: Names = Field(
        default=(), description="Headers that a call must all have, as `Name: value`, in which `*` stands for anything"
    )
    targets: Names = Field(
        default=(),
        description="Upstreams to try one after the other, as `NAME`, or `NAME/MODEL` where the model is another one; "
        "empty is where the call goes anyway",
    )
    weights: _Weights = Field(
        default=(),
        description="One number for each of `targets`: the first to be tried is drawn by them, the others follow in "
        "their order; 0 is tried after others only",
    )
    attempts: Count = Field(default=2, description="Attempts at each target")
    statuses: _Statuses = Field(
        default=(429, 500, 502, 503, 504, 529), description="Statuses of an answer that are a failure"
    )
    first_byte_s: Seconds | None = Field(
        default=None, description="Time until an answer must begin; later is a failure; not set is `timeouts.idle_s`"
    )
    backoff_s: Seconds = Field(
        default=0.5,
        description="Longest wait before the second attempt at a target, twice that before the next, and so on; an "
        "answer's own `Retry-After` comes in its place",
    )
    budget_s: Seconds = Field(
        default=30.0, description="Time after the first attempt began beyond which none begins, nor is waited for"
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for target in self.targets:
            if not _TARGET.fullmatch(target):
                raise ValueError(f"the target {target!r} must be the name of an upstream, or NAME/MODEL")
        for header in self.headers:
            if not _HEADER.fullmatch(header):
                raise ValueError(f"the header {header!r} must be Name: value")
        if self.weights and (len(self.weights) != len(self.targets) or not any(self.weights)):
            raise ValueError("weights must have one number for each of targets, not all of them 0")
        return self


class Retries(Section):
    """What keeps retries of many calls from becoming a storm."""

    ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2,
        description="Second and further attempts at a target that a proxy process makes, as a part of its routed "
        "calls; ten can always be saved up",
    )


class Breaker(Section):
    """When an upstream that fails is left alone for a while, by each proxy process for itself."""

    failures: Count | None = Field(
        default=None,
        description="Failures within `breaker.window_s` after which an upstream is not called; not set: never",
    )
    window_s: Seconds = Field(default=30.0, description="Time in which failures are counted together")
    open_s: Seconds = Field(
        default=30.0, description="Time after which one call tries whether the upstream works again"
    )
