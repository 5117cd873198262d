"""The programs of the box, imported from where they are kept."""

import pathlib
import sys

import pytest

BOX = pathlib.Path(__file__).parents[3] / "templates" / "box"
sys.path.insert(0, str(BOX))


@pytest.fixture
def facts():
    """What the file says, as `box.json` holds it."""
    return {
        "region": "ap-northeast-2",
        "account": "123456789012",
        "path": "/oncetime/worker-gpu",
        "container": "spotctl-worker-gpu",
        "image": "busybox:1",
        "gpus": "all",
        "env": {},
        "parameters": None,
        "plain": [],
        "args": [],
        "command": [],
        "stop_timeout": 90,
        "queues": [],
        "lifetime": "8h",
        "idle": "15m",
        "boot": "20m",
    }
