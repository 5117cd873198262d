"""A door between Terraform's AWS provider and the sandbox, which refuses whatever it does not model.

It leaves out what the provider sends at its default (`DEFAULTS`, and empty fields of `PutParameter`), asks for one
attribute of an instance in the place of another whose answer is the same, and changes nothing else: each call stays one
call. It costs about a millisecond a call.
"""

import http.client
import http.server
import json
import threading

# Operation, parameter as it stands in the body: what AWS takes and the sandbox does not know.
DEFAULTS = [
    ("RunInstances", "HibernationOptions.Configured=false"),
    ("RunInstances", "Placement.AvailabilityZone="),
]
UNKNOWN, SAME = b"disableApiStop", b"disableApiTermination"


def reduced(target, body):
    """The body without what is at its default."""
    if target.endswith("PutParameter"):
        fields = json.loads(body)
        return json.dumps({key: value for key, value in fields.items() if value != ""}).encode()
    for operation, parameter in DEFAULTS:
        if f"Action={operation}&".encode() in body:
            pairs = body.split(b"&")
            body = b"&".join(pair for pair in pairs if pair != parameter.encode())
    return body


def handler(endpoint):
    authority = endpoint.split("//")[1]

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = reduced(self.headers.get("X-Amz-Target", ""), body)
            is_swapped = b"Attribute=" + UNKNOWN in body
            if is_swapped:
                body = body.replace(UNKNOWN, SAME)
            passed = {name: value for name, value in self.headers.items()
                      if name.lower() not in ("content-length", "connection")}
            connection = http.client.HTTPConnection(authority)
            connection.request("POST", self.path, body, passed)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if is_swapped:
                data = data.replace(SAME, UNKNOWN)
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Door


def opened(endpoint):
    """Its address. It lives as long as this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(endpoint))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
