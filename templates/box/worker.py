"""The worker's container: the `container` section of the file and the parameters, made into one `docker run`.

Values go from JSON into the environment of `docker`, which is told their names only. No shell reads them, so every byte
arrives (quotes, dollars, newlines at the end); no argument holds them, so no process list shows them.
"""

import os
import re
import shutil

# A private registry that is not ECR: the box logs in with these, and the container does not get them unless the file
# lists them.
REGISTRY_PAIR = ("REGISTRY_USERNAME", "REGISTRY_PASSWORD")
ECR = re.compile(
    r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
)


class Missing(Exception):
    """A `${X}` without its parameter; `str` is the key."""


class Worker:
    def __init__(self, box, parameters):
        self.box = box
        self.parameters = parameters
        self.known = {"AWS_REGION": box["region"], "AWS_ACCOUNT_ID": box["account"], **parameters}

    def value_of(self, key):
        if key not in self.known:
            raise Missing(key)
        return self.known[key]

    def fill(self, text):
        return re.sub("[$][{]([A-Za-z_][A-Za-z0-9_]*)[}]", lambda match: self.value_of(match[1]), text)

    @property
    def image(self):
        return self.fill(self.box["image"])

    @property
    def queues(self):
        return [self.fill(queue) for queue in self.box["queues"]]

    def environment(self):
        # What the file says goes before a parameter of the same name, and both go before the region that the libraries
        # of AWS look for.
        listed = self.box["parameters"]
        if listed is None:
            selected = {key: value for key, value in self.parameters.items() if key not in REGISTRY_PAIR}
        else:
            selected = {key: self.value_of(key) for key in listed}
        filled = {key: self.fill(text) for key, text in self.box["env"].items()}
        region = self.box["region"]
        return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, **selected, **filled}

    def command(self):
        """The `docker run` and the environment that it is to be run in."""
        variables = self.environment()
        for key in variables:
            if key.startswith("DOCKER_"):
                # The `docker` command on the box would obey it itself.
                raise Missing(f"{key} cannot be handed on")
        # Looked up now: with the environment of the worker comes a PATH of another file system.
        docker = shutil.which("docker") or "docker"
        arguments = [docker, "run", "--detach", "--pull=never", "--name=" + self.box["container"]]
        if self.box["gpus"] is not None:
            arguments.append("--gpus=" + self.box["gpus"])
        arguments.append("--stop-timeout=" + str(self.box["stop_timeout"]))
        arguments += [f"--env={key}" for key in variables]
        arguments += [self.fill(text) for text in self.box["args"]]
        # `--`: whatever the image reference looks like, it is no option.
        arguments += ["--", self.image]
        arguments += [self.fill(text) for text in self.box["command"]]
        handed_on = {key.encode(): value.encode() for key, value in variables.items()}
        return [argument.encode() for argument in arguments], {**os.environb, **handed_on}

    def redact(self, text):
        """A text of the container's for the console: without the values of secrets, should it have printed one."""
        secrets = [value for key, value in self.parameters.items() if key not in self.box["plain"] and len(value) > 3]
        for value in sorted(secrets, key=len, reverse=True):
            for part in [value, *value.splitlines()]:
                if len(part) > 3:
                    text = text.replace(part, "***")
        return text


def registry(image):
    """The host of the registry, as Docker reads a reference."""
    first = image.split("/", 1)[0]
    is_host = "/" in image and ("." in first or ":" in first or first == "localhost")
    return first if is_host else "docker.io"


def ecr_region(image):
    """Where to ask for the token; `None`: the registry is not ECR."""
    found = ECR.fullmatch(registry(image))
    return found and found[1]
