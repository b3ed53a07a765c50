import pytest
from hypothesis import given, strategies

from llm_proxy.attribution.path import path_options, path_pairs, split_path_context, unquote


@pytest.mark.parametrize(
    ("raw_path", "context", "rest"),
    [
        (b"/v1/models", None, b"/v1/models"),
        (b"/", None, b"/"),
        (b"", None, b""),
        (b"/v1/~tags=a", None, b"/v1/~tags=a"),
        (
            b"/~tags=nightly,ci;session=run-42/v1/chat/completions",
            "tags=nightly,ci;session=run-42",
            b"/v1/chat/completions",
        ),
        (b"/~tags=a%2Fb/v1/x%2Fy//z", "tags=a%2Fb", b"/v1/x%2Fy//z"),
        (b"/%7Euser=u1/v1", "user=u1", b"/v1"),
        (b"/%7euser=u1/v1", "user=u1", b"/v1"),
        (b"/~/v1", "", b"/v1"),
        (b"/~user=u1", "user=u1", b"/"),
        ("/~user=ü/v1".encode(), "user=ü", b"/v1"),
        (b"/~user=\xfc/v1", "user=ü", b"/v1"),
    ],
)
def test_the_context_is_cut_off_and_the_rest_of_the_path_is_untouched(raw_path, context, rest):
    assert split_path_context(raw_path) == (context, rest)


@given(strategies.binary(), strategies.binary())
def test_any_path_is_split_without_a_byte_of_the_rest_changed(context, rest):
    raw_path = b"/~" + context.replace(b"/", b"") + b"/" + rest

    assert split_path_context(raw_path)[1] == b"/" + rest


@pytest.mark.parametrize(
    ("context", "options"),
    [
        ("", {}),
        ("tags=a;session=b", {}),
        ("log=metadata;provider=groq", {"log": "metadata", "provider": "groq"}),
        ("LOG=off;log=%4Fff;provider= Groq ", {"log": "off", "provider": "groq"}),
        ("log=full;log=off", {"log": "off"}),
    ],
)
def test_the_proxy_finds_what_it_obeys(context, options):
    assert path_options(context) == options


def test_values_stay_encoded_until_they_were_split():
    assert path_pairs("tags=a%2Cb,c;m%65ta.x=1=2;;=;lonely") == [
        ("tags", "a%2Cb,c"),
        ("meta.x", "1=2"),
        ("lonely", ""),
    ]


@pytest.mark.parametrize(
    ("text", "decoded"),
    [("a+b", "a+b"), ("%C3%BC", "ü"), ("%FC", "ü"), ("100%", "100%"), ("%zz", "%zz"), ("ü%20", "ü ")],
)
def test_percent_encoding_is_read_as_utf_8_or_else_as_latin_1(text, decoded):
    assert unquote(text) == decoded


@given(strategies.text() | strategies.text("\0\ud800\udfff%;=,-0f"))
def test_no_context_makes_the_proxy_raise(context):
    options = path_options(context)

    assert options.keys() <= {"log", "provider"}
