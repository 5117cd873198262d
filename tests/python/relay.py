"""Stands between a client and the served sandbox, on loopback: `relay.py WAY UPSTREAM_PORT FOLDER`.

WAY is `tls` (ends TLS with a certificate of a CA that is made in FOLDER), `ipv6` (listens on ::1) or `proxy` (an HTTP proxy:
CONNECT and absolute addresses, all of which end at the upstream; a line for each connection in FOLDER/proxy.log).
Prints one line of JSON: {"port": …}.
"""

import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

NAMES = "subjectAltName=DNS:aws.example.test,IP:127.0.0.1"
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def context(folder):
    ca, key, leaf = folder / "ca.pem", folder / "ca.key", folder / "leaf.pem"
    openssl("req", "-x509", *CURVE, "-keyout", key, "-out", ca, "-days", "2", "-subj", "/CN=a CA of the test")
    openssl("req", "-new", *CURVE, "-keyout", folder / "leaf.key", "-out", folder / "leaf.csr", "-subj", "/CN=leaf")
    (folder / "leaf.ext").write_text(NAMES)
    openssl("x509", "-req", "-in", folder / "leaf.csr", "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2",
            "-extfile", folder / "leaf.ext", "-out", leaf)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(leaf, folder / "leaf.key")
    return made


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(client, upstream, first=b""):
    server = socket.create_connection(("127.0.0.1", upstream))
    server.sendall(first)
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def proxied(client, upstream, folder):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return
        head += data
    lines = head.decode("latin-1").split("\r\n")
    authorized = any(line.lower().startswith("proxy-authorization: basic ") for line in lines)
    with open(folder / "proxy.log", "a") as log:
        log.write(f"{lines[0]}{' authorized' if authorized else ''}\n")
    if lines[0].startswith("CONNECT "):
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        relay(client, upstream)
    else:
        relay(client, upstream, head)


def main(way, upstream, folder):
    folder, upstream = pathlib.Path(folder), int(upstream)
    tls = context(folder) if way == "tls" else None
    family, address = (socket.AF_INET6, "::1") if way == "ipv6" else (socket.AF_INET, "127.0.0.1")
    listener = socket.create_server((address, 0), family=family)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)

    def serve(client):
        try:
            if tls:
                client = tls.wrap_socket(client, server_side=True)
            if way == "proxy":
                proxied(client, upstream, folder)
            else:
                relay(client, upstream)
        except OSError:
            client.close()  # a client that does not trust the certificate, or one that goes away

    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


main(*sys.argv[1:])
