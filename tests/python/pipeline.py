"""Runs the shell of an example pipeline: FILE FOLDER BIN [cancelled].

It stands in for the runner only as far as order goes: steps until one fails, then those that run always. `cancelled`
fails the step that works, as a cancellation does, by ending it from outside.
"""
import os
import subprocess
import sys

import yaml

file, folder, binaries, cancelled = sys.argv[1:5]
pipeline = yaml.safe_load(open(file))
environment = dict(os.environ, PATH=binaries + ":" + os.environ["PATH"], CI_PROJECT_DIR=folder)
environment["CARGO_INSTALL_ROOT"] = os.path.join(folder, "bin")
environment["AWS_ID_TOKEN"] = "token"


def shell(text):
    if cancelled and "$WORK" in text:
        text = text.replace('bash -euo pipefail -c "$WORK"', "kill -TERM $$")
    return subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment).returncode


def github(job):
    status = 0
    for step in job["steps"]:
        if "run" not in step:
            continue
        if status == 0 or step.get("if") == "always()":
            status = shell(step["run"]) or status
    return status


def gitlab(job):
    environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = os.path.join(folder, "token")
    # One shell for both, as a runner has it.
    status = shell("\n".join(job["before_script"] + job["script"]))
    shell("\n".join(job["after_script"]))
    return status


if "jobs" in pipeline:
    status = github(pipeline["jobs"]["gpu"])
else:
    status = gitlab(pipeline["gpu"])
sys.exit(1 if status else 0)
