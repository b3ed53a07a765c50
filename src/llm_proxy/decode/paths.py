"""What paths say of a call where its body does not: Google and AWS name the model in the path."""

import re
from urllib.parse import unquote

#: https://ai.google.dev/api/generate-content and, for other providers' models, the rawPredict of Vertex AI.
_GOOGLE = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:?]+):([A-Za-z]+)")
#: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
_BEDROCK = re.compile(r"/model/([^/?]+)/([a-z-]+)")
_MODEL_CHARACTERS = 200


def google_call(target: str) -> tuple[str | None, str | None]:
    """Model and method of ``/models/MODEL:METHOD``."""
    return _call(_GOOGLE, target)


def bedrock_call(target: str) -> tuple[str | None, str | None]:
    """Model and operation of ``/model/MODEL/OPERATION``; a model can also be the ARN of a profile."""
    return _call(_BEDROCK, target)


def _call(form: re.Pattern[str], target: str) -> tuple[str | None, str | None]:
    found = form.search(target)
    return (unquote(found[1])[:_MODEL_CHARACTERS], found[2]) if found else (None, None)
