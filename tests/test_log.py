import json
import subprocess
import sys

import structlog

from llm_proxy.log import Incident

#: In a process of its own, since the log is set up for a whole process.
_PROGRAM = """
import logging, sys
from llm_proxy.log import configure, get_logger
log = get_logger("somewhere")
configure(form=sys.argv[1], level="info", role="proxy-0")
log.debug("too much detail")
log.warning("something happened", count=3)
logging.getLogger("a.library").warning("it says %s", "this")
def fail(key):
    raise ValueError("no good")
try:
    fail("-".join(["sk", "local", "variable"]))
except ValueError:
    log.error("it failed", exc_info=True)
"""


def _said(form: str) -> str:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, form], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_each_line_of_json_says_what_where_and_which_process():
    lines = [json.loads(line) for line in _said("json").splitlines()]

    first = {key: lines[0][key] for key in ("event", "level", "role", "source", "count")}
    assert first == {
        "event": "something happened",
        "level": "warning",
        "role": "proxy-0",
        "source": "somewhere",
        "count": 3,
    }
    assert lines[0]["timestamp"].endswith("Z")


def test_what_libraries_say_comes_in_the_same_form():
    lines = [json.loads(line) for line in _said("json").splitlines()]

    assert (lines[1]["event"], lines[1]["source"]) == ("it says this", "a.library")


def test_a_traceback_holds_no_values():
    for form in ("json", "console"):
        said = _said(form)

        assert "ValueError: no good" in said
        assert "sk-local-variable" not in said


def test_auto_is_json_when_nobody_sits_at_a_terminal():
    assert json.loads(_said("auto").splitlines()[0])["event"] == "something happened"


def test_an_incident_is_one_line_at_its_beginning_and_one_at_its_end():
    log = structlog.testing.CapturingLogger()
    incident = Incident(structlog.wrap_logger(log, processors=[]), begins="it is away", over="it is back")

    incident.worked()
    incident.failed(OSError("first"))
    incident.failed(OSError("second"))
    incident.worked()
    incident.worked()
    incident.failed(OSError("third"))

    said = [(call.method_name, *call.kwargs.values()) for call in log.calls]
    assert said == [("warning", "first", "it is away"), ("info", "it is back"), ("warning", "third", "it is away")]


def test_the_log_loads_no_library_that_only_paints():
    program = "import sys, llm_proxy.log; print(sorted({'rich', 'pygments'} & set(sys.modules)))"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"


def test_what_was_hidden_from_the_log_can_be_loaded_afterwards():
    program = "import llm_proxy.log, rich.console; print(rich.console.Console.__name__)"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "Console"
