import pytest
from pydantic import TypeAdapter

from llm_proxy.api.maxim_faults import MAX_FAULTS, InvalidBody, check, maxim_error
from llm_proxy.api.resource import Fault
from llm_proxy.errors import Refused


def test_an_error_has_a_message_as_maxim_py_looks_for_it():
    error = maxim_error(Refused("no", status=401, code="missing_key"))

    assert error == {"error": {"message": "no", "code": "missing_key"}}


def test_what_a_fault_is_about_is_its_path():
    error = maxim_error(Fault("id must be given", param="id"))["error"]

    assert error["details"] == [{"path": "id", "message": "id must be given"}]


def test_each_fault_of_a_body_is_told_up_to_a_limit():
    error = maxim_error(InvalidBody([(f"logs[{number}]", "is odd") for number in range(MAX_FAULTS + 1)]))["error"]

    assert error["message"] == f"logs[0] is odd (and {MAX_FAULTS} more)"
    assert len(error["details"]) == MAX_FAULTS


def test_nothing_is_converted():
    with pytest.raises(InvalidBody) as caught:
        check(TypeAdapter(list[int | str]), [True])

    assert {path for path, _ in caught.value.flaws} == {"[0]"}


def test_the_body_itself_may_be_at_fault():
    with pytest.raises(InvalidBody) as caught:
        check(TypeAdapter(dict[str, int]), [])

    assert str(caught.value) == "the body must be an object"
