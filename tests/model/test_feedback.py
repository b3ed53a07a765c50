from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask
from records import NOON


def test_a_task_asks_for_nothing_unless_it_is_told_what():
    task = FeedbackTask(id="t", organization_id="o", created_at=NOON, name="n", json_schema={})

    assert (task.tags, task.instruction) == ((), "")


def test_feedback_that_is_about_nothing_yet_is_feedback():
    feedback = Feedback(id="f", organization_id="o", created_at=NOON, task_id="t", json_values={})

    assert (feedback.completion_ids, feedback.tags, feedback.comment) == ((), (), None)


def test_a_question_without_conditions_is_about_all_of_the_organisation():
    query = FeedbackQuery(organization_id="o")

    assert (query.task_id, query.completion_id, query.offset) == (None, None, 0)
