"""From the file and the parameters to `docker run`."""

import pytest
import worker

SECRETS = {
    "S_QUOTES": "it's \"quoted\" 'twice'",
    "S_DOLLAR": "$HOME ${HOME} $(touch pwned) $$ `touch pwned`",
    "S_LINES": "\n\nfirst\nsecond\r\n\ttab\n\n",
    "S_BACKSLASH": "a\\nb\\\\c\\",
    "S_UNICODE": "żółć 漢字 🦀 \u2028 \x7f\x01",
    "S_SPACES": "   padded   ",
    "S_OPTION": "--privileged",
    "S_TEMPLATE": "{{ 7 * 7 }} ${S_QUOTES} {% raw %}",
    "S_LONG": "x'\"$`\\ü" * 500,
    "PATH": "/opt/conda/bin",
}


def arguments_of(one):
    arguments, environment = one.command()
    return [argument.decode() for argument in arguments], environment


def test_every_value_is_handed_on_byte_for_byte_and_stands_in_no_argument(facts):
    facts["env"] = {"COMPOSED": "<${S_LINES}|${AWS_ACCOUNT_ID}>", "LOG_LEVEL": "info $(id)\n"}
    arguments, environment = arguments_of(worker.Worker(facts, SECRETS))
    for key, value in SECRETS.items():
        assert environment[key.encode()] == value.encode()
        assert f"--env={key}" in arguments
        assert not any(value in argument for argument in arguments)
    assert environment[b"COMPOSED"].decode() == f"<{SECRETS['S_LINES']}|123456789012>"
    assert environment[b"AWS_DEFAULT_REGION"] == b"ap-northeast-2"


def test_the_command_is_what_the_file_says(facts):
    facts.update(
        image="${ACCOUNT}.dkr.ecr.${AWS_REGION}.amazonaws.com/team/worker:v1",
        args=["--label=it's $(id)"],
        command=["serve", "--in=${AWS_REGION}", "two words\n"],
    )
    arguments, _ = arguments_of(worker.Worker(facts, {"ACCOUNT": "999999999999"}))
    assert arguments[1:6] == ["run", "--detach", "--pull=never", "--name=spotctl-worker-gpu", "--gpus=all"]
    image = "999999999999.dkr.ecr.ap-northeast-2.amazonaws.com/team/worker:v1"
    end = arguments.index("--")
    assert arguments[end - 1 :] == ["--label=it's $(id)", "--", image, "serve", "--in=ap-northeast-2", "two words\n"]


def test_the_file_goes_before_a_parameter_and_only_selected_ones_are_handed_on(facts):
    facts.update(parameters=["AWS_REGION", "LOG_LEVEL"], env={"LOG_LEVEL": "info"}, gpus=None)
    found = {"AWS_REGION": "elsewhere-1", "LOG_LEVEL": "debug", "UNUSED": "u"}
    arguments, environment = arguments_of(worker.Worker(facts, found))
    assert environment[b"LOG_LEVEL"] == b"info"
    assert environment[b"AWS_REGION"] == b"elsewhere-1"
    assert b"UNUSED" not in environment
    assert not any(argument.startswith("--gpus") for argument in arguments)


def test_the_registrys_pair_stays_on_the_box_unless_the_file_lists_it(facts):
    found = {"REGISTRY_USERNAME": "u", "REGISTRY_PASSWORD": "p", "A": "1"}
    _, environment = arguments_of(worker.Worker(facts, found))
    assert b"REGISTRY_PASSWORD" not in environment and environment[b"A"] == b"1"
    facts["parameters"] = ["REGISTRY_PASSWORD"]
    _, environment = arguments_of(worker.Worker(facts, found))
    assert environment[b"REGISTRY_PASSWORD"] == b"p"


@pytest.mark.parametrize("change", [{"image": "a:${NO}"}, {"command": ["${NO}"]}, {"parameters": ["NO"]}])
def test_a_missing_parameter_is_named(facts, change):
    facts.update(change)
    one = worker.Worker(facts, {})
    with pytest.raises(worker.Missing, match="^NO$"):
        assert one.image and one.command()


def test_what_would_steer_the_boxs_own_docker_is_refused(facts):
    with pytest.raises(worker.Missing, match="DOCKER_HOST cannot be handed on"):
        worker.Worker(facts, {"DOCKER_HOST": "tcp://elsewhere"}).command()


def test_secrets_are_taken_out_of_what_the_container_printed(facts):
    facts["plain"] = ["NAME"]
    one = worker.Worker(facts, {"TOKEN": "s3cr3t", "KEY": "line one\nline two", "NAME": "worker", "N": "1"})
    printed = "worker: s3cr3t at 1\nline two, line one\nline"
    assert one.redact(printed) == "worker: *** at 1\n***, ***\nline"


@pytest.mark.parametrize(
    ("image", "host", "region"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", None, "us-east-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a:1", None, "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a:1", None, "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws/a@sha256:0", None, "eu-west-1"),
        ("public.ecr.aws/a/b:1", "public.ecr.aws", None),
        ("ghcr.io/123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", "ghcr.io", None),
        ("12345.dkr.ecr.us-east-1.amazonaws.com/a:1", None, None),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example/a:1", None, None),
        ("busybox", "docker.io", None),
        ("library/busybox:1", "docker.io", None),
        ("localhost/a", "localhost", None),
        ("registry:5000/a", "registry:5000", None),
    ],
)
def test_the_registry_is_read_as_docker_reads_it_and_ecr_recognized_anywhere(image, host, region):
    assert worker.registry(image) == (host or image.split("/")[0])
    assert worker.ecr_region(image) == region
