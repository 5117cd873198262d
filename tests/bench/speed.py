#!/usr/bin/env python3
"""How fast spotctl is beside what people use: the AWS CLI, boto3 and Terraform, on the served sandbox, in one run.

Every tool does the same jobs against the same sandbox at 0, 50 and 250 ms and 2 s a call. Sequential round trips are
the slope of the wall time over the latency: what the machine itself takes falls out of them. What is not installed is
left out, and said.

    cargo build && python3 tests/bench/speed.py [--runs 3] [--write tests/bench/RESULTS.md]

`--python` names a Python that has boto3 and, beside it, `aws` (`pip install -r tests/python/requirements.txt`); the
tests make one in target/tmp/python. `--plugins` names a folder that Terraform's AWS provider is taken from (a
filesystem mirror).
"""

import argparse
import collections
import concurrent.futures
import functools
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import results as results_file

ROOT = pathlib.Path(__file__).parents[2]
PEERS = pathlib.Path(__file__).parent / "speed"
LATENCIES = [0, 50, 250, 2000]
# Nobody has that, but it drowns the noise of a busy machine in the slope. Once for each tool, and not for Terraform.
FAR = 2000
# A run that is cut short has the one that is nearest to what people have.
ORDER = [50, FAR, 0, 250]
# With a page's worth of parameters `GetParametersByPath` takes a second page, and extra pages do not count.
WITHIN_A_PAGE = 9
Row = collections.namedtuple("Row", "wall calls cpu peak")

JOBS = {
    "cold": "`up`, cold: nothing there, one worker launched",
    "again": "`up`, warm: all there, what is there is looked at, a second worker",
    "bare": "a bare launch from the template, nothing looked at (a second run is a second worker)",
    "status with": "`status`, with two workers",
    "down": "`down --no-wait`, of two workers",
    "status without": "`status`, foundation without workers",
    "destroy": "`destroy`, foundation without workers",
    "destroy with": "`destroy`, with a running worker, at 50 ms",
}
# What issue and README promise of spotctl, in sequential round trips.
MARKS = {"cold": 5, "again": 2, "status with": 2, "down": 2, "status without": 1}
WORKERS = {"cold": 1, "again": 2, "status with": 2, "down": 0, "status without": 0, "destroy": 0, "destroy with": 1}


class Sandbox:
    """`spotctl sandbox serve` in a folder of its own."""

    def __init__(self, spotctl, folder):
        command = [spotctl, "sandbox", "serve", "--port", "0"]
        self.server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       text=True)
        self.endpoint = self.server.stdout.readline().strip()

    def ask(self, verb, words=None):
        data = None if words is None else words.replace(" ", "\n").encode()
        with urllib.request.urlopen(f"{self.endpoint}/_sandbox/{verb}", data) as answer:
            return answer.read().decode()

    def calls(self):
        counted = json.loads(self.ask("calls"))
        return sum(number for operation, number in counted.items() if operation != "metadata")

    def fresh(self, latency):
        """An empty account; the new instance profile's delay is AWS's and not counted."""
        self.ask("reset", "")
        self.ask("set", "clear")
        self.ask("set", "profile-delay 0s")
        self.ask("set", f"latency {latency}ms")

    def close(self):
        self.server.terminate()
        self.server.wait()


class Tool:
    """How one tool does each job: its commands, and what it needs in its folder."""

    def __init__(self, name, version, jobs, runs):
        self.name, self.version, self.jobs, self.runs = name, version, jobs, runs
        self.folder = None
        self.latencies = ORDER
        self.environment = {}

    def prepare(self, folder, sandbox, parameters):
        self.folder = folder
        self.environment = {"NAME": "bench", "PARAMETERS": str(parameters), "AWS_ENDPOINT_URL": sandbox.endpoint,
                            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
                            "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true"}


class Spotctl(Tool):
    def __init__(self, binary, runs):
        up = [binary, "up", "--wait", "launched"]
        jobs = {"cold": up, "again": [*up, "--count", "2"], "status with": [binary, "status"],
                "status without": [binary, "status"], "down": [binary, "down", "--no-wait"],
                "destroy": [binary, "destroy", "--yes"], "destroy with": [binary, "destroy", "--yes"]}
        super().__init__("spotctl", output([binary, "--version"]).split()[-1], jobs, runs)

    def prepare(self, folder, sandbox, parameters):
        super().prepare(folder, sandbox, parameters)
        image = "public.ecr.aws/docker/library/busybox:1"
        (folder / "spotctl.yaml").write_text(f"name: bench\ncontainer: {{image: {image}}}\n")
        (folder / ".env").write_text("".join(f"KEY_{number}=value-{number}\n" for number in range(parameters)))


class Script(Tool):
    """cli.sh or by_boto3.py: both take the job's first word."""

    def __init__(self, name, version, command, options, runs):
        words = {job: job.split()[0] for job in JOBS}
        super().__init__(name, version, {job: [*command, word] for job, word in words.items()}, runs)
        self.python = options.python

    def prepare(self, folder, sandbox, parameters):
        super().prepare(folder, sandbox, parameters)
        self.environment["PATH"] = f"{pathlib.Path(self.python).parent}{os.pathsep}{os.environ['PATH']}"


class Terraform(Tool):
    """It has no way not to wait for an instance: its `up` waits until running, its `down` until terminated."""

    def __init__(self, binary, plugins, runs):
        apply = [binary, "apply", "-auto-approve", "-input=false", "-no-color"]
        plan = [binary, "plan", "-input=false", "-no-color"]
        destroy = [binary, "destroy", "-auto-approve", "-input=false", "-no-color"]
        jobs = {"cold": apply, "again": apply, "status with": plan, "status without": plan, "down": apply,
                "destroy": destroy, "destroy with": destroy}
        version = json.loads(output([binary, "version", "-json"]))["terraform_version"]
        super().__init__("Terraform", version, {}, runs)
        self.binary, self.plugins, self.plain = binary, plugins, jobs
        self.latencies = [latency for latency in ORDER if latency != FAR]

    def prepare(self, folder, sandbox, parameters):
        super().prepare(folder, sandbox, parameters)
        shutil.copy(PEERS / "main.tf", folder)
        del self.environment["AWS_ENDPOINT_URL"]
        if self.plugins:
            (folder / "rc").write_text(f'provider_installation {{ filesystem_mirror {{ path = "{self.plugins}" }} }}\n')
            self.environment["TF_CLI_CONFIG_FILE"] = str(folder / "rc")
        self.jobs = {job: [*command, f"-var=workers={WORKERS[job]}", f"-var=parameters={parameters}",
                           f"-var=endpoint={sandbox.endpoint}", "-var=name=bench"] for job, command in self.plain.items()}
        output([self.binary, "init", "-input=false", "-no-color"], cwd=folder, env=os.environ | self.environment)
        versions = json.loads(output([self.binary, "version", "-json"], cwd=folder))["provider_selections"]
        self.version = f"{self.version.split(',')[0]}, AWS provider {next(iter(versions.values()))}"


class Failed(Exception):
    """A tool did not do its job."""


def output(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise Failed((done.stderr or done.stdout).strip()[-600:])
    return done.stdout


def measured(tool, job, sandbox):
    """Runs the job once. CPU and peak are of the command with all its children; the peak is the largest one's."""
    before = sandbox.calls()
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        child = subprocess.Popen(tool.jobs[job], cwd=tool.folder, env=os.environ | tool.environment,
                                 stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise Failed(f"{job} ended {child.returncode}: " + said.read().decode(errors="replace").strip()[-600:])
    return Row(wall, sandbox.calls() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def cycle(tool, sandbox, latency, told):
    """From an empty account to an empty account; the jobs in an order in which each finds what it needs."""
    def do(job):
        told(job, latency, measured(tool, job, sandbox))

    sandbox.fresh(latency)
    for job in ("cold", "again", "status with", "down"):
        do(job)
    # AWS forgets an instance an hour after its end.
    sandbox.ask("set", "clock +2h")
    do("status without")
    if "bare" in tool.jobs:
        do("bare")
        measured(tool, "down", sandbox)
        sandbox.ask("set", "clock +4h")
    do("destroy")


def with_worker(tool, sandbox, latency, told):
    sandbox.fresh(latency)
    measured(tool, "cold", sandbox)
    told("destroy with", latency, measured(tool, "destroy with", sandbox))


def run(tool, sandbox, parameters, told):
    """`told` hears of each row as soon as it is there, so that nothing is lost with a run cut short."""
    is_for_marks = parameters == WITHIN_A_PAGE
    with tempfile.TemporaryDirectory() as folder:
        tool.prepare(pathlib.Path(folder), sandbox, parameters)
        for number in range(tool.runs):
            for latency in [0, FAR] if is_for_marks else tool.latencies:
                if latency == FAR and number > 0:
                    continue
                began = time.monotonic()
                cycle(tool, sandbox, latency, told)
                if latency == 50:
                    with_worker(tool, sandbox, latency, told)
                took = time.monotonic() - began
                print(f"{tool.name}: run {number + 1} of {tool.runs} at {latency} ms, {took:.0f} s", file=sys.stderr)


def nothing_yet():
    return collections.defaultdict(lambda: collections.defaultdict(list))


def slope(walls):
    """Least squares: seconds of wall time a second of latency."""
    # Of a run cut short: two that lie apart in time, on a machine that was busy differently, tell nothing.
    if 0 not in walls or len(walls) < 2:
        return None
    xs = [latency / 1000 for latency in walls]
    ys = list(walls.values())
    x, y = statistics.mean(xs), statistics.mean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


def medians(latencies):
    """Median wall by latency, slope, and the median of all runs of the rest."""
    walls = {latency: statistics.median(row.wall for row in rows) for latency, rows in sorted(latencies.items())}
    rows = [row for some in latencies.values() for row in some]
    rest = (statistics.median(getattr(row, field) for row in rows) for field in ("calls", "cpu", "peak"))
    # Other load only ever adds, so the fastest runs tell the latency's share best.
    fastest = {latency: min(row.wall for row in rows) for latency, rows in sorted(latencies.items())}
    return walls, slope(fastest), *rest


def speed_tables(results, skipped):
    lines = []
    for job, title in JOBS.items():
        lines += ["", f"**{title}**", ""]
        lines += ["| | wall at 0 ms | at 50 ms | at 250 ms | at 2 s | calls of AWS | sequential round trips | CPU | "
                  "peak memory |", "|---|---|---|---|---|---|---|---|---|"]
        for name, found in results.items():
            if job not in found:
                if found and job != "bare":
                    lines.append(f"| {name} | not yet: the run was cut short | | | | | | | |")
                continue
            walls, trips, calls, cpu, peak = medians(found[job])
            shown = " | ".join(f"{walls[latency]:.2f} s" if latency in walls else "" for latency in LATENCIES)
            trips = "" if trips is None else f"{trips:.1f}"
            lines.append(f"| {name} | {shown} | {calls:.0f} | {trips} | {cpu:.2f} s | {peak:.0f} MB |")
        lines += [f"| {name} | not run, because {why} | | | | | | | |" for name, why in skipped.items()]
    return lines


def marks_table(found):
    lines = ["", f"spotctl with {WITHIN_A_PAGE} parameters, so that no list has a second page, beside the marks:", "",
             "| | sequential round trips | mark | calls of AWS |", "|---|---|---|---|"]
    for job, mark in MARKS.items():
        if len(found[job]) < 2:
            lines.append(f"| {JOBS[job]} | | {mark} | the run was cut short |")
            continue
        _, trips, calls, _, _ = medians(found[job])
        # A tenth of a trip is the machine's.
        verdict = "" if trips <= mark + 0.1 else ", missed"
        lines.append(f"| {JOBS[job]} | {trips:.1f} | {mark}{verdict} | {calls:.0f} |")
    return lines


# Anything nearer than this is the machine's.
NOISE = 0.1


def figures(found):
    """What is compared, by its heading."""
    walls, trips, calls, cpu, peak = medians(found)
    shown = {f"wall at {latency} ms": (wall, f"{wall:.2f} s") for latency, wall in walls.items()}
    shown["calls of AWS"] = (calls, f"{calls:.0f}")
    if trips is not None:
        shown["sequential round trips"] = (trips, f"{trips:.1f}")
    return shown | {"CPU": (cpu, f"{cpu:.2f} s"), "peak memory": (peak, f"{peak:.0f} MB")}


def behind_table(results):
    """Every figure in which a peer is ahead."""
    own, rows = results.get("spotctl", {}), []
    for job, title in JOBS.items():
        for name, found in results.items():
            if name == "spotctl" or job not in found or job not in own:
                continue
            theirs = figures(found[job])
            for figure, (value, shown) in figures(own[job]).items():
                if figure in theirs and value > theirs[figure][0] * (1 + NOISE):
                    rows.append(f"| {title} | {figure} | {shown} | {name}: {theirs[figure][1]} |")
    if not rows:
        return ["", "In none of the figures is another one ahead."]
    return ["", "| | figure | spotctl | ahead |", "|---|---|---|---|", *rows]


def start_table(options, tools):
    """Milliseconds to start; the size on disk."""
    binary = options.spotctl
    commands = {f"`spotctl {' '.join(words)}`": [binary, *words]
                for words in (["--version"], ["--help"], ["completions", "bash"])}
    if "AWS CLI" in tools:
        commands["`aws --version`"] = [str(pathlib.Path(options.python).parent / "aws"), "--version"]
        commands["`import boto3`"] = [options.python, "-c", "import boto3"]
    if "Terraform" in tools:
        commands["`terraform version`"] = [options.terraform, "version"]
    lines = ["", "## Start-up and size", "", "| | milliseconds, median of 20 (of the others: of 5) | fastest |",
             "|---|---|---|"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    for name, command in commands.items():
        taken = []
        for _ in range(20 if binary in command else 5):
            began = time.monotonic()
            subprocess.run(command, check=True, **quiet)
            taken.append((time.monotonic() - began) * 1000)
        lines.append(f"| {name} | {statistics.median(taken):.1f} | {min(taken):.1f} |")
    size = pathlib.Path(binary).stat().st_size / 1e6
    lines += ["", f"The binary holds {size:.1f} MB"]
    if shutil.which("strip"):
        with tempfile.TemporaryDirectory() as folder:
            stripped = pathlib.Path(folder) / "spotctl"
            subprocess.run(["strip", "-o", stripped, binary], check=True)
            bare = stripped.stat().st_size / 1e6
            if f"{bare:.1f}" != f"{size:.1f}":
                lines[-1] += f", {bare:.1f} MB of it without symbols and debug information"
    lines[-1] += "."
    return lines


def found_tools(options):
    """What can run, and why the rest cannot."""
    tools, skipped = [Spotctl(options.spotctl, options.runs)], {}
    aws = pathlib.Path(options.python).parent / "aws"
    try:
        tools.append(Script("AWS CLI", output([aws, "--version"]).split()[0].split("/")[1],
                            ["bash", str(PEERS / "cli.sh")], options, options.slow_runs))
    except (Failed, OSError):
        skipped["AWS CLI"] = "there is no `aws` beside the Python of `--python`"
    try:
        version = output([options.python, "-c", "import boto3; print(boto3.__version__)"]).strip()
        tools.append(Script("boto3", version, [options.python, str(PEERS / "by_boto3.py")], options, options.runs))
    except (Failed, OSError):
        skipped["boto3"] = "the Python of `--python` does not have it"
    if options.terraform:
        tools.append(Terraform(options.terraform, options.plugins, options.slow_runs))
    else:
        skipped["Terraform"] = "it is not installed"
    return [tool for tool in tools if options.only is None or tool.name in options.only], skipped


def conditions(options, tools, results, load):
    versions = ", ".join(f"{tool.name} {tool.version}" for tool in tools)
    runs = ", ".join(f"{name} {max(len(rows) for job in found.values() for rows in job.values())}"
                     for name, found in results.items() if found)
    what = (f"{versions}; {options.build} of spotctl, which is the sandbox too; medians of so many runs: {runs}"
            f"{', all tools at once' if options.at_once else ''}" + (f"; {options.note}" if options.note else ""))
    return [results_file.conditions(what, load)]


INTRODUCTION = """\
# Speed, beside the AWS CLI, boto3 and Terraform

Every tool does the same jobs on the same served sandbox, on one machine in one run. The latency is the sandbox's, for
each call; connections are on the loopback and without TLS, whose handshakes with the real AWS cost the AWS CLI most,
which opens a connection for each call. Sequential round trips are the slope of the wall time over the latency (least
squares over the fastest run at each latency, since other load only adds; the one at 2 s is there for this alone); a new
instance profile is visible at once (`profile-delay 0s`), nothing is throttled. CPU is of the client with all its
children, peak memory of its largest process (less than some 20 MB would be shown as these). Ten parameters fill a page,
after which AWS must be asked for another: `up` reads them in one round trip more than the marks below count.

What differs in the job: spotctl ranks every GPU type in every zone by price, looks at the quotas first, makes a twin
of the template, and lists resources in `status`; the others take a fixed type in a fixed zone and do none of that.
Terraform cannot be told not to wait: its `up` ends when the worker runs, its `down` when it is gone, both looked for
at its provider's own pace of ten seconds, so the slopes of these are rough; its `status` is `plan`. A `destroy` without
workers holds five seconds in which spotctl looks whether an `up` that was killed a moment ago launched something; one
with a worker waits until it is gone, which takes the sandbox two seconds and the waiter of the AWS CLI and boto3
fifteen. Who looks each second is not slower by each call's latency: the slope of `destroy` says little.
"""


WHY = """\
Calls. spotctl reads before it writes, all at once: the scripts would launch into a quota of 0, in a dear zone, a second
worker beside one that runs, behind a group that somebody opened. These reads take one round trip together, and each of
them keeps a promise. What cannot go side by side is AWS's own order; a line needs what the line before answered:

    up, nothing there
    1  account, VPCs, subnets, route tables, types, offerings, prices, quotas and their use, security group, role,
       profile, parameters, templates, workers, volumes, the image's id
    2  the image: its root device, architecture and size
    3  security group, role, profile, parameters
    4  both launch templates (they name the group), the role's policy, the role into the profile
    5  RunInstances (names the template's id and version)

    up, all there                             status
    1  the same reads                         1  workers, templates, group, role, parameters, volumes
    2  RunInstances                           2  prices of their types since their launch

    down --no-wait                            destroy, with workers: as down, until they are gone; then
    1  workers, templates, open requests      1  what there is (beside the workers before, to name it if that fails)
    2  the end of each, the generation, and   2  both templates: nobody launches any more
       what they have cost                    3  the workers once more ‖ parameters
                                              4  group ‖ the role out of the profile, its policies
                                              5  role ‖ profile

Walls. `destroy` without workers is the one that waits: AWS shows a new instance as late as five seconds after its launch, so
that nobody can know sooner whether an `up` that was killed just before has left one. The scripts do not ask, and would leave
it running.

Even. What is nearer than a tenth is the machine's and not in the table below. `status` and `down` take the scripts' number of
round trips, one and two, since there are none fewer: what they cost and what ends them depends on what there is.

A bare launch is what an API server makes of the template that spotctl leaves: one call, one round trip.
`PutParameter` takes one value, and standard throughput is three a second: five at once, and from the eleventh on they
are what the launch waits for, since a worker must not boot before its parameters are there.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slow-runs", type=int, default=1, help="of the AWS CLI and Terraform, which take minutes")
    parser.add_argument("--parameters", type=int, default=10)
    parser.add_argument("--spotctl", type=os.path.abspath, default=str(ROOT / "target/debug/spotctl"))
    parser.add_argument("--python", type=os.path.abspath, default=str(ROOT / "target/tmp/python/bin/python"))
    parser.add_argument("--terraform", default=shutil.which("terraform"))
    parser.add_argument("--plugins", type=os.path.abspath, help="a folder with Terraform's AWS provider, a filesystem mirror")
    parser.add_argument("--only", action="append", help="this tool, such as boto3; may be repeated")
    parser.add_argument("--build", default="a dev build", help="what kind of binary it is")
    parser.add_argument("--note", help="what else the reader should know of the conditions")
    parser.add_argument("--at-once", action="store_true", help="all tools at once, each with its own sandbox")
    parser.add_argument("--write", type=pathlib.Path, help="the file that the results go to")
    options = parser.parse_args()
    if not pathlib.Path(options.spotctl).exists():
        sys.exit(f"no {options.spotctl}: cargo build")
    load = os.getloadavg()
    tools, skipped = found_tools(options)
    start = start_table(options, [tool.name for tool in tools])
    results, marks, lock = {tool.name: nothing_yet() for tool in tools}, nothing_yet(), threading.Lock()
    served = []

    def ended(*_):
        """What is measured is written already; a thread that waits for its command would not hear of an exception."""
        for sandbox in served:
            sandbox.close()
        os._exit(1)

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)

    def told(found, job, latency, row):
        with lock:
            found[job][latency].append(row)
            written()

    def written():
        unmeasured = [tool.name for tool in tools if not results.get(tool.name)]
        waiting = {name: "the run was cut short" for name in unmeasured}
        lines = [INTRODUCTION, *conditions(options, tools, results, load), *speed_tables(results, waiting | skipped)]
        lines += ["", "## The marks", *marks_table(marks), "", "## Where another one is ahead", "", WHY]
        lines += [*behind_table(results), *start]
        text = "\n".join(lines) + "\n"
        if options.write:
            results_file.write(options.write, "speed", text)
        return text

    def work(tool):
        with tempfile.TemporaryDirectory() as folder:
            sandbox = Sandbox(options.spotctl, folder)
            served.append(sandbox)
            try:
                run(tool, sandbox, options.parameters, functools.partial(told, results[tool.name]))
                if tool.name == "spotctl":
                    run(tool, sandbox, WITHIN_A_PAGE, functools.partial(told, marks))
            except (Failed, OSError) as failure:
                with lock:
                    skipped[tool.name] = "; ".join(str(failure).split("\n"))
                    results[tool.name].clear()
            finally:
                sandbox.close()

    with concurrent.futures.ThreadPoolExecutor(len(tools) if options.at_once else 1) as pool:
        list(pool.map(work, tools))
    for name, why in skipped.items():
        print(f"{name}: not run, because {why}", file=sys.stderr)
    print(written())


if __name__ == "__main__":
    main()
