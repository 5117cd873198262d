#!/usr/bin/env python3
"""What a cold build costs, and what each dependency has in it.

    python3 tests/bench/build.py [--target DIR] [--write tests/bench/RESULTS.md]

Builds the program into an empty target directory, once as `cargo build` does and once with `--release`, with this file as
Cargo's `RUSTC_WRAPPER`, so CPU seconds and peak memory of each compiler are the kernel's own (`wait4`); build scripts' run
times are read from `cargo build --timings`. A dependency's own share is what would not be compiled without it: the crates
of the graph that only it leads to.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time

import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOG = "SPOTCTL_BENCH_BUILD_LOG"


def wrap(arguments: list[str]) -> int:
    """Runs the compiler as Cargo asked, and writes one line on what it took."""
    started = time.monotonic()
    code = subprocess.call(arguments)
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "--crate-name" in arguments:
        line = {
            "crate": arguments[arguments.index("--crate-name") + 1],
            "version": os.environ.get("CARGO_PKG_VERSION", ""),
            "package": os.environ.get("CARGO_PKG_NAME", ""),
            "wall": time.monotonic() - started,
            "cpu": took.ru_utime + took.ru_stime,
            "mib": took.ru_maxrss / 1024,
        }
        with open(os.environ[LOG], "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
    return code


class Memory(threading.Thread):
    """The most that all compilers and linkers held at one time, read twice a second."""

    def __init__(self, group: int) -> None:
        super().__init__(daemon=True)
        self.group, self.peak = group, 0.0

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, self.now())
            time.sleep(0.5)

    def now(self) -> float:
        total = 0.0
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[2]) == self.group:
                    total += int(fields[21]) * resource.getpagesize() / 2**20
            except (OSError, IndexError):
                continue  # it ended while we looked
        return total


def script_runs(target: pathlib.Path) -> dict[str, float]:
    """Seconds that each package's build script ran (the C library of `ring` is compiled in one)."""
    html = (target / "cargo-timings" / "cargo-timing.html").read_text(encoding="utf-8")
    units = json.loads(re.search(r"const UNIT_DATA = (\[.*?\]);\n", html, re.S).group(1))
    runs: dict[str, float] = {}
    for unit in units:
        if unit.get("mode") == "run-custom-build" or "(run)" in unit.get("target", ""):
            runs[unit["name"]] = runs.get(unit["name"], 0.0) + unit["duration"]
    return runs


def graph() -> tuple[str, dict[str, set[str]], dict[str, tuple[str, str]]]:
    """The root's id, who needs whom in a build without tests, and each id's name and version."""
    host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True)).group(1)
    metadata = json.loads(
        subprocess.check_output(
            ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host], cwd=ROOT
        )
    )
    names = {package["id"]: (package["name"], package["version"]) for package in metadata["packages"]}
    needs = {
        node["id"]: {
            needed["pkg"]
            for needed in node["deps"]
            if any(kind["kind"] in (None, "build") for kind in needed["dep_kinds"])
        }
        for node in metadata["resolve"]["nodes"]
    }
    return metadata["resolve"]["root"], needs, names


def reached(root: str, needs: dict[str, set[str]], without: str | None = None) -> set[str]:
    seen, todo = set(), [root]
    while todo:
        package = todo.pop()
        if package in seen or (package == without):
            continue
        seen.add(package)
        todo.extend(needs[package])
    return seen


@dataclasses.dataclass
class Built:
    """What one cold build took."""

    wall: float
    most_memory: float
    compilers: list[dict]
    scripts: dict[str, float]
    binary: int

    def cpu(self) -> dict[tuple[str, str], float]:
        """The compilers' seconds for each package's name and version."""
        cpu: dict[tuple[str, str], float] = {}
        for line in self.compilers:
            key = (line["package"], line["version"])
            cpu[key] = cpu.get(key, 0.0) + line["cpu"]
        return cpu

    def cost(self, packages: set[tuple[str, str]]) -> float:
        cpu = self.cpu()
        return sum(cpu.get(key, 0.0) for key in packages) + sum(self.scripts.get(name, 0.0) for name, _ in packages)

    def total(self) -> float:
        return sum(self.cpu().values()) + sum(self.scripts.values())

    def heaviest(self) -> dict:
        return max(self.compilers, key=lambda line: line["mib"])


def build(target: pathlib.Path, release: bool) -> Built:
    with tempfile.TemporaryDirectory() as scratch:
        log = pathlib.Path(scratch) / "log"
        environment = os.environ | {"RUSTC_WRAPPER": str(pathlib.Path(__file__).resolve()), LOG: str(log)}
        command = ["cargo", "build", "--locked", "--timings", "--target-dir", str(target)]
        command += ["--release"] if release else []
        started = time.monotonic()
        building = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        memory = Memory(building.pid)
        memory.start()
        if building.wait() != 0:
            raise SystemExit("the build failed")
        wall = time.monotonic() - started
        compilers = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    binary = target / ("release" if release else "debug") / "spotctl"
    return Built(wall, memory.peak, compilers, script_runs(target), binary.stat().st_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=pathlib.Path, help="an empty directory (a temporary one)")
    parser.add_argument("--write", type=pathlib.Path, help="where the table goes (standard output)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        target = options.target or pathlib.Path(scratch) / "target"
        if target.exists() and any(target.iterdir()):
            parser.error(f"{target} is not empty: a warm build measures nothing")
        subprocess.run(["cargo", "fetch", "--locked", "--quiet"], cwd=ROOT, check=True)
        table = report(build(target, release=False), build(target, release=True))
    if options.write:
        results.write(options.write, "build", table)
    else:
        print(table, end="")


def report(debug: Built, release: Built) -> str:
    root, needs, names = graph()
    everything = reached(root, needs)

    def named(packages: set[str]) -> set[tuple[str, str]]:
        return {names[package] for package in packages}

    rows = []
    for package in needs[root]:
        alone = everything - reached(root, needs, without=package)
        own = debug.cost(named({package}))
        rows.append((debug.cost(named(alone)), release.cost(named(alone)), names[package][0], own, len(alone)))
    rows.sort(reverse=True)
    rustc = subprocess.check_output(["rustc", "--version"], text=True).split()[1]

    def memory(built: Built) -> str:
        return f"{built.heaviest()['mib']:,.0f} MiB (`{built.heaviest()['crate']}`)"

    out = [
        "# A cold build, and what each dependency has in it",
        "",
        results.conditions(f"rustc {rustc}; crates downloaded before"),
        "",
        "CPU is the compilers' and the build scripts'. What goes with a dependency is what would not be compiled without",
        "it: the packages that only it leads to. Cut so far: the SDK's default TLS, which compiles a C library (41 s), and the",
        "log filter's regular expressions (`env-filter`, more than half of what `tracing-subscriber` led to).",
        "",
        "| cold | `cargo build` | `cargo build --release` |",
        "|---|---|---|",
        f"| wall | {debug.wall:.0f} s | {release.wall:.0f} s |",
        f"| CPU, compilers and build scripts | {debug.total():.0f} s | {release.total():.0f} s |",
        f"| of it spotctl itself | {debug.cost(named({root})):.0f} s | {release.cost(named({root})):.0f} s |",
        f"| packages | {len(everything)} | {len(everything)} |",
        f"| most memory at one time | {debug.most_memory:,.0f} MiB | {release.most_memory:,.0f} MiB |",
        f"| most memory of one compiler | {memory(debug)} | {memory(release)} |",
        f"| binary | {debug.binary / 1e6:.1f} MB | {release.binary / 1e6:.1f} MB |",
        "",
        "| dependency | CPU, itself | CPU that goes with it | the same with `--release` | packages that go with it |",
        "|---|---|---|---|---|",
    ]
    out += [
        f"| `{name}` | {own:.1f} s | {alone:.1f} s | {optimized:.1f} s | {count} |"
        for alone, optimized, name, own, count in rows
        if alone >= 0.5
    ]
    rest = [row for row in rows if row[0] < 0.5]
    out.append(
        f"| {len(rest)} more | | {sum(row[0] for row in rest):.1f} s | {sum(row[1] for row in rest):.1f} s "
        f"| {sum(row[4] for row in rest)} |"
    )
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if LOG in os.environ:
        sys.exit(wrap(sys.argv[1:]))
    main()
