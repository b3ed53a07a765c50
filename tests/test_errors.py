import inspect
import re

import pytest

from llm_proxy import errors
from llm_proxy.errors import (
    JournalFull,
    JournalUnwritable,
    LlmProxyError,
    Refused,
    UpstreamBrokeOff,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from llm_proxy.metrics import COUNTERS

ALL = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]


def test_the_tree_that_is_drawn_is_the_tree_that_is_there():
    drawing = errors.__doc__.split("::")[1]
    drawn, parents = {}, ["Exception"]
    for line in re.findall(r"^[ │├└─]+[A-Z]\w+", drawing, re.MULTILINE):
        name = line.lstrip(" │├└─")
        depth = (len(line) - len(name)) // 4
        drawn[name] = parents[depth - 1]
        parents[depth:] = [name]

    assert drawn == {one.__name__: one.__base__.__name__ for one in ALL}


@pytest.mark.parametrize("error", ALL)
def test_every_error_says_what_it_means(error):
    assert issubclass(error, LlmProxyError)
    assert error.__doc__


def test_a_refusal_says_what_the_caller_is_told():
    refused = Refused("too large", status=413, code="body_too_large")

    assert (str(refused), refused.status, refused.code) == ("too large", 413, "body_too_large")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UpstreamError, 502, "upstream_error"),
        (UpstreamUnreachable, 502, "upstream_unreachable"),
        (UpstreamTimeout, 504, "upstream_timeout"),
        (UpstreamBrokeOff, 502, "upstream_broke_off"),
    ],
)
def test_what_the_upstream_did_decides_what_the_caller_is_told(error, status, code):
    assert (error("x").status, error("x").code) == (status, code)


@pytest.mark.parametrize("error", [JournalUnwritable, JournalFull])
def test_a_call_that_is_not_recorded_is_counted_under_a_reason_that_exists(error):
    assert f"dropped.{error('x').reason}" in COUNTERS
