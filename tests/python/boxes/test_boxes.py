"""Every way in which a box comes alive or ends. After each: it has ended or is ready, and its phase says so."""

import base64
import json
import subprocess
import time

import pytest
from conftest import ENDPOINT, REBOOTED, docker, until

IMAGE = "127.0.0.1:5000/worker:1"
FOREVER = "[/bin/sh, -c, 'trap \"exit 0\" TERM; while true; do sleep 1; done']"


def file(image=IMAGE, command=FOREVER, container="", more=""):
    return f'name: w\ncontainer:\n  image: "{image}"\n  command: {command}\n{container}{more}'


HOSTILE = {
    "QUOTES": "it's \"quoted\" 'twice'",
    "DOLLAR": "$HOME ${HOME} $(touch /pwned) $$ `touch /pwned`",
    "LINES": "\n\nprima riga\nseconda riga\r\n\tterza riga\n\n",
    "BACKSLASH": "a\\nb\\\\c\\",
    "UNICODE": "żółć 漢字 🦀 \u2028",
    "SPACES": "   padded   ",
    "OPTION": "--privileged",
    "TEMPLATE": "{% raw %} ${QUOTES} quattro",
    "LONG": "x'\"$`\\" * 680,
}


def put(aws, values):
    for key, value in values.items():
        question = {"Name": f"/spotctl/w/{key}", "Value": value, "Type": "SecureString"}
        aws.ask("ssm", "AmazonSSM.PutParameter", question)


def test_it_gets_ready_with_every_value_byte_for_byte_and_shows_none(aws):
    put(aws, HOSTILE)
    command = "[/bin/sh, -c, 'cat /proc/self/environ >/out/environ; sleep 1000']"
    instance = aws.launch(file(command=command, container="  args: [--volume=/out:/out]\n"))
    up = subprocess.Popen(
        ["docker", "exec", aws.name, "sh", "-c", "cd /srv && spotctl up --wait ready -o json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    box = aws.box(instance)
    box.reaches("ready")
    out, said = up.communicate(timeout=120)
    assert up.returncode == 0, said
    assert json.loads(out)["workers"][0]["phase"] == "ready"
    assert "waiting until ready" in said

    arrived = base64.b64decode(box.run("base64 /out/environ").stdout)
    found = dict(entry.split(b"=", 1) for entry in arrived.split(b"\0") if entry)
    for key, value in HOSTILE.items():
        assert found[key.encode()] == value.encode(), key
    assert box.run("test -e /pwned", check=False).returncode == 1
    arguments = box.run("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'").stdout
    journal = box.run("journalctl --no-pager --output cat").stdout
    for key, value in HOSTILE.items():
        for part in filter(lambda part: len(part.strip()) > 3, value.splitlines()):
            assert part not in box.console and part not in journal, key
            assert part == "--privileged" or part not in arguments, key
    worker = aws.worker(instance)
    tags = aws.state()["tags"][instance]
    phases = [entry.split("=")[0] for entry in tags["spotctl:timeline"].split()]
    assert phases == ["booting", "parameters", "pulling", "starting", "ready"], tags
    assert worker["state"] == "running"




def fails(aws, instance, expected, seconds=150, **options):
    """The whole way of a failure: `up --wait ready` says it, the box is gone, `why` knows it."""
    # Before the box: an `up` that comes after its failure launches the next one, and nobody boots that here.
    up = subprocess.Popen(
        ["docker", "exec", aws.name, "sh", "-c", "cd /srv && spotctl up --wait ready"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    box = aws.box(instance, **options)
    phase = box.ends(seconds)
    assert phase.startswith(expected), f"{phase}\n{box.console[-3000:]}"
    _, said = up.communicate(timeout=300)
    assert up.returncode == 8, said
    assert expected in said and instance in said, said
    why = aws.document(f"why {instance}")
    assert why["phase"] == phase and why["last_word"]["worker"] == instance, why
    assert any("this box ends now" in line for line in why["console"]), why
    return why, box


def test_a_parameter_that_vanished_is_named(aws):
    instance = aws.launch(file(container='  env: {A: "<${GONE}>"}\n'), env="GONE=secret\n")
    aws.ask("ssm", "AmazonSSM.DeleteParameter", {"Name": "/spotctl/w/GONE"})
    box = aws.box(instance)
    assert box.ends() == "failed:parameters:GONE"


def test_without_permission_it_says_so(aws):
    instance = aws.launch(file(), env="A=1\n")
    state = json.loads(aws.run("cat /srv/.spotctl/sandbox.json").stdout)
    role = state["iam"]["roles"]["spotctl-w-us-east-1"]
    policy = json.loads(next(iter(role["inline"].values())))
    policy["Statement"] = [one for one in policy["Statement"] if "ssm:GetParametersByPath" not in one["Action"]]
    aws.write("/tmp/policy", json.dumps(policy))
    aws.run(f"aws --endpoint-url {ENDPOINT} iam put-role-policy --role-name spotctl-w-us-east-1 --policy-name spotctl-worker "
            "--policy-document file:///tmp/policy")
    # No `up` beside it, which would mend the role.
    assert aws.box(instance).ends() == "failed:parameters:AccessDeniedException"


def test_without_its_image_it_says_which(aws):
    missing = IMAGE.replace("worker:1", "worker:2")
    fails(aws, aws.launch(file(image=missing)), f"failed:pulling:no image {missing}")


def test_a_container_that_exits_ends_the_box_with_its_log_on_the_console_and_without_the_secret_in_it(aws):
    command = "[/bin/sh, -c, 'echo I have $TOKEN; exit 3']"
    instance = aws.launch(file(command=command), env="TOKEN=hunter2-token\n")
    why, _ = fails(aws, instance, "failed:starting:exit status 3")
    console = "\n".join(why["console"])
    assert "I have ***" in console and "hunter2" not in console


def test_without_a_gpu_it_ends_at_once(aws):
    fails(aws, aws.launch(file()), "failed:booting:no GPU", prepare="truncate --size 0 /etc/test-gpu/list")


def test_without_docker_it_is_installed_or_the_box_ends(aws):
    """The package manager is a stand-in: what is tried, and what becomes of it, is not."""
    hide = "systemctl stop docker.socket docker; mv /usr/bin/docker /srv/; "
    stand_in = "printf '#!/bin/sh\n[ \"$1\" = update ] || {}\n' >/usr/local/bin/apt-get; chmod +x /usr/local/bin/apt-get"
    brings = aws.box(aws.launch(file()), prepare=hide + stand_in.replace("{}", "mv /srv/docker /usr/bin/"))
    brings.reaches("ready")
    aws.spotctl("down --no-wait")
    instance = aws.launch(file())
    broken = "{ echo E: Unable to locate package docker.io; exit 100; }"
    box = aws.box(instance, prepare=hide + stand_in.replace("{}", broken))
    assert box.ends() == "failed:booting:no Docker on this image: E: Unable to locate package docker.io"


def test_an_unhealthy_container_never_gets_ready(aws):
    health = "  args: [--health-cmd=false, --health-interval=1s, --health-retries=2]\n"
    fails(aws, aws.launch(file(container=health)), "failed:starting:unhealthy")


def test_health_is_waited_for_and_the_boot_limit_ends_what_takes_too_long(aws):
    health = "  args: [--health-cmd=false, --health-interval=1s, --health-start-period=300s]\n"
    instance = aws.launch(file(container=health, more="lifetime: {boot: 75s}\n"))
    fails(aws, instance, "failed:starting:not ready within lifetime.boot", seconds=150)


def test_an_interruption_lets_a_worker_finish(aws):
    command = "[/bin/sh, -c, 'trap \"sleep 60; touch /out/finished; exit 0\" TERM; while true; do sleep 1; done']"
    instance = aws.launch(file(command=command, container="  args: [--volume=/out:/out]\n  stop_timeout: 90s\n"))
    box = aws.box(instance)
    box.reaches("ready")
    aws.weather(f"interrupt {instance}")
    assert box.ends() == "draining:interruption"
    docker("start", box.name)
    assert box.run("ls /out").stdout.strip() == "finished"
    assert aws.document(f"why {instance}")["why"].startswith("AWS took the Spot machine back")


def test_an_interruption_does_not_wait_for_a_worker_that_never_ends(aws):
    command = "[/bin/sh, -c, 'trap \"\" TERM; while true; do sleep 1; done']"
    instance = aws.launch(file(command=command, container="  stop_timeout: 5s\n"))
    box = aws.box(instance)
    box.reaches("ready")
    aws.weather(f"interrupt {instance}")
    began = time.monotonic()
    assert box.ends() == "draining:interruption"
    assert time.monotonic() - began < 40, "AWS takes the machine after two minutes, finished or not"


def test_an_idle_box_ends_and_a_busy_one_does_not(aws):
    aws.ask("sqs", "AmazonSQS.CreateQueue", {"QueueName": "jobs"})
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
    aws.ask("sqs", "AmazonSQS.SendMessage", {"QueueUrl": url, "MessageBody": "a job"})
    instance = aws.launch(file(more="access: {queues: ['${QUEUE}']}\nlifetime: {idle: 8s}\n"), env=f"QUEUE={url}\n")
    box = aws.box(instance)
    box.reaches("ready")
    time.sleep(14)
    assert box.phase() == "ready", "a message waits"
    box.run("echo 60 >/etc/test-gpu/utilization")
    aws.ask("sqs", "AmazonSQS.PurgeQueue", {"QueueUrl": url})
    time.sleep(12)
    assert box.phase() == "ready", "the GPU works"
    box.run("echo 0 >/etc/test-gpu/utilization")
    assert box.ends() == "draining:idle"


def test_the_hard_end_is_counted_from_the_launch_and_outlives_a_reboot(aws):
    instance = aws.launch(file(), flags="--ttl 2m")
    box = aws.box(instance)
    box.reaches("ready")
    box.run("systemctl reboot", check=False)
    assert until(lambda: box.ended() or "", "the reboot") == REBOOTED
    box.power_on()
    box.reaches("ready")
    assert box.run("docker ps --quiet | wc -l").stdout.strip() == "1"
    assert box.ends(150) == "draining:lifetime"
    assert aws.document(f"why {instance}")["why"] == "its `lifetime.max` was over"


def test_a_worker_that_is_done_ends_its_box(aws):
    instance = aws.launch(file(command="[/bin/sh, -c, 'sleep 6']"))
    box = aws.box(instance)
    assert box.ends() == "draining:done"


def test_a_guard_that_is_killed_or_restarted_comes_back_beside_its_container(aws):
    instance = aws.launch(file(more="lifetime: {boot: 75s}\n"))
    box = aws.box(instance)
    box.reaches("ready")
    before = box.run("docker ps --quiet").stdout
    # Past the boot limit, which a worker that was ready has met.
    until(lambda: aws.age(instance) > 77, "the boot limit is over", 90)
    for verb in ("kill --signal=KILL", "restart"):
        box.run(f"systemctl {verb} spotctl.service")
        until(lambda: box.run("systemctl is-active spotctl", check=False).stdout.strip() == "active", "the guard")
        time.sleep(5)
        assert box.run("docker ps --quiet").stdout == before
        assert box.phase() == "ready"
    assert aws.last_word() == "", "nothing has ended"
    box.run("docker kill " + before)
    assert box.ends().startswith("failed:ready:exit status 137")


def test_without_an_end_there_is_none(aws):
    box = aws.box(aws.launch(file(), flags="--ttl none"))
    box.reaches("ready")
    assert box.run("ls /run/systemd/shutdown/scheduled", check=False).returncode != 0
    limited = aws.box(aws.launch(file(), flags="--count 2"))
    limited.reaches("ready")
    assert limited.run("ls /run/systemd/shutdown/scheduled").returncode == 0


def test_docker_says_why_it_cannot_run_the_container(aws):
    instance = aws.launch(file(container="  args: [--device=/dev/nope]\n"))
    phase = aws.box(instance).ends()
    assert phase.startswith("failed:starting:docker: Error") and "/dev/nope" in phase


def test_a_private_registry_without_its_pair_is_no_missing_image(aws):
    instance = aws.launch(file(image="registry.test:8080/worker:1"))
    phase = aws.box(instance).ends()
    assert phase.startswith("failed:pulling:") and "no basic auth credentials" in phase


def test_a_guard_that_cannot_run_ends_the_box(aws):
    instance = aws.launch(file())
    box = aws.box(instance)
    box.reaches("ready")
    box.run("echo 'no python' >/opt/spotctl/aws.py; systemctl kill --signal=KILL spotctl.service")
    assert until(lambda: box.ended() or "", "the box ends") == 130


def test_bad_weather_and_a_slow_registry_only_take_longer(aws):
    instance = aws.launch(file(), env="A=1\n")
    aws.weather("fail GetParametersByPath 503 4")
    aws.weather("fail CreateTags 500 2")
    aws.run("pkill -STOP docker-registry || kill -STOP $(pidof docker-registry)")
    box = aws.box(instance)
    box.reaches("pulling")
    time.sleep(10)
    assert box.phase() == "pulling"
    aws.run("kill -CONT $(pidof docker-registry)")
    box.reaches("ready")


@pytest.mark.parametrize(
    ("reference", "env"),
    [
        ("${AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION}.amazonaws.com/worker:1", ""),
        ("registry.test:8080/worker:1", "REGISTRY_USERNAME=robot\nREGISTRY_PASSWORD=hunter2-secret\n"),
    ],
    ids=["ecr", "by a pair of parameters"],
)
def test_it_logs_in_to_a_private_registry(aws, reference, env):
    instance = aws.launch(file(image=reference), env=env + "A=1\n")
    box = aws.box(instance)
    box.reaches("ready")
    inside = box.run("docker exec spotctl-w env").stdout
    assert "REGISTRY_PASSWORD" not in inside
    assert box.run("find / -xdev -name config.json -path '*docker*' -not -path '/proc/*'").stdout == ""


def test_dockers_data_lies_on_the_local_nvme(aws):
    instance = aws.launch(file())
    # The test's own machines have Docker's data on a volume, which is a mount of its own.
    box = aws.box(instance, prepare=(
        "systemctl stop docker.socket docker containerd && umount /var/lib/docker /var/lib/containerd && "
        "mkdir -p /opt/dlami/nvme && mount -t tmpfs -o size=2g disk /opt/dlami/nvme && systemctl start docker"))
    box.reaches("ready")
    assert box.run("ls /opt/dlami/nvme").stdout.split() == ["containerd", "docker"]
    assert "image" in box.run("ls /opt/dlami/nvme/docker").stdout
    assert box.phase() == "ready"


def test_down_from_outside_is_what_why_says(aws):
    instance = aws.launch(file())
    box = aws.box(instance)
    box.reaches("ready")
    aws.spotctl("down --no-wait")
    box.run("systemctl poweroff", check=False)
    until(lambda: box.ended() is not None, "the box is off")
    # The sandbox's metadata service is gone as soon as the instance is told to end, so the box may find out nothing more.
    assert aws.document(f"why {instance}")["why"] in ("`spotctl down` ended it", "somebody called TerminateInstances")
    assert aws.last_word().startswith(instance) and " / booting=" in aws.last_word()
