"""Real boxes: the rendered user data, run as root under systemd with a real Docker, beside the sandbox as its AWS.

A machine is a container whose own network holds loopback only and which it shares with a second container, `aws`, where
the sandbox and the registry run. When the machine's system shuts down, its container ends, and the test tells the sandbox
so, as EC2 would notice.
"""

import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import time
import uuid

import pytest

HERE = pathlib.Path(__file__).parent
SPOTCTL = os.environ.get("SPOTCTL", "")
ENDPOINT = "http://127.0.0.1:4566"
POWERED_OFF, REBOOTED = 130, 129  # how a container ends whose systemd powers off or reboots
CAPABILITIES = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore".split()


def docker(*arguments, check=True, timeout=120, **options):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode:
        raise AssertionError(f"docker {shlex.join(arguments)}: {done.stdout}{done.stderr}")
    return done


def machine_options():
    """All of a machine's rights that this host has to give, and systemd's places."""
    status = pathlib.Path("/proc/self/status").read_text()
    bounding = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
    dropped = [name for number, name in enumerate(CAPABILITIES) if not bounding >> number & 1]
    options = ["--cap-add", "ALL", *(f"--cap-drop={name.upper()}" for name in dropped)]
    for what in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        options += ["--security-opt", what]
    options += ["--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup"]
    for place in ("/run", "/run/lock", "/tmp:exec"):
        options += ["--tmpfs", place]
    return [*options, "--volume", "/var/lib/docker", "--volume", "/var/lib/containerd"]


def why_not():
    """Why no box can be run here; `None` where one can."""
    if os.geteuid() != 0:
        return "a machine needs root"
    for command in (["docker", "info"], ["debootstrap", "--version"]):
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            return f"`{' '.join(command)}` does not work here: {error}"
    return None


def made_image():
    """The machines' image, made when it is not there. Several test processes start at once; one makes it."""
    script = HERE / "make_image.sh"
    tag = "spotctl-test-box:" + hashlib.sha256(script.read_bytes()).hexdigest()[:12]
    with open(pathlib.Path(tempfile.gettempdir()) / (tag.replace(":", "-") + ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if docker("image", "inspect", tag, check=False).returncode:
            made = subprocess.run([script, tag, *machine_options()], capture_output=True, text=True, timeout=900)
            assert made.returncode == 0, made.stdout + made.stderr
    return tag


@pytest.fixture(scope="session")
def image():
    reason = why_not()
    if reason:
        pytest.skip(f"skipped, because {reason}")
    return made_image()


def until(look, what, seconds=120):
    """Looks until there is an answer."""
    end = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.3)


class Aws:
    """The sandbox, the registry and spotctl, in a container of their own."""

    def __init__(self, image):
        self.image = image
        self.name = "spotctl-test-aws-" + uuid.uuid4().hex[:8]
        self.boxes = []
        hosts = ["123456789012.dkr.ecr.us-east-1.amazonaws.com", "registry.test"]
        docker(
            *["run", "--detach", "--name", self.name, "--network", "none", "--volume", f"{SPOTCTL}:/usr/bin/spotctl:ro"],
            *[option for host in hosts for option in ("--add-host", f"{host}:127.0.0.1")],
            *["--workdir", "/srv", "--env", "AWS_EC2_METADATA_DISABLED=true", "--env", f"AWS_ENDPOINT_URL={ENDPOINT}"],
            *["--env", "AWS_ACCESS_KEY_ID=test", "--env", "AWS_SECRET_ACCESS_KEY=test", "--env", "AWS_REGION=us-east-1"],
            *["--env", "AWS_DEFAULT_REGION=us-east-1", image, "sleep", "infinity"],
        )
        self.start("spotctl sandbox serve --port 4566")
        for door in ("open", "ecr", "private"):
            self.start(f"docker-registry serve /etc/docker/registry/{door}.yml")
        until(lambda: self.run("curl -sf " + ENDPOINT, check=False).returncode == 0, "the sandbox answers")
        self.weather("profile-delay 0s")

    def start(self, command):
        docker("exec", "--detach", self.name, "sh", "-c", command)

    def run(self, command, check=True, timeout=120):
        return docker("exec", self.name, "sh", "-c", command, check=check, timeout=timeout)

    def write(self, path, text):
        docker("exec", "--interactive", self.name, "sh", "-c", f"cat >{path}", input=text)

    def weather(self, words):
        self.run(f"spotctl sandbox set --endpoint-url {ENDPOINT} {words}")

    def spotctl(self, arguments, check=True, timeout=120):
        return self.run(f"cd /srv && spotctl {arguments}", check, timeout)

    def document(self, arguments):
        return json.loads(self.spotctl(arguments + " -o json").stdout)

    def ask(self, service, target, question):
        """A call in AWS's JSON protocol, with somebody's signature."""
        scope = f"AWS4-HMAC-SHA256 Credential=test/20261124/us-east-1/{service}/aws4_request, Signature=0"
        headers = f"-H {shlex.quote('Authorization: ' + scope)} -H 'X-Amz-Target: {target}'"
        self.write("/tmp/question", json.dumps(question))
        answer = self.run(f"curl -sf {headers} --data-binary @/tmp/question {ENDPOINT}/")
        return json.loads(answer.stdout or "{}")

    def launch(self, file, env=None, flags=""):
        """`spotctl up` as far as the launch; answers the worker's id."""
        self.write("/srv/spotctl.yaml", file)
        if env is not None:
            self.write("/srv/.env", env)
        up = json.loads(self.spotctl(f"up --wait launched {flags} -o json").stdout)
        return next(row["id"] for row in up["workers"] if row["launched_now"])

    def box(self, instance, **options):
        return Box(self, instance, **options)

    def worker(self, instance):
        return next(row for row in self.document("status")["workers"] if row["id"] == instance)

    def age(self, instance):
        """Seconds since the launch."""
        launched = datetime.datetime.strptime(self.worker(instance)["launched_at"], "%Y-%m-%dT%H:%M:%SZ")
        return time.time() - launched.replace(tzinfo=datetime.timezone.utc).timestamp()

    def state(self):
        """Everything the sandbox holds of the region."""
        return json.loads(self.run("cat /srv/.spotctl/sandbox.json").stdout)["regions"]["us-east-1"]["ec2"]

    def last_word(self):
        tags = self.state()["tags"]
        # Of the template and its twin only the first has one, whichever id sorts first.
        words = (tags[key].get("spotctl:last", "") for key in tags if key.startswith("lt-"))
        return next((word for word in words if word), "")

    def close(self):
        for box in self.boxes:
            docker("rm", "--force", "--volumes", box.name, check=False)
        docker("rm", "--force", "--volumes", self.name, check=False)


class Box:
    """A machine with an instance's metadata."""

    def __init__(self, aws, instance, prepare="true", boot=True):
        self.aws, self.instance = aws, instance
        self.name = "spotctl-test-box-" + uuid.uuid4().hex[:8]
        aws.boxes.append(self)
        self.metadata = f"{ENDPOINT}/_sandbox/metadata/{instance}"
        docker(
            *["create", "--tty", "--name", self.name, "--network", f"container:{aws.name}", *machine_options()],
            *[aws.image, "/sbin/init"],
        )
        self.power_on()
        # What a real machine has by its nature: the metadata service, here with another address.
        environment = f"AWS_ENDPOINT_URL={ENDPOINT} AWS_EC2_METADATA_SERVICE_ENDPOINT={self.metadata}"
        self.run(f"mkdir -p /etc/systemd/system.conf.d && printf '[Manager]\\nDefaultEnvironment={environment}\\n' "
                 f">/etc/systemd/system.conf.d/test.conf && systemctl daemon-reexec && {prepare}")
        token = f"$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {self.metadata}/latest/api/token)"
        fetch = f"curl -sf -H \"X-aws-ec2-metadata-token: {token}\" {self.metadata}/latest/user-data"
        # cloud-init takes a script as it is, and unpacks one that is compressed.
        self.run(f"{fetch} >/srv/user-data && if gzip -dc /srv/user-data >/srv/plain 2>/dev/null; "
                 f"then mv /srv/plain /srv/user-data; fi")
        if boot:
            self.run("bash /srv/user-data")

    def power_on(self):
        docker("start", self.name)
        until(lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"),
              "the machine has booted")

    def run(self, command, check=True, timeout=120):
        return docker("exec", self.name, "bash", "-c", command, check=check, timeout=timeout)

    @property
    def console(self):
        return docker("logs", self.name).stdout

    def ended(self):
        """How its container ended; `None` while it runs."""
        state = json.loads(docker("inspect", self.name).stdout)[0]["State"]
        return None if state["Running"] else state["ExitCode"]

    def phase(self):
        return self.aws.worker(self.instance)["phase"]

    def reaches(self, phase, seconds=120):
        try:
            until(lambda: self.phase() == phase, f"phase {phase}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.phase()}\n{self.console[-4000:]}") from None

    def ends(self, seconds=150):
        """Waits until the machine is off, and tells the sandbox, as EC2 would notice."""
        try:
            code = until(lambda: self.ended() or "", "the box ends", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.phase()}\n{self.console[-4000:]}") from None
        assert code == POWERED_OFF, self.console[-4000:]
        self.aws.write("/tmp/console", self.console)
        self.aws.run(f"curl -sf --data-binary @/tmp/console {self.metadata}/console")
        self.aws.run(f"curl -sf -X POST {self.metadata}/shutdown")
        return self.phase()


@pytest.fixture
def aws(image):
    made = Aws(image)
    yield made
    made.close()
