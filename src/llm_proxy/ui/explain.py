"""Why a call failed, in a sentence for whoever has to mend it, and whose affair it is."""

from dataclasses import dataclass

from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.exchange import Ending
from llm_proxy.ui.present import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Who failed, and how."""

    #: ``The client``, ``This proxy`` or ``The provider``.
    who: str
    sentence: str
    #: What was said about it, word for word; None if nothing was.
    reason: str | None


_CLIENT, _PROXY, _PROVIDER = "The client", "This proxy", "The provider"
_BY_ENDING = {
    Ending.REFUSED: (_CLIENT, "The proxy refused the request by itself; nothing went to the provider."),
    Ending.UPSTREAM_UNREACHABLE: (_PROVIDER, "No connection to it could be made: its name, address, port or TLS."),
    Ending.UPSTREAM_TIMEOUT: (_PROVIDER, "It was silent for longer than `timeouts` allow, and was given up."),
    Ending.UPSTREAM_BROKE_OFF: (_PROVIDER, "It broke off in the middle; what had come by then is below."),
    Ending.CLIENT_DISCONNECTED: (_CLIENT, "It closed its connection before the answer was complete."),
    Ending.ABORTED: (_PROXY, "The proxy was stopped or died while the call ran; what had come by then is below."),
}
_BY_STATUS = {
    400: (_CLIENT, "The provider found the request wrong."),
    401: (_CLIENT, "The provider did not accept the key, or there was none."),
    402: (_CLIENT, "The account at the provider is not paid for."),
    403: (_CLIENT, "The key may not do this at the provider."),
    404: (_CLIENT, "The provider has no such model or path."),
    408: (_PROVIDER, "It took too long over the request."),
    413: (_CLIENT, "The request is larger than the provider takes."),
    422: (_CLIENT, "The provider understood the request but finds something in it wrong."),
    429: (_PROVIDER, "A rate or a quota is used up: try again later, or ask for more."),
    503: (_PROVIDER, "It is overloaded or down: try again later."),
    529: (_PROVIDER, "It is overloaded: try again later."),
}


def explain(completion: Completion) -> Explanation | None:
    """What went wrong with a call; None unless it failed."""
    if completion.status is not Status.FAILED:
        return None
    status = completion.http_status
    if completion.ending in _BY_ENDING:
        who, sentence = _BY_ENDING[completion.ending]
    elif status is not None and status >= 400:
        family = (
            (_PROVIDER, "Something went wrong there.")
            if status >= 500
            else (_CLIENT, "The provider would not do what was asked.")
        )
        who, sentence = _BY_STATUS.get(status, family)
        sentence = f"{sentence} (HTTP {status})"
    else:
        who, sentence = _PROVIDER, "It told of an error in an answer that began well."
    return Explanation(who=who, sentence=sentence, reason=_reason(completion))


def _reason(completion: Completion) -> str | None:
    kind = completion.failure_kind if completion.failure_kind != completion.ending else None
    return visible(": ".join(filter(None, (kind, completion.failure_reason)))) or None
