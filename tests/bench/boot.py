#!/usr/bin/env python3
"""How long a box takes from the start of its user data to `docker run`: ours beside what people use today.

Both run in machines of the same image, one after the other, against the same sandbox at the same latency; all packages and
the worker's image are there already, so what is measured is the work. As root, with a Docker Engine and debootstrap:

    cargo build && python3 tests/bench/boot.py [--latency 50ms] [--runs 5]

It needs pytest, whose fixtures' machines it borrows (`pip install -r tests/python/requirements.txt`).
"""

import argparse
import json
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/python/boxes"))

import conftest  # noqa: E402

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/worker:1"
NAMES = [f"KEY_{number}" for number in range(10)]
# In front of the real one: writes down when each `docker` began and ended.
SHIM = r"""#!/bin/bash
began=$(date +%s.%N)
/usr/bin/docker "$@"
code=$?
verb=$1; [ "$1" = --config ] && verb=$3
echo "$verb $began $(date +%s.%N)" >>/var/log/docker-calls
exit $code
"""


def prepare(box):
    """The worker's image is there, and the shim."""
    box.run("docker pull -q 127.0.0.1:5000/worker:1 && docker tag 127.0.0.1:5000/worker:1 " + IMAGE)
    conftest.docker("exec", "--interactive", box.name, "sh", "-c",
                    "cat >/usr/local/bin/docker && chmod +x /usr/local/bin/docker", input=SHIM)


def calls(aws):
    return json.loads(aws.run(f"curl -s {conftest.ENDPOINT}/_sandbox/calls").stdout)


def received(box):
    lines = box.run("cat /proc/net/dev").stdout.splitlines()
    return int(next(line for line in lines if "lo:" in line).split()[1])


def measure(aws, box, command, done):
    before, bytes_before = calls(aws), received(box)
    box.run(f"date +%s.%N >/srv/began; {command}")
    conftest.until(lambda: done(box), "docker run", 120)
    after = calls(aws)
    rows = [line.split() for line in box.run("cat /var/log/docker-calls").stdout.splitlines()]
    began = float(box.run("cat /srv/began").stdout)
    run = next(float(start) for verb, start, _ in rows if verb == "run")
    pulled = sum(float(end) - float(start) for verb, start, end in rows if verb == "pull")
    made = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    made.pop("DescribeInstances", None)
    return {
        "seconds": run - began - pulled,
        "aws calls": sum(count for name, count in made.items() if name != "metadata"),
        "metadata calls": made.get("metadata", 0),
        "bytes": received(box) - bytes_before,
    }


def once(image, latency, which):
    aws = conftest.Aws(image)
    try:
        env = "".join(f"{name}=value-{name}\n" for name in NAMES)
        instance = aws.launch(f'name: w\ncontainer: {{image: "{IMAGE}", command: [/bin/sleep, "1000"]}}\n', env=env)
        box = conftest.Box(aws, instance, boot=False)
        prepare(box)
        aws.weather(f"latency {latency}")
        ran = lambda box: "run" in box.run("cat /var/log/docker-calls 2>/dev/null", check=False).stdout  # noqa: E731
        if which == "spotctl":
            return measure(aws, box, "bash /srv/user-data >/dev/null 2>&1", ran)
        script = (ROOT / "tests/bench/boot_baseline.sh").read_text()
        conftest.docker("exec", "--interactive", box.name, "sh", "-c", "cat >/srv/baseline", input=script)
        # The CLI of this Debian does not read AWS_ENDPOINT_URL.
        box.run("printf '#!/bin/sh\\nexec /usr/bin/aws --endpoint-url %s \"$@\"\\n' " + conftest.ENDPOINT +
                " >/usr/local/bin/aws && chmod +x /usr/local/bin/aws")
        # Nor a metadata service that has a path: its credentials are handed to it, which spares it those calls.
        role = "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1"
        environment = f"{role} NAMES='{' '.join(NAMES)}' IMAGE={IMAGE}"
        return measure(aws, box, f"env {environment} bash /srv/baseline 2>&1", ran)
    finally:
        aws.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", default="50ms")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--spotctl", default=str(ROOT / "target/debug/spotctl"))
    options = parser.parse_args()
    conftest.SPOTCTL = options.spotctl
    reason = conftest.why_not()
    if reason:
        sys.exit(f"cannot measure, because {reason}")
    image = conftest.made_image()
    results = {"baseline": [], "spotctl": []}
    for _ in range(options.runs):
        for which, rows in results.items():
            rows.append(once(image, options.latency, which))
    print(f"medians of {options.runs} runs each, {options.latency} a call, image pull excluded\n")
    print(f"{'':<16}{'baseline':>12}{'spotctl':>12}{'ratio':>8}")
    for figure in results["baseline"][0]:
        ours, theirs = (statistics.median(row[figure] for row in results[which]) for which in ("spotctl", "baseline"))
        shown = (f"{value:.2f}" if figure == "seconds" else f"{value:.0f}" for value in (theirs, ours))
        print("{:<16}{:>12}{:>12}".format(figure, *shown) + (f"{theirs / ours:>8.1f}" if ours else ""))


if __name__ == "__main__":
    main()
