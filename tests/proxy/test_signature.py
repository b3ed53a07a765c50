"""Signatures of AWS: the published test suite, and what botocore makes of the same request."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.proxy.signature import Signer

#: https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4
AT = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = (b"Host", b"example.amazonaws.com")


def signer(**different):
    known = {"access_key_id": "AKIDEXAMPLE", "secret_key": SECRET, "region": "us-east-1", "service": "service"}
    return Signer(**known | different)


@pytest.mark.parametrize(
    ("method", "target", "signature"),
    [
        (b"GET", b"/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (b"POST", b"/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            b"GET",
            b"/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ],
)
def test_the_published_requests_have_their_published_signatures(method, target, signature):
    [*_, (name, value)] = signer().sign(method, target, [HOST], b"", at=AT)

    assert name == b"Authorization"
    assert value.decode() == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


SEGMENTS = st.sampled_from(["model", "a%3A0", "arn%3Aaws%2Fx", "x.y-z_~", "b@c", "%E2%82%AC"])


@given(
    path=st.lists(SEGMENTS, min_size=1, max_size=4),
    body=st.binary(max_size=100),
    token=st.none() | st.just("session/token=="),
    content_type=st.none() | st.just("application/json"),
)
def test_any_call_is_signed_as_botocore_signs_it(path, body, token, content_type):
    target = "/" + "/".join(path)
    headers = {"Content-Type": content_type} if content_type else {}
    theirs = AWSRequest(method="POST", url=f"https://bedrock.test{target}", data=body, headers=headers)
    credentials = Credentials("AKIDEXAMPLE", SECRET, token)
    SigV4Auth(credentials, "bedrock", "eu-central-1").add_auth(theirs)
    at = datetime.strptime(theirs.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    signed = signer(session_token=token, region="eu-central-1", service="bedrock").sign(
        b"POST", target.encode(), [(b"Host", b"bedrock.test"), *raw], body, at=at
    )

    ours = {name.decode().lower(): value.decode() for name, value in signed}
    assert ours["authorization"] == theirs.headers["Authorization"]


def test_a_signature_that_was_there_is_left_out():
    old = [
        (b"authorization", b"AWS4-HMAC-SHA256 x"),
        (b"X-AMZ-DATE", b"1"),
        (b"x-amz-security-token", b"t"),
        (b"A", b"b"),
    ]

    names = [name for name, _ in signer().sign(b"POST", b"/", [HOST, *old], b"", at=AT)]

    assert names == [b"Host", b"A", b"X-Amz-Date", b"Authorization"]


def test_secrets_are_not_shown():
    assert SECRET not in repr(signer(session_token="token"))
    assert "token" not in repr(signer(session_token="token")).replace("session_token", "")
