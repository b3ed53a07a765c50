"""Does all ten operations of the Log10 specification with the real log10py, and prints what it read, a line each."""

import json
import sys

from log10 import Log10
from log10.models import components, errors, operations

URL, KEY, ORGANIZATION = sys.argv[1:4]
MESSAGE = components.ChatCompletionRequestUserMessage(content="Hi", role=components.ChatCompletionRole.USER)
REQUEST = components.CreateChatCompletionRequest(messages=[MESSAGE], model="gpt-4o")
CHOICE = components.Choices(
    finish_reason=components.FinishReason.STOP,
    index=0,
    logprobs=None,
    message=components.ChatCompletionResponseMessage(content="Ho", role=components.ChatCompletionRole.ASSISTANT),
)
RESPONSE = components.CreateChatCompletionResponse(
    id="r", choices=[CHOICE], created=1, model="gpt-4o", object=components.Object.CHAT_COMPLETION
)
SCHEMA = {"type": "object", "properties": {"stars": {"type": "integer"}}, "required": ["stars"]}


def told(**facts):
    sys.stdout.write(json.dumps(facts, default=str) + "\n")


def completion(**members):
    return components.Completion(organization_id=ORGANIZATION, **members)


def uploaded(sdk, form, task_id, stars=5, **about):
    body = form(
        organization_id=ORGANIZATION,
        task_id=task_id,
        json_values={"stars": stars},
        matched_completion_ids=[],
        comment="fine",
        **about,
    )
    return sdk.feedback.upload(request_body=body).feedback


def main():
    sdk = Log10(server_url=URL, log10_token=KEY, x_log10_organization=ORGANIZATION)
    session = sdk.sessions.create().object.session.id
    frame = components.Stacktrace(file="app.py", line="call()", lineno=7, name="main")
    started = sdk.completions.create(
        completion=completion(
            kind=components.Kind.CHAT,
            status=components.Status.STARTED,
            tags=["log10py"],
            request=REQUEST,
            stacktrace=[frame],
            session_id=session,
        )
    )
    first = started.completion
    finished = sdk.completions.update(
        completion_id=first.id,
        completion=completion(status=components.Status.FINISHED, response=RESPONSE, duration=1.5),
    ).completion
    told(
        status=started.http_meta.response.status_code,
        id=first.id,
        session=session,
        finished=finished.status.value,
        duration=finished.duration,
        content=finished.response.choices[0].message.content,
        frame=finished.stacktrace[0].name,
        session_id=finished.session_id,
    )
    task = sdk.feedback_tasks.create(
        request=components.Task(
            name="stars", instruction="How good?", json_schema=SCHEMA, completion_tags_selector={"tags": ["log10py"]}
        )
    ).task
    told(
        task=task.id,
        got=sdk.feedback_tasks.get(task_id=task.id).task.name,
        listed=[one.id for one in sdk.feedback_tasks.list().tasks],
        ungraded=[one.id for one in sdk.completions.list_ungraded().object.completions],
    )
    by_id = uploaded(sdk, operations.Two, task.id, completion_ids=[first.id])
    by_tag = uploaded(sdk, operations.One, task.id, completion_tags_selector=["log10py"])
    told(
        matched=[by_id.matched_completion_ids, by_tag.matched_completion_ids],
        got=sdk.feedback.get(feedback_id=by_id.id).feedback.comment,
        listed=len(sdk.feedback.list(request_body=operations.ListRequestBody(task_id=task.id)).object.feedback),
        page=len(sdk.feedback.list(request_body=operations.ListRequestBody(offset=1, limit=5)).object.feedback),
        ungraded=[one.id for one in sdk.completions.list_ungraded().object.completions],
    )
    try:
        uploaded(sdk, operations.Two, task.id, stars="many", completion_ids=[first.id])
    except errors.SDKError as exc:
        told(refused=exc.status_code, param=json.loads(exc.body)["error"]["param"])
    # What the proxy has recorded, in every shape that it knows, can be read.
    sdk.feedback_tasks.create(
        request=components.Task(
            name="all", instruction="", json_schema={}, completion_tags_selector={"tags": ["proxied"]}
        )
    )
    told(proxied=sorted(_said(one) for one in sdk.completions.list_ungraded().object.completions))


def _said(one):
    choices = one.response.choices if one.response else []
    said = choices[0].message if choices else None
    return f"{one.kind.value if one.kind else None}: {(said.content or len(said.tool_calls)) if said else None}"


main()
