"""What a box knows of AWS: the metadata service, and services that it calls with its own role.

Python's own library only: plain images hold no AWS SDK, and one start of the AWS CLI takes longer than all calls of a
boot. Every call here is one POST to `/`, so AWS's Signature Version 4 is its simplest case.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
# The metadata service is the host's own: never through a proxy.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

TRANSIENT = {
    "ConcurrentTagAccess",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TooManyUpdates",
}
# A role that was made a minute ago may not be what it will be: IAM takes its time.
PERMISSION = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnrecognizedClientException"}
IAM_SETTLES = 30


class Failed(Exception):
    """A call that will not succeed; `str` is AWS's code, or what the network said."""


class _Once(Exception):
    """One attempt that did not succeed."""

    def __init__(self, code, retry):
        super().__init__(code)
        self.retry = retry


# The metadata service

_token = {"value": "", "until": 0.0}


def _session():
    if time.monotonic() > _token["until"]:
        request = urllib.request.Request(
            METADATA + "/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        )
        with DIRECT.open(request, timeout=2) as answer:
            _token["value"] = answer.read().decode()
        _token["until"] = time.monotonic() + 21000
    return _token["value"]


def metadata(path):
    """One answer, `None` where there is none (404). Raises `OSError` where the service does not answer."""
    try:
        return _metadata(path)
    except http.client.HTTPException as error:  # an answer that was cut short
        raise OSError(str(error)) from None


def _metadata(path):
    for last in (False, True):
        request = urllib.request.Request(METADATA + "/latest/" + path, headers={"X-aws-ec2-metadata-token": _session()})
        try:
            with DIRECT.open(request, timeout=2) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if error.code != 401 or last:
                raise
            _token["until"] = 0.0  # the token has expired
    return None


def tag(key):
    """A tag of this instance."""
    return metadata("meta-data/tags/instance/" + key)


# Services

_credentials = {}
_credentials_lock = threading.Lock()


def _role(renew=False):
    with _credentials_lock:
        if renew or _credentials.get("until", 0.0) < time.time():
            place = "meta-data/iam/security-credentials/"
            name = metadata(place)
            answer = json.loads(metadata(place + name.split()[0]) or "{}") if name else {}
            if "AccessKeyId" not in answer:
                raise _Once("no-role-credentials", retry=True)
            expiry = datetime.datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ")
            answer["until"] = expiry.replace(tzinfo=datetime.timezone.utc).timestamp() - 300
            _credentials.clear()
            _credentials.update(answer)
        return dict(_credentials)


def signed(url, body, headers, region, service, role, now):
    """The headers of a POST, signed as AWS wants it."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        **headers,
        "host": urllib.parse.urlsplit(url).netloc,
        "x-amz-date": stamp,
        "x-amz-security-token": role["Token"],
    }
    names = sorted(headers)
    canonical = "\n".join(
        ["POST", "/", "", *(f"{name}:{headers[name].strip()}" for name in names), "", ";".join(names)]
        + [hashlib.sha256(body).hexdigest()]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + role["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = "AWS4-HMAC-SHA256 Credential=" + role["AccessKeyId"] + "/" + scope
    headers["authorization"] = f"{who}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return headers


def endpoint(host, region):
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return os.environ.get("AWS_ENDPOINT_URL", f"https://{host}.{region}.{suffix}").rstrip("/") + "/"


def _send(request):
    """Status and body of an answer, whatever the status."""
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _attempt(service, host, region, headers, body, renew):
    url = endpoint(host, region)
    try:
        now = datetime.datetime.now(datetime.timezone.utc)
        headers = signed(url, body, headers, region, service, _role(renew), now)
        status, answer = _send(urllib.request.Request(url, data=body, headers=headers))
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        raise _Once(f"no answer from {service}: {getattr(error, 'reason', error)}", retry=True) from None
    if status == 200:
        return answer
    found = re.search(rb'"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"|<Code>([^<]+)</Code>', answer)
    code = (found[1] or found[2]).decode("utf-8", "replace") if found else f"HTTP-{status}"
    raise _Once(code, status >= 500 or status == 429 or code in TRANSIENT)


def _call(service, host, region, headers, body, patience):
    began = time.monotonic()
    pause, renew = 0.2, False
    while True:
        try:
            return _attempt(service, host, region, headers, body, renew)
        except _Once as error:
            renew = "Expired" in str(error)
            waited = time.monotonic() - began
            settling = str(error) in PERMISSION and waited < IAM_SETTLES
            if waited + pause > patience or not (error.retry or settling):
                raise Failed(str(error)) from None
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(pause * 2, 5)


def ask(service, region, target, question, host=None, version="1.1", patience=600):
    """A call in AWS's JSON protocol; answers the document."""
    headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": target}
    body = json.dumps(question).encode()
    return json.loads(_call(service, host or service, region, headers, body, patience))


def set_tags(region, resource, tags, patience):
    """`CreateTags`, in EC2's query protocol."""
    form = {"Action": "CreateTags", "Version": "2016-11-15", "ResourceId.1": resource}
    for number, (key, value) in enumerate(tags.items(), 1):
        form[f"Tag.{number}.Key"] = key
        form[f"Tag.{number}.Value"] = value
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    _call("ec2", "ec2", region, headers, urllib.parse.urlencode(form).encode(), patience)
