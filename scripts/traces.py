"""Starts a node whose runs are traced, asks it things, and reads its traces with OpenTelemetry's protobuf definitions."""

import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

RUNS = 20
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SECRET = "canary-of-a-text"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps the bodies of requests for traces."""

    bodies = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/v1/traces", self.path
        assert self.headers["content-type"] == "application/x-protobuf"
        self.bodies.append(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, kind)


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def ask(url, path, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def started(binary, data, receiver):
    config = os.path.join(data, "threadmill.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"[telemetry]\notlp_endpoint = '{receiver}'\n[[providers]]\nkind = 'replay'\nname = 'replay'\n")
        file.write("tokens_per_second = 100000.0\n")
    command = [binary, "serve", "--no-sample", "--listen", "127.0.0.1:0", "--data", f"{data}/data", "--config", config]
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in node.stderr:
        if "chat at http://" in line:
            threading.Thread(target=node.stderr.read, daemon=True).start()
            return node, "http://" + line.split("chat at http://")[1].split()[0]
    raise SystemExit("the node did not start")


def main(binary):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as data:
        node, url = started(binary, data, f"http://127.0.0.1:{server.server_port}")
        user = {"x-threadmill-user": "canary-of-a-user"}
        ask(url, "/v1/threads", {"id": "t"}, user)
        for number in range(RUNS):
            headers = {**user, "traceparent": f"00-{TRACE}-{PARENT}-01"} if number == 0 else user
            body = {"parts": [{"type": "text", "text": f"{SECRET} {number}"}], "run": {}, "whenBusy": "wait"}
            ask(url, "/v1/threads/t/messages", body, headers)
        while ask(url, "/ops/api/runs")["live"]:
            time.sleep(0.05)
        node.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert node.wait(10) == 0
        stopped = time.monotonic() - begun
    wire = b"".join(Receiver.bodies)
    assert b"canary" not in wire, "a text or a user is in a trace"
    requests = [ExportTraceServiceRequest.FromString(body) for body in Receiver.bodies]
    resources = [resource for request in requests for resource in request.resource_spans]
    assert all(attributes(one.resource.attributes)["service.name"] == "threadmill" for one in resources)
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "two spans have one id"
    wholes = [span for span in spans if span.name.startswith("chat ")]
    assert len(wholes) == RUNS, f"{len(wholes)} traces of {RUNS} runs"
    for span in wholes:
        said = attributes(span.attributes)
        assert span.kind == Span.SPAN_KIND_CLIENT and said["gen_ai.operation.name"] == "chat"
        assert said["gen_ai.response.finish_reasons"] == ["stop"] and said["threadmill.outcome"] == "complete"
    for span in spans:
        if span not in wholes:
            parent = by_id[span.parent_span_id]
            assert parent.trace_id == span.trace_id
            assert parent.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    joined = [span for span in wholes if span.trace_id.hex() == TRACE]
    assert [span.parent_span_id.hex() for span in joined] == [PARENT], "the caller's trace is not gone on with"
    print(f"proof: spans of {RUNS} runs, read with OpenTelemetry's definitions | {len(spans)}, {len(wire)} bytes")
    print(f"proof: a node with traces to send stops in | {stopped:.2f} s")


main(sys.argv[1])
