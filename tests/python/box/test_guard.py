"""What ends a box, decided without one."""

import itertools
import queue
import types

import boot
import guard
import pytest


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8h", 28800), ("1h30m", 5400), ("90s", 90), ("none", None), ("", None), ("$(id)", None), ("1m5", None)],
)
def test_a_period_is_the_files(text, expected):
    assert guard.seconds(text) == expected


def test_a_tag_holds_what_every_tag_may():
    assert guard.plain('no image "a/b:1" <x>!\n(y)') == "no image a/b:1 x y"


def test_idle_needs_a_whole_window_without_a_failed_reading(monkeypatch):
    clock = [0.0]
    readings = itertools.chain([True, True, OSError("no answer"), True, True, False], itertools.repeat(True))
    monkeypatch.setattr(guard.time, "monotonic", lambda: clock[0])

    def sleep(pause):
        clock[0] += pause

    def is_idle(*_):
        reading = next(readings)
        if isinstance(reading, Exception):
            raise reading
        return reading

    monkeypatch.setattr(guard.time, "sleep", sleep)
    monkeypatch.setattr(guard, "is_idle", is_idle)
    ends = queue.SimpleQueue()
    guard.watch_idle(ends, {"gpus": "all"}, [], 30)
    assert ends.get() == ("draining:idle", None)
    # A reading a second; the window begins with the first one after the busy one.
    assert clock[0] == 6 + 30


def test_a_box_without_queue_and_gpu_has_nothing_to_be_idle_by():
    assert guard.watch_idle(queue.SimpleQueue(), {"gpus": None}, [], 1) is None


@pytest.mark.parametrize(
    ("depth", "gpu", "expected"),
    [(0, (0, "0\n4"), True), (1, (0, "0"), False), (0, (0, "5"), False), (0, (1, "lost"), OSError)],
)
def test_a_reading_is_queue_and_gpu(monkeypatch, depth, gpu, expected):
    monkeypatch.setattr(guard, "queue_depth", lambda *_: depth)
    monkeypatch.setattr(boot, "quiet", lambda *_, **__: gpu)
    box = {"region": "r", "gpus": "all"}
    if expected is OSError:
        with pytest.raises(OSError):
            guard.is_idle(box, ["q"])
    else:
        assert guard.is_idle(box, ["q"]) is expected


def test_a_queue_is_asked_in_its_own_region(monkeypatch):
    asked = []

    def ask(service, region, target, question, **_):
        asked.append((region, question["QueueUrl"]))
        return {"Attributes": dict.fromkeys(question["AttributeNames"], "2")}

    monkeypatch.setattr(guard.aws, "ask", ask)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert guard.queue_depth("us-east-1", "https://sqs.eu-west-1.amazonaws.com/1/jobs") == 6
    assert guard.queue_depth("us-east-1", "arn:aws:sqs:eu-west-2:1:jobs") == 6
    assert guard.queue_depth("us-east-1", "http://127.0.0.1:4566/1/jobs") == 6
    assert asked == [
        ("eu-west-1", "https://sqs.eu-west-1.amazonaws.com/1/jobs"),
        ("eu-west-2", "https://sqs.eu-west-2.amazonaws.com/1/jobs"),
        ("us-east-1", "http://127.0.0.1:4566/1/jobs"),
    ]


@pytest.mark.parametrize(
    ("phase", "end", "boot_end", "expected"),
    [
        ("pulling", 200, 150, None),
        ("pulling", 200, 100, "failed:pulling:not ready within lifetime.boot"),
        ("ready", 200, 100, None),
        ("ready", 100, None, "draining:lifetime"),
        ("ready", None, None, None),
    ],
)
def test_limits_by_the_clock(monkeypatch, phase, end, boot_end, expected):
    monkeypatch.setattr(guard.time, "time", lambda: 100.0)
    here = types.SimpleNamespace(end=end, boot_end=boot_end)
    assert guard.due(here, types.SimpleNamespace(phase=phase)) == expected


def test_the_last_word_fits_a_tag_and_a_mistake_names_its_place_only():
    ends = queue.SimpleQueue()

    def wrong():
        raise KeyError("a secret")

    guard.guarded(ends, types.SimpleNamespace(phase="pulling"), wrong)
    phase, _ = ends.get()
    assert phase.startswith("failed:pulling:KeyError in test_guard.py line ") and "secret" not in phase
