"""The file of results, of which each script writes its own section and leaves the others; and the conditions of a run."""

import datetime
import os
import pathlib
import platform


def conditions(what, load=None):
    """When and where something was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    now = datetime.datetime.now(datetime.timezone.utc)
    busy = "" if load is None else f"; load average {load[0]:.1f} before and {os.getloadavg()[0]:.1f} after"
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"
    return f"{now:%d %B %Y}, {machine}, Python {platform.python_version()}; {what}{busy}."


def write(path: pathlib.Path, name: str, text: str) -> None:
    """Puts the section of this name in the place of its older one; at the end where there is none."""
    begin, end = f"<!-- {name}: written by tests/bench/{name}.py; do not edit -->\n", f"<!-- end of {name} -->\n"
    section = f"{begin}\n{text.strip()}\n\n{end}"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin in old:
        before, rest = old.split(begin, 1)
        path.write_text(before + section + rest.split(end, 1)[1], encoding="utf-8")
    else:
        path.write_text(old + ("\n" if old else "") + section, encoding="utf-8")
