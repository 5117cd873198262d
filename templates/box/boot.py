"""From a bare box to a container that is up: each step as soon as what it needs is there."""

import base64
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import threading
import time

import aws
import worker

RUN = "/run/spotctl"  # memory: no value and no registry token gets onto the disk
DOCKER_CONFIG = RUN + "/docker"
# Both are gone after a reboot of the box, and there after a restart of this program.
STARTED = RUN + "/started"
READY = RUN + "/ready"
NVME = "/opt/dlami/nvme"
DOCKER_DATA = ("/var/lib/docker", "/var/lib/containerd")

# A container that dies of a wrong command does so at once: up means up for so long.
SETTLED = 2
PERMISSION_SETTLES = 40


class Failure(Exception):
    """Why this box cannot work: the phase, and a reason for people."""

    def __init__(self, phase, reason):
        super().__init__(f"{phase}: {reason}")
        self.phase = phase
        self.reason = reason


def quiet(*command, timeout=60):
    """A command's exit status and what it printed; a command that is missing or hangs has failed."""
    try:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError:
        return 127, f"{command[0]} is not there"
    except OSError as error:
        return 126, f"{command[0]}: {error.strerror}"
    try:
        said, _ = running.communicate(timeout=timeout)
        return running.returncode, said.decode("utf-8", "replace").strip()
    except subprocess.TimeoutExpired:
        # Not waited for: what hangs in the driver does not die.
        running.kill()
        return 124, f"{command[0]} took more than {timeout} s"


def last_line(text):
    """What a command said last, but for the way to its help."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not re.match("(See|Run) 'docker|Usage:", line)]
    return lines[-1] if lines else "no reason given"


# What the image lacks


installing = threading.Lock()  # two at once would meet at the package manager's own


def install(apt, dnf):
    """A package of the system's own repositories."""
    with installing:
        return _install(apt, dnf)


def _install(apt, dnf):
    if shutil.which("apt-get"):
        options = ["-o", "DPkg::Lock::Timeout=120", "-y", "-qq", "--no-install-recommends"]
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        quiet("apt-get", "update", "-qq", timeout=120)
        return quiet("apt-get", "install", *options, apt, timeout=300)
    return quiet("dnf", "install", "-y", "-q", dnf, timeout=300)


def need_gpu(gpus):
    """A GPU that the driver sees and that Docker can hand on."""
    if gpus is None:
        return
    status, seen = quiet("nvidia-smi", "-L")
    if status == 127:
        raise Failure("booting", "no NVIDIA driver on this image; take a Deep Learning image")
    count = len(re.findall("^GPU [0-9]", seen, re.MULTILINE))
    if status or count == 0:
        raise Failure("booting", "no GPU: nvidia-smi says " + last_line(seen))
    if gpus.isdigit() and count < int(gpus):
        raise Failure("booting", f"{gpus} GPUs are wanted and {count} are there")
    if not shutil.which("nvidia-container-runtime-hook") and not shutil.which("nvidia-ctk"):
        status, said = install("nvidia-container-toolkit", "nvidia-container-toolkit")
        if status:
            raise Failure("booting", "no NVIDIA container toolkit on this image: " + last_line(said))
        quiet("nvidia-ctk", "runtime", "configure", "--runtime=docker")
        quiet("systemctl", "restart", "docker")


def need_docker():
    """Docker, with its data on the local NVMe where there is one: it is faster, and the root volume stays small."""
    # A box lives for hours and lets nothing in; an upgrade in between restarts Docker, and with it the worker.
    timers = ("apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service")
    quiet("systemctl", "stop", "--no-block", *timers)
    if not shutil.which("docker"):
        status, said = install("docker.io", "docker")
        if status or not shutil.which("docker"):
            raise Failure("booting", "no Docker on this image: " + last_line(said))
    if not os.path.ismount(NVME):
        # Deep Learning images mount it by a service of their own.
        quiet("systemctl", "start", "dlami-nvme.service")
    if os.path.ismount(NVME) and not os.path.ismount(DOCKER_DATA[0]):
        quiet("systemctl", "stop", "docker.socket", "docker.service", "containerd.service")
        for place in DOCKER_DATA:
            disk = os.path.join(NVME, os.path.basename(place))
            os.makedirs(disk, mode=0o711, exist_ok=True)
            os.makedirs(place, mode=0o711, exist_ok=True)
            status, said = quiet("mount", "--bind", disk, place)
            if status:
                raise Failure("booting", f"{place} on the local NVMe: " + last_line(said))
    status, said = quiet("systemctl", "start", "docker", timeout=120)
    if status:
        raise Failure("booting", "Docker does not start: " + last_line(said))


# Parameters and registry


def parameters(box):
    """Every parameter under the path, by key. A page may be empty and still not be the last."""
    found = {}
    question = {"Path": box["path"], "WithDecryption": True, "MaxResults": 10}
    while True:
        try:
            page = aws.ask("ssm", box["region"], "AmazonSSM.GetParametersByPath", question)
        except aws.Failed as error:
            raise Failure("parameters", str(error)) from None
        for parameter in page.get("Parameters", []):
            found[parameter["Name"].rsplit("/", 1)[1]] = parameter["Value"]
        if not page.get("NextToken"):
            return found
        question["NextToken"] = page["NextToken"]


def ecr_token(region):
    """A token is good for every registry of the region that lets this role pull."""
    target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    answer = aws.ask("ecr", region, target, {}, host="api.ecr")
    return answer["authorizationData"][0]["authorizationToken"]


def log_in(image, early, values):
    """Writes what `docker login` would write; public registries need nothing. `early` is the own region's token."""
    host, region = worker.registry(image), worker.ecr_region(image)
    if region:
        try:
            token = early[region].result() if region in early else ecr_token(region)
        except aws.Failed as error:
            raise Failure("pulling", f"no ECR token: {error}") from None
    else:
        pair = [values.get(key) for key in worker.REGISTRY_PAIR]
        if None in pair:
            return
        token = base64.b64encode(":".join(pair).encode()).decode()
    key = "https://index.docker.io/v1/" if host == "docker.io" else host
    os.makedirs(DOCKER_CONFIG, mode=0o700, exist_ok=True)
    with open(DOCKER_CONFIG + "/config.json", "w", encoding="utf-8") as config:
        json.dump({"auths": {key: {"auth": token}}}, config)


def pull(image):
    """Pulls until the registry gives a definite answer; the boot limit ends what never gets one."""
    began, pause = time.monotonic(), 1
    while True:
        # No end of its own: an image may be large and its registry slow.
        status, said = quiet("docker", "--config", DOCKER_CONFIG, "pull", "--quiet", "--", image, timeout=None)
        if status == 0:
            return
        reason = last_line(said)
        if "no space left" in reason:
            raise Failure("pulling", "no space left on the volume; raise instance.volume.size")
        # First, since Docker says of a repository that it may not see that it perhaps does not exist.
        if re.search("denied|unauthorized|no basic auth|forbidden", reason, re.IGNORECASE):
            if time.monotonic() - began > PERMISSION_SETTLES:
                raise Failure("pulling", reason)
        elif re.search("manifest unknown|not found|does not exist|invalid reference|unsupported", reason):
            raise Failure("pulling", f"no image {image}")
        time.sleep(pause)
        pause = min(pause * 2, 10)


# The container


def inspect(name):
    """What Docker knows of the container; `None` where it is not there. Raises `OSError` where Docker does not say."""
    status, text = quiet("docker", "inspect", "--type=container", name)
    if status:
        if "no such" in text.lower():
            return None
        raise OSError(last_line(text))
    found = json.loads(text)[0]
    state = found["State"]
    return {
        "running": state["Running"],
        "exit": state["ExitCode"],
        "out_of_memory": state["OOMKilled"],
        "restarts": found["RestartCount"],
        "health": state.get("Health", {}).get("Status"),
    }


def start(one):
    """`docker run`, in place of a container of the same name from before a reboot."""
    quiet("docker", "rm", "--force", one.box["container"])
    with open(STARTED, "w", encoding="utf-8"):
        pass
    arguments, environment = one.command()
    done = subprocess.run(
        arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise Failure("starting", last_line(one.redact(done.stdout.decode("utf-8", "replace"))))


def boot(box, enter):
    """Everything up to the running container; `enter` is told each phase. Answers the worker."""
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    enter("booting")
    # Side by side: none of these waits for another, the slowest sets the pace, and the first that fails ends it.
    pool = concurrent.futures.ThreadPoolExecutor()
    early = {}
    if ".dkr." in box["image"] or ".dkr-ecr." in box["image"]:
        early[box["region"]] = pool.submit(ecr_token, box["region"])
    enter("parameters")
    found = pool.submit(parameters, box)
    steps = [pool.submit(need_gpu, box["gpus"]), pool.submit(need_docker), found]
    done, _ = concurrent.futures.wait(steps, return_when=concurrent.futures.FIRST_EXCEPTION)
    pool.shutdown(wait=False)
    for step in done:
        step.result()
    try:
        one = worker.Worker(box, found.result())
        image, _, _ = one.image, one.command(), one.queues
    except worker.Missing as error:
        raise Failure("parameters", str(error)) from None
    if os.path.exists(STARTED):
        return one  # this program was restarted beside its container
    log_in(image, early, one.parameters)
    enter("pulling")
    pull(image)
    enter("starting")
    start(one)
    return one
