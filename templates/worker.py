"""Turns the parameters and the `container` section of the file into one `docker` command.

    worker.py image PARAMETERS    prints the image reference
    worker.py run PARAMETERS      becomes `docker run`, which prints the id of the container

Values go from JSON into the environment of `docker`, which is told their names only. No shell reads them, so every
byte arrives (quotes, dollars, newlines at the end); no argument holds them, so no process list shows them.
"""

import json
import os
import re
import shutil
import sys

box = json.loads(os.environb[b"SPOTCTL_BOX"])


def fail(reason):
    sys.exit(f"spotctl: {reason}")


with open(sys.argv[2], encoding="utf-8") as answer:
    found = json.load(answer)["Parameters"]
parameters = {parameter["Name"].rsplit("/", 1)[1]: parameter["Value"] for parameter in found}
known = {"AWS_REGION": box["region"], "AWS_ACCOUNT_ID": box["account"], **parameters}


def value_of(key):
    if key not in known:
        path = box["path"]
        fail(f"there is no parameter `{key}` under `{path}`")
    return known[key]


def fill(text):
    return re.sub("[$][{]([A-Za-z_][A-Za-z0-9_]*)[}]", lambda match: value_of(match[1]), text)


def environment():
    # What the file says goes before a parameter of the same name, and both go before the region that the libraries of
    # AWS look for.
    selected = parameters if box["parameters"] is None else {key: value_of(key) for key in box["parameters"]}
    filled = {key: fill(text) for key, text in box["env"].items()}
    return {"AWS_REGION": box["region"], "AWS_DEFAULT_REGION": box["region"], **selected, **filled}


def run():
    variables = environment()
    for key in variables:
        if key.startswith("DOCKER_"):
            fail(f"`{key}` cannot be handed on: the `docker` command on the box would obey it itself")
    # Looked up now: with the environment of the worker comes a PATH of another file system.
    docker = shutil.which("docker") or fail("there is no `docker` on this image")
    arguments = [docker, "run", "--detach", "--pull=never", "--name=" + box["container"]]
    if box["gpus"] is not None:
        arguments.append("--gpus=" + box["gpus"])
    arguments.append("--stop-timeout=" + str(box["stop_timeout"]))
    arguments += [f"--env={key}" for key in variables]
    arguments += [fill(text) for text in box["args"]]
    # `--`: whatever the image reference looks like, it is no option.
    arguments += ["--", fill(box["image"])]
    arguments += [fill(text) for text in box["command"]]
    handed_on = {key.encode(): value.encode() for key, value in variables.items()}
    os.execve(docker, [argument.encode() for argument in arguments], {**os.environb, **handed_on})


if sys.argv[1] == "image":
    print(fill(box["image"]))
else:
    run()
