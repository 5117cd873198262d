#!/usr/bin/env python3
"""How spotctl grows with the account: time, calls of AWS and memory at 1 %, 10 % and 100 % of a large one.

    cargo build --release && python3 tests/bench/scale.py --spotctl target/release/spotctl [--write tests/bench/RESULTS.md]

Each row has a served sandbox of its own without latency, so a wall time is what spotctl and the sandbox compute. What a
row needs of AWS is its pages: 1,000 instances or volumes each, 10 parameters with values or 50 without, 100 instances
told to end in one call, one parameter written in one call and 10 deleted. "Pages" counts those calls; the rest of the
calls must not grow. Nine of the 17 regions are made up: copies of the eight that the sandbox knows. Nothing but Python's own
library is needed.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import results
import speed

STACK = "bench"
REGION = "us-east-1"
SHARES = [0.01, 0.1, 1]
# RunInstances takes no more in one call.
LAUNCHED_AT_ONCE = 1000
Row = collections.namedtuple("Row", "count pages took calls")


class Account:
    """A served sandbox, a client's folder, and a door for what spotctl itself would be too slow to make."""

    def __init__(self, binary, folder, parameters=0):
        (folder / "aws").mkdir()
        (folder / "client").mkdir()
        self.sandbox = speed.Sandbox(binary, folder / "aws")
        self.sandbox.fresh(0)
        self.tool = speed.Spotctl(binary, 1)
        self.tool.prepare(folder / "client", self.sandbox, parameters)
        self.binary, self.launches = binary, 0

    def ask(self, service, operation, parameters, region=REGION):
        """One call. The sandbox looks at the scope of a signature only."""
        scope = f"AWS4-HMAC-SHA256 Credential=test/20261124/{region}/{service}/aws4_request, Signature=0"
        headers = {"Authorization": scope, "Content-Type": "application/x-www-form-urlencoded"}
        if service == "ec2":
            body = urllib.parse.urlencode({"Action": operation, "Version": "2016-11-15", **parameters})
        else:
            headers |= {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AmazonSSM.{operation}"}
            body = json.dumps(parameters)
        request = urllib.request.Request(self.sandbox.endpoint, body.encode(), headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refusal:
            raise speed.Failed(f"{operation} in {region}: {refusal.read().decode()}") from refusal

    def image(self, region):
        path = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
        return json.loads(self.ask("ssm", "GetParameter", {"Name": path}, region))["Parameter"]["Value"]

    def launch(self, count, stack, region=REGION, lifetime="8h"):
        """Spot instances that carry the stack's tag, over two zones, since a subnet has 4,091 addresses."""
        self.sandbox.ask("set", f"quota G=1000000 {region}")
        image = self.image(region)
        while count > 0:
            some = min(count, LAUNCHED_AT_ONCE)
            zone = region + "ac"[self.launches % 2]
            tags = {"spotctl:stack": stack, "spotctl:lifetime": lifetime, "spotctl:idle": "15m", "Name": stack}
            parameters = {"ImageId": image, "InstanceType": "g4dn.xlarge", "MinCount": some, "MaxCount": some,
                          "Placement.AvailabilityZone": zone,
                          "InstanceMarketOptions.MarketType": "spot"}
            for number, kind in enumerate(("instance", "volume", "spot-instances-request"), 1):
                parameters[f"TagSpecification.{number}.ResourceType"] = kind
                for place, (key, value) in enumerate(tags.items(), 1):
                    parameters |= {f"TagSpecification.{number}.Tag.{place}.Key": key,
                                   f"TagSpecification.{number}.Tag.{place}.Value": value}
            self.ask("ec2", "RunInstances", parameters, region)
            self.launches += 1
            count -= some

    def run(self, words):
        """Runs spotctl once, and counts its calls by operation."""
        self.tool.jobs["job"] = [self.binary, *words.split()]
        before = collections.Counter(json.loads(self.sandbox.ask("calls")))
        took = speed.measured(self.tool, "job", self.sandbox)
        calls = collections.Counter(json.loads(self.sandbox.ask("calls"))) - before
        return took, calls


def pages(count, size):
    """At least one call, also where there is nothing."""
    return max(1, math.ceil(count / size))


def filled_pages(count):
    """Of parameters with values: a full page does not know that it is the last."""
    return count // 10 + 1


def looked_at(count, regions=1):
    """Instances and their volumes."""
    return 2 * regions * pages(count / regions, 1000)


def with_others(account, ours, others):
    account.launch(ours, STACK)
    for number in range(0, others, 200):
        account.launch(min(200, others - number), f"other-{number // 200}")


def status(account, count):
    with_others(account, count // 25, count - count // 25)
    return account.run("status"), looked_at(count // 25)


def status_of_all(account, count):
    account.launch(count, STACK)
    return account.run("status"), looked_at(count)


def every_region(account, count, lifetime="8h"):
    """The account's instances, spread evenly."""
    account.sandbox.ask("set", "regions 17")
    regions = re.findall("<regionName>(.*?)</regionName>", account.ask("ec2", "DescribeRegions", {}))
    for number, region in enumerate(regions):
        account.launch(count // 17 + (number < count % 17), f"stack-{number % 5}", region, lifetime)
    return regions


def stacks(account, count):
    regions = every_region(account, count)
    return account.run("status --stacks --regions all"), looked_at(count, len(regions))


def reap(account, count):
    regions = every_region(account, count, "1s")
    # Expiry goes by the client's clock.
    time.sleep(2)
    ended = sum(pages(count // 17 + (number < count % 17), 100) for number in range(17))
    return account.run("reap --all --regions all --grace 1s"), len(regions) * pages(count / len(regions), 1000) + 2 * ended


def down(account, count):
    account.launch(count, STACK)
    return account.run("down --no-wait"), looked_at(count) + 2 * pages(count, 100)


def prices(account, count):
    account.sandbox.ask("set", f"regions {count}")
    return account.run("prices --regions all"), 0


def with_parameters(account, count):
    for number in range(count):
        name = f"/spotctl/{STACK}/KEY_{number}"
        tags = [{"Key": "spotctl:stack", "Value": STACK}]
        account.ask("ssm", "PutParameter",
                    {"Name": name, "Value": f"value-{number}", "Type": "SecureString", "Tags": tags})


def params_list(account, count):
    with_parameters(account, count)
    return account.run("params list"), filled_pages(count) + pages(count, 50)


def params_diff(account, count):
    with_parameters(account, count)
    return account.run("params diff"), filled_pages(count) + pages(count, 50)


def params_push(account, count):
    return account.run("params push"), count


def apply(account, count):
    # It looks in the end whether all stands.
    return account.run("apply"), count + filled_pages(count) + pages(count, 50)


def plan(account, count):
    account.run("apply")
    return account.run("plan"), filled_pages(count) + pages(count, 50)


def destroy(account, count):
    account.run("apply")
    # Their names are read beside the workers, for the error of a run that ends there, and once nobody adds to them.
    return account.run("destroy --yes"), 2 * pages(count, 50) + pages(count, 10)


# What is done, of how many at most, and whether they stand in the `.env`.
JOBS = {
    "`status`: instances in the account, every 25th of the stack": (status, 5000, False),
    "`status`: workers, all of the stack": (status_of_all, 5000, False),
    "`status --stacks --regions all`: instances in 17 regions": (stacks, 5000, False),
    "`reap --all --regions all`: instances in 17 regions, all past their expiry": (reap, 5000, False),
    "`down --no-wait`: workers": (down, 1000, False),
    "`prices --regions all`: regions": (prices, 17, False),
    "`params list`: parameters": (params_list, 1000, False),
    "`params diff`: parameters, all as in the `.env`": (params_diff, 1000, True),
    "`params push`: keys in the `.env`, all new": (params_push, 200, True),
    "`apply`, cold: keys in the `.env`": (apply, 200, True),
    "`plan`, warm: keys in the `.env`": (plan, 200, True),
    "`destroy`: parameters": (destroy, 1000, True),
}


def sizes(job, most):
    # There are eight regions of which data are known; nine are copies.
    return [8, 17] if job is prices else [max(1, round(most * share)) for share in SHARES]


def measured(binary, job, count, has_file):
    with tempfile.TemporaryDirectory() as folder:
        account = Account(binary, pathlib.Path(folder), count if has_file else 0)
        try:
            (took, calls), needed = job(account, count)
            return Row(count, needed, took, calls)
        finally:
            account.sandbox.close()


def table(rows):
    lines = ["| | wall | CPU of spotctl | calls | of these pages | peak memory |", "|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row.count:,} | {row.took.wall:.2f} s | {row.took.cpu:.2f} s | {row.took.calls} | "
                     f"{row.pages or ''} | {row.took.peak:.0f} MB |")
    busiest = ", ".join(f"{operation} {number}" for operation, number in rows[-1].calls.most_common(5))
    return [*lines, "", f"The most of the last: {busiest}."]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spotctl", type=os.path.abspath, default=str(speed.ROOT / "target/debug/spotctl"))
    parser.add_argument("--build", default="a dev build", help="what kind of binary it is")
    parser.add_argument("--only", help="the jobs whose title contains this")
    parser.add_argument("--write", type=pathlib.Path, help="the file that the tables go to")
    options = parser.parse_args()
    if not pathlib.Path(options.spotctl).exists():
        sys.exit(f"no {options.spotctl}: cargo build")
    options.spotctl = str(pathlib.Path(options.spotctl).resolve())
    load, tables = os.getloadavg(), []
    for title, (job, most, has_file) in JOBS.items():
        if options.only and options.only not in title:
            continue
        rows = []
        for count in sizes(job, most):
            began = time.monotonic()
            rows.append(measured(options.spotctl, job, count, has_file))
            print(f"{title}: {count}, {time.monotonic() - began:.1f} s with the seeding", file=sys.stderr)
        tables += ["", f"**{title}**", "", *table(rows)]
    what = f"{options.build} of spotctl, which is the sandbox too; one run"
    text = ["# How spotctl grows", "", *__doc__.split("\n\n")[2].splitlines(), "", results.conditions(what, load), *tables]
    text = "\n".join(text) + "\n"
    if options.write:
        results.write(options.write, "scale", text)
    print(text)


if __name__ == "__main__":
    main()
