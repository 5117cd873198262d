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


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        ("2h", "8h", 7200),
        ("none", "8h", None),
        (None, "8h", 28800),
        ("soon", "8h", 28800),
        ("1h 30m", "8h", 5400),
        (None, "none", None),
    ],
)
def test_the_instances_tag_goes_before_the_file_unless_nobody_can_read_it(tag, text, expected):
    assert guard.limit(tag, text) == expected


@pytest.fixture
def clock(monkeypatch):
    """Time that moves when somebody sleeps."""
    now = [0.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(guard.time, "sleep", lambda pause: now.__setitem__(0, now[0] + pause))
    return now


def readings(monkeypatch, gpu, queues=(True,)):
    """What the GPU and the queues say, one after the other, the last for ever."""

    def of(answers):
        answers = itertools.chain(answers, itertools.repeat(answers[-1]))

        def read(*_):
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return read

    monkeypatch.setattr(guard, "is_gpu_idle", of(list(gpu)))
    monkeypatch.setattr(guard, "are_queues_empty", of(list(queues)))


def test_idle_needs_a_whole_window_without_a_failed_reading(monkeypatch, clock):
    readings(monkeypatch, [True], [True, True, OSError("no answer"), True, True, False, True])
    ends = queue.SimpleQueue()
    guard.watch_idle(ends, {"gpus": "all"}, ["q"], 30)
    assert ends.get() == ("draining:idle", None)
    # A reading a second; the window begins with the first one after the busy one.
    assert clock[0] == 6 + 30


def test_a_gpu_that_cannot_be_read_for_a_whole_window_is_lost(monkeypatch, clock):
    lost = OSError("Unable to determine the device handle: GPU is lost")
    readings(monkeypatch, [lost, lost, True, lost])
    ends = queue.SimpleQueue()
    guard.watch_idle(ends, {"gpus": "all"}, [], 30)
    phase, _ = ends.get()
    assert phase.startswith("failed:ready:the GPU is lost: Unable to determine")
    assert clock[0] == 3 + 30


def test_a_box_without_queue_and_gpu_has_nothing_to_be_idle_by():
    assert guard.watch_idle(queue.SimpleQueue(), {"gpus": None}, [], 1) is None


@pytest.mark.parametrize(
    ("said", "expected"), [((0, "0\n4"), True), ((0, "5"), False), ((0, "[GPU is lost]"), OSError), ((1, "x"), OSError)]
)
def test_a_gpu_is_idle_under_five_per_cent_on_each_of_its_devices(monkeypatch, said, expected):
    monkeypatch.setattr(boot, "quiet", lambda *_, **__: said)
    if expected is OSError:
        with pytest.raises(OSError):
            guard.is_gpu_idle()
    else:
        assert guard.is_gpu_idle() is expected


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


def story():
    told = guard.Story.__new__(guard.Story)
    told.here = types.SimpleNamespace(age=lambda: 7)
    told.phase, told.times, told.told = "booting", {}, guard.threading.Condition()
    return told


def test_nothing_is_entered_after_the_end():
    told = story()
    told.enter("pulling")
    told.enter("draining:lifetime")
    with pytest.raises(guard.Over):
        told.enter("starting")
    assert told.wanted == {"spotctl:phase": "draining:lifetime", "spotctl:timeline": "pulling=7 draining=7"}


def test_a_box_that_cannot_find_out_who_it_is_ends(monkeypatch, clock, tmp_path):
    asked = []

    def silent(*_):
        raise OSError("timed out")

    monkeypatch.setattr(guard.aws, "metadata", silent)
    monkeypatch.setattr(guard, "shutdown", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(guard, "gone", lambda _: asked.append("gone"))
    monkeypatch.setattr(guard, "__file__", str(tmp_path / "guard.py"))
    (tmp_path / "box.json").write_text("{}")
    guard.main()
    assert asked == [("-h", "now"), "gone"]
    assert 180 <= clock[0] < 190


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("draining:down", "draining:down"),
        ("draining:reap", "draining:reap"),
        ("ready", None),
        ("failed:x:y", None),
        (None, None),
    ],
)
def test_who_ends_the_box_from_outside_is_believed(monkeypatch, said, expected):
    monkeypatch.setattr(guard.aws, "tag", lambda _: said)
    assert guard.ended_by() == expected


def test_docker_that_does_not_answer_is_not_a_container_that_is_gone(monkeypatch):
    monkeypatch.setattr(boot, "quiet", lambda *_, **__: (1, "Error: No such container: spotctl-w"))
    assert boot.inspect("spotctl-w") is None
    monkeypatch.setattr(boot, "quiet", lambda *_, **__: (124, "docker took more than 60 s"))
    with pytest.raises(OSError):
        boot.inspect("spotctl-w")


def test_the_way_to_a_commands_help_is_not_its_reason():
    for end in ("\nSee 'docker run --help'.", "\n\nRun 'docker run --help' for more information"):
        assert boot.last_line("docker: Error response from daemon: no such device." + end).endswith("no such device.")
    assert boot.last_line("\n") == "no reason given"


def test_what_hangs_and_what_is_not_there_has_failed():
    assert boot.quiet("sleep", "60", timeout=0.2) == (124, "sleep took more than 0.2 s")
    assert boot.quiet("/no/such")[0] == 127
    assert boot.quiet("/etc/passwd")[0] == 126
