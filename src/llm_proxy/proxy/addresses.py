"""What a path asks for: whose API it is of, and what is asked of it there.

Four kinds of paths are calls: ``/v1/…`` in OpenAI's language; paths that only one provider has, so that its SDK works
with nothing but the host as its base URL; ``/NAME/…`` of an upstream or a known provider; all of them also behind
``/~…``. Everything else is for the pages. Nothing in a path is decoded or normalised.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

#: Root of what speaks OpenAI's language.
API_ROOT = b"/v1"
#: First segments that are calls whatever is configured. No page may have them, and no upstream can be called so.
ROOTS = frozenset({"v1", "v1alpha", "v1beta", "v1beta1", "upload", "model", "ws"})

#: Paths below API_ROOT that are not OpenAI's: https://platform.claude.com/docs/en/api/messages,
#: https://ai.google.dev/api/generate-content (the stable version) and, of Vertex AI,
#: https://cloud.google.com/vertex-ai/docs/reference/rest
_BELOW_API_ROOT = (b"/v1/messages", b"/v1/models/", b"/v1/tunedModels/", b"/v1/projects/")
_MESSAGES = re.compile(rb"/v1/messages(?:/.*)?")
_GOOGLE_METHOD = re.compile(rb"/v1/(?:models|tunedModels)/[^/:]+:[A-Za-z]+|/v1/projects/[^/]+/locations/.*")
#: https://ai.google.dev/api/files: what is uploaded goes to a path of its own.
#: https://ai.google.dev/api/live: so do its WebSockets.
_GOOGLE_ROOTS = (b"/v1alpha/", b"/v1beta/", b"/v1beta1/", b"/upload/", b"/ws/google.")
#: https://learn.microsoft.com/azure/ai-foundry/openai/reference
_AZURE_DEPLOYMENTS = b"/openai/deployments/"
_AZURE_VERSION = re.compile(rb"(?:^|&)api-version=")
#: Of OpenAI's language, without a version before it, as clients of Cloudflare's gateway ask for it.
_UNVERSIONED = re.compile(
    rb"/(?:chat/completions|completions|embeddings|responses|moderations|images/[a-z]+|audio/[a-z]+)"
)


class Address(NamedTuple):
    """What a path says."""

    #: The upstream or provider that it names; None if it names none.
    name: str | None
    #: The provider that alone has such paths; None for those of OpenAI's language.
    provider: str | None
    #: Below API_ROOT, or, if it is of the provider's own API, below its root.
    path: bytes
    is_native: bool


class Addresses:
    """All paths that are calls."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.encode(): name for name in names}
        #: The first segments of all of them.
        self.roots = ROOTS | frozenset(names)

    def find(self, path: bytes, query: bytes) -> Address | None:
        """What ``path``, without what may stand behind ``/~``, asks for; None if it is no call."""
        if path.startswith(b"/v1/"):
            return _below_api_root(path) if path.startswith(_BELOW_API_ROOT) else Address(None, None, path[3:], False)
        if path.startswith(_GOOGLE_ROOTS):
            return Address(None, "google", path, True)
        if path.startswith(b"/model/"):
            return Address(None, "bedrock", path, True)
        end = path.find(b"/", 1)
        name = self._names.get(path[1:end]) if end > 0 else None
        if name is None:
            return None
        if name == "openai" and (path.startswith(_AZURE_DEPLOYMENTS) or _AZURE_VERSION.search(query)):
            return Address(None, "azure", path, True)
        return _named(name, path[end:])


def _below_api_root(path: bytes) -> Address:
    if _MESSAGES.fullmatch(path):
        return Address(None, "anthropic", path[len(API_ROOT) :], False)
    if _GOOGLE_METHOD.fullmatch(path):
        return Address(None, "google", path, True)
    return Address(None, None, path[len(API_ROOT) :], False)


def _named(name: str, path: bytes) -> Address:
    rest = path.removeprefix(API_ROOT)
    is_compatible = _UNVERSIONED.fullmatch(rest) is not None
    return Address(name, None, rest, False) if is_compatible else Address(name, None, path, True)
