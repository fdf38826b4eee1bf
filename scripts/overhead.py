#!/usr/bin/env python3
"""What counting, tracing and clients' reports cost a node, in instructions.

    overhead.py BINARY BINARY_WITHOUT [--pairs 5] [--rounds 60] [--traces KEY=VALUE ...]

BINARY is a build as it is shipped, BINARY_WITHOUT one with the feature `uncounted`, which counts and times nothing. Each
serves the same script of requests under callgrind: threads, messages, windows, a list, answers that are followed token by
token, and from the first also what a page reports of itself (`[ops] rum = "page"`) and any settings of --traces. A token is
said when the one before it was read, so that both commit the same groups, and the script is run once before it is counted.
Instructions hardly depend on what else a machine does; what is left of that is why they take turns in pairs. The verdict is
of the upper 95 % bound of the mean overhead (Student's t over the pairs), against 3 %.
"""
import argparse, http.client, http.server, json, os, pathlib, queue, re, signal, statistics, subprocess
import sys, tempfile, threading, time

LIMIT = 0.03
TOKENS = 40
T95 = {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.860, 9: 1.833}
PATIENCE = 300
heard = queue.Queue()


class Model(http.server.BaseHTTPRequestHandler):
    """Speaks chat completions, a token whenever the reader has the last one."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(TOKENS):
            self.say({"content": f" token-{number}"})
            heard.get(timeout=PATIENCE)
        self.say({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def say(self, delta, finish=None):
        frame = {"id": "x", "object": "chat.completion.chunk", "model": "m",
                 "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        self.wfile.write(f"data: {json.dumps(frame)}\n\n".encode())

    def log_message(self, *_):
        pass


class Node:
    """A server under callgrind, which counts from `count` on."""

    def __init__(self, binary, model, settings):
        self.folder = tempfile.TemporaryDirectory()
        place = pathlib.Path(self.folder.name)
        config = f'[[providers]]\nkind = "openai"\nname = "m"\nbase_url = "{model}"\nmodel = "m"\n{settings}\n'
        (place / "threadmill.toml").write_text(config)
        self.profile = place / "profile"
        self.log = place / "log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("THREADMILL_")}
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.profile}", binary,
                   "serve", "--listen", "127.0.0.1:0", "--no-sample", "--data", place / "data",
                   "--config", place / "threadmill.toml"]
        self.process = subprocess.Popen(command, stderr=self.log.open("wb"), env=environment)
        until = time.monotonic() + PATIENCE
        while not (found := re.search(r"at http://(\S+?)(?:/|\s)", self.log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > until:
                sys.exit(f"{binary} does not serve: {self.log.read_text(errors='replace')}")
            time.sleep(0.2)
        self.address = found[1]
        self.connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)

    def count(self):
        subprocess.run(["callgrind_control", "--instr=on", str(self.process.pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def counted(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        totals = re.findall(r"^(?:totals|summary): (\d+)", self.profile.read_text(errors="replace"), re.M)
        self.folder.cleanup()
        return int(totals[-1])

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json", "X-Threadmill-User": "ada"}
        self.connection.request(method, f"/v1{path}", body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text!r}")
        return text


def follow(node, thread, asked):
    """Reads a thread's events until its run has ended, and lets the model go on at every token."""
    connection = http.client.HTTPConnection(node.address, timeout=PATIENCE)
    connection.request("GET", f"/v1/threads/{thread}/events", headers={"X-Threadmill-User": "ada"})
    stream = connection.getresponse()
    for line in stream:
        if not line.startswith(b"data:"):
            continue
        if not asked.is_set():
            asked.set()
        for _ in re.findall(rb" token-\d+", line):
            heard.put(None)
        if b'"run-ended"' in line:
            break
    connection.close()


def script(node, rounds, reports):
    """Returns how many requests that was."""
    requests = 0
    text = "What is there to be said of this, and of that? " * 8
    for number in range(rounds):
        thread = f"t-{time.monotonic_ns()}"
        node.ask("POST", "/threads", {"id": thread, "title": "Overhead"})
        for _ in range(6):
            node.ask("POST", f"/threads/{thread}/messages", {"parts": [{"type": "text", "text": text}]})
            node.ask("GET", f"/threads/{thread}/messages")
        node.ask("GET", "/threads")
        requests += 14
        if number % 3 == 0:
            asked = threading.Event()
            reader = threading.Thread(target=follow, args=(node, thread, asked))
            reader.start()
            asked.wait(PATIENCE)
            node.ask("POST", f"/threads/{thread}/messages", {"parts": [{"type": "text", "text": text}], "run": True})
            reader.join(PATIENCE)
            requests += 2
        if reports and number % 10 == 0:
            sample = {"coreBytes": 400000, "threads": [{"rows": 50, "bytes": 90000}], "renderMs": 4.5, "inpMs": 40,
                      "longTasks": 1, "heapBytes": 9000000, "loadMs": 120, "scrollMs": 8, "reconnects": 0}
            node.ask("POST", "/rum", {"engine": "core", "samples": [sample]})
    return requests


def measured(binary, model, settings, rounds, reports):
    node = Node(binary, model, settings)
    script(node, 3, reports)
    node.count()
    requests = script(node, rounds, reports)
    return node.counted(), requests


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("without")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--traces", nargs="*", default=[], help="lines of [telemetry], such as otlp_endpoint = \"…\"")
    said = options.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = f"http://127.0.0.1:{server.server_port}/v1"
    telemetry = "\n".join(["[telemetry]", *said.traces]) if said.traces else ""
    shares, last = [], 0
    for pair in range(said.pairs):
        sides = [(said.binary, f'[ops]\nrum = "page"\n{telemetry}', True), (said.without, '[ops]\nrum = "off"', False)]
        counts = {}
        for binary, settings, reports in sides if pair % 2 == 0 else reversed(sides):
            counts[reports], last = measured(binary, model, settings, said.rounds, reports)
        shares.append(counts[True] / counts[False] - 1)
        print(f"pair {pair + 1}: {counts[True]:,} and {counts[False]:,} instructions, {shares[-1]:+.2%}", flush=True)
    mean = statistics.mean(shares)
    error = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else float("inf")
    most = mean + T95.get(len(shares) - 1, 1.833) * error
    print(f"proof: overhead of counting and reports{' and traces' if telemetry else ''}, instructions of {last} requests, "
          f"{len(shares)} pairs | {mean:+.2%}, at most {most:+.2%} (95 %), may be {LIMIT:.0%}")
    server.shutdown()
    return 0 if most <= LIMIT else 1


sys.exit(main())
