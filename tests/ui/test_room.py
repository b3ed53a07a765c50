"""Forms, as they are read."""

import pytest
from starlette.requests import Request

from llm_proxy.errors import Refused
from llm_proxy.ui.room import MAX_FORM_BYTES, first, read_form

FORM = "application/x-www-form-urlencoded"


def posted(content, content_type=FORM):
    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode())]}, receive)


async def test_fields_come_in_their_order_with_line_breaks_as_they_were_typed():
    fields = await read_form(posted(b"a=1&b=x%0D%0Ay&a=+2+&c=", f"{FORM}; charset=utf-8"))

    assert fields == {"a": ["1", " 2 "], "b": ["x\ny"], "c": [""]}
    assert (first(fields, "a"), first(fields, "c"), first(fields, "none")) == ("1", "", "")


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=1", "text/plain", 415),
        (b"a=" + b"x" * MAX_FORM_BYTES, FORM, 413),
        (b"a=\xff", FORM, 400),
        (b"&".join(b"a=1" for _ in range(2000)), FORM, 400),
    ],
)
async def test_what_is_no_form_is_refused(content, content_type, status):
    with pytest.raises(Refused) as refused:
        await read_form(posted(content, content_type))

    assert refused.value.status == status
