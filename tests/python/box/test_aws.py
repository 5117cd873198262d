"""The box's calls, held against what botocore sends and against a server that fails."""

import datetime
import http.server
import json
import threading
import urllib.parse

import aws
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

ROLE = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret/+=", "Token": "token//=="}


@pytest.mark.parametrize("service", ["ssm", "ec2", "ecr", "sqs"])
@pytest.mark.parametrize("body", [b"", b'{"Path": "/a b"}', "Tag.1.Value=ż & =".encode()])
def test_a_signature_is_the_one_that_botocore_makes(service, body, monkeypatch):
    now = datetime.datetime(2026, 11, 24, 1, 2, 3, tzinfo=datetime.timezone.utc)
    url = f"https://{service}.eu-west-1.amazonaws.com/"
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "A.B"}
    ours = aws.signed(url, body, headers, "eu-west-1", service, ROLE, now)

    stamp = ours["x-amz-date"]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now.replace(tzinfo=None), raising=False)
    request = botocore.awsrequest.AWSRequest("POST", url, data=body, headers=headers)
    request.context["timestamp"] = stamp
    key = botocore.credentials.Credentials(ROLE["AccessKeyId"], ROLE["SecretAccessKey"], ROLE["Token"])
    signer = botocore.auth.SigV4Auth(key, service, "eu-west-1")
    request.headers["X-Amz-Date"] = stamp
    request.headers["X-Amz-Security-Token"] = ROLE["Token"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    theirs = signer.signature(text, request)
    assert ours["authorization"].endswith("Signature=" + theirs)


class Server:
    """An AWS that answers from a list, and a metadata service with a role."""

    def __init__(self, monkeypatch):
        self.answers, self.asked = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def say(self, status, text):
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self):
                self.say(200, "imds-token")

            def do_GET(self):
                if self.headers["X-aws-ec2-metadata-token"] != "imds-token":
                    return self.say(401, "")
                place = "/latest/meta-data/iam/security-credentials/"
                if self.path == place:
                    return self.say(200, "role")
                if self.path == place + "role":
                    return self.say(200, json.dumps({**ROLE, "Expiration": "2099-01-01T00:00:00Z"}))
                return self.say(404, "")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.asked.append((self.headers.get("x-amz-target"), body))
                self.say(*outer.answers.pop(0))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_port}"
        monkeypatch.setattr(aws, "METADATA", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setattr(aws.time, "sleep", lambda _: None)
        aws._credentials.clear()
        aws._token["until"] = 0.0


@pytest.fixture
def server(monkeypatch):
    served = Server(monkeypatch)
    yield served
    served.server.shutdown()


def error(code):
    return json.dumps({"__type": f"com.amazonaws#{code}", "message": "m"})


def test_a_call_goes_on_through_bad_weather(server):
    server.answers = [(503, "busy"), (400, error("ThrottlingException")), (500, ""), (200, '{"ok": 1}')]
    assert aws.ask("ssm", "us-east-1", "AmazonSSM.X", {"A": 1}) == {"ok": 1}
    assert server.asked == [("AmazonSSM.X", '{"A": 1}')] * 4


def test_a_refusal_is_final_and_says_its_code(server):
    server.answers = [(400, error("ParameterNotFound"))]
    with pytest.raises(aws.Failed, match="^ParameterNotFound$"):
        aws.ask("ssm", "us-east-1", "AmazonSSM.X", {})


def test_a_permission_gets_the_time_that_iam_takes(server):
    server.answers = [(400, error("AccessDeniedException")), (200, "{}")]
    assert aws.ask("ssm", "us-east-1", "AmazonSSM.X", {}) == {}


def test_patience_ends(server):
    server.answers = [(503, "")] * 100
    with pytest.raises(aws.Failed, match="^HTTP-503$"):
        aws.ask("ssm", "us-east-1", "AmazonSSM.X", {}, patience=0)


def test_tags_are_sent_as_ec2_wants_them(server):
    server.answers = [(200, "<r/>")]
    aws.set_tags("us-east-1", "i-1", {"spotctl:phase": "failed:x: a & b", "k": "v"}, patience=1)
    form = dict(urllib.parse.parse_qsl(server.asked[0][1]))
    assert form == {
        "Action": "CreateTags",
        "Version": "2016-11-15",
        "ResourceId.1": "i-1",
        "Tag.1.Key": "spotctl:phase",
        "Tag.1.Value": "failed:x: a & b",
        "Tag.2.Key": "k",
        "Tag.2.Value": "v",
    }


def test_an_ec2_refusal_is_read_out_of_its_xml(server):
    server.answers = [(400, "<Response><Errors><Error><Code>InvalidID</Code></Error></Errors></Response>")]
    with pytest.raises(aws.Failed, match="^InvalidID$"):
        aws.set_tags("us-east-1", "i-1", {}, patience=1)


def test_a_missing_path_of_the_metadata_service_is_none_and_an_old_token_is_renewed(server):
    assert aws.metadata("meta-data/spot/instance-action") is None
    aws._token.update(value="old", until=float("inf"))
    assert aws.metadata("meta-data/iam/security-credentials/") == "role"
