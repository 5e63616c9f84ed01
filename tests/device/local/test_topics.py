import pytest

from acclimate_device.local import topics
from acclimate_shared.errors import UsageError


@pytest.mark.parametrize("op", ["predict", "predict_many", "feedback", "feedback_many", "status"])
def test_a_request_says_what_and_who(op: str) -> None:
    assert topics.asked("home/agent", f"home/agent/{op}/pump 7") == (op, "pump 7")
    assert f"home/agent/{op}/+" in topics.requests("home/agent")


@pytest.mark.parametrize(
    "topic",
    [
        "a/forget/pump",
        "a/predict/",
        "a/predict",
        "a/predict/x/y",
        "predict/pump",
        "b/predict/pump",
        "a/answer/x",
        "",
        "a/",
    ],
)
def test_what_is_no_request(topic: str) -> None:
    assert topics.asked("a", topic) is None


@pytest.mark.parametrize("prefix", ["", "/", "a/", "/a", "a/+", "#", "$SYS/a", "a\0b", "p" * 600])
def test_no_prefix(prefix: str) -> None:
    with pytest.raises(UsageError, match="no prefix"):
        topics.check_prefix(prefix)


@pytest.mark.parametrize(
    "text",
    ["a/#/b", "a+/b", "a/b#", "$SYS/#", "", "a\0", "#", "+/+/x", "agent/#", "+/predictions/#", "agent/predictions/x"],
)
def test_no_filter_of_readings(text: str) -> None:
    with pytest.raises(UsageError, match=r"no filter|agent's own") as caught:
        topics.check_filters(["ok", text], "agent")
    assert caught.value.remedy


def test_filters_of_readings() -> None:
    good = ["sensors/+/reading", "sensors/#", "+", "a", "+/state", "agent/online", "agent2/predictions/x"]
    assert topics.check_filters(good, "agent") == tuple(good)
    with pytest.raises(UsageError, match="which topics"):
        topics.check_filters([], "agent")
