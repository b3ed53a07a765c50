"""Requests made up from an OpenAPI document, valid and invalid ones, and a look at every answer.

An answer is none of 5xx, and has a status, a content type and a shape that the document knows. What is made up is the
same in every run.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Fuzzer:
    """Makes up requests to ``app`` by ``document``, with these headers."""

    def __init__(self, document: dict[str, Any], app: Any, headers: dict[str, str]) -> None:
        self._schema = schemathesis.openapi.from_dict(document)
        self._schema.app = app
        # Who asks is the same all the time.
        self._schema.config.generation.with_security_parameters = False
        self._headers = headers

    def fuzz(
        self,
        path: str,
        method: str,
        *,
        examples: int,
        known: Mapping[str, Sequence[Any]] | None = None,
        seen: Callable[[Any], None] = lambda _: None,
    ) -> None:
        """Send ``examples`` requests of each kind to one operation.

        ``known`` are values that mean something for words of path, query, headers and body, so that not only what is
        unknown is asked for; ``seen`` gets every answer.
        """
        operation, sensible = self._schema[path][method], known or {}
        for mode in GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy, choice=st.integers(0, 99))
            def ask(case: Case, choice: int) -> None:
                for words in (case.path_parameters, case.query, case.headers, case.body) if choice % 4 else ():
                    for word in set(words) & set(sensible) if isinstance(words, MutableMapping) else ():
                        words[word] = sensible[word][choice % len(sensible[word])]
                response = case.call(headers=self._headers)
                case.validate_response(response, checks=_CHECKS)
                seen(response)

            try:
                ask()
            except Unsatisfiable:
                # Where nothing is said of what is sent, nothing can be wrong with it.
                if mode is GenerationMode.POSITIVE:
                    raise
