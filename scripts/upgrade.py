#!/usr/bin/env python3
"""What scripts/upgrade.sh does with its builds: `released` (the last release), `this`, and `next` (with another migration).

Files and PostgreSQL, at rest: the release fills a library (threads, forks, answers, edits, removed and archived ones), this
build opens it: the export of every user is the same to the byte, a write that is repeated with its key has no second effect,
`threadmill verify` passes, and it is written on. The release refuses the file then, says why and changes nothing. This build
and the next one then take turns on it, up and down and up, each writing: nothing is lost on the way back either.

Live: two nodes on PostgreSQL and Redis, under writers and answers. One after the other is stopped and comes back as the next
build, then as this one again; both mixtures pass `threadmill verify`, a reader over the whole time hears every message once
and in order (`verify --deep --watch`), and what was acknowledged is there in the end.
"""
import hashlib, http.client, http.server, json, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile
import threading, time, urllib.error, urllib.request

BIN = pathlib.Path(sys.argv[1]).resolve()
PARTS = sys.argv[2:] or ["files", "postgres", "live"]
USERS = ("ada", "bob")
WAIT = 120
# How long things take says nothing here: debug builds, on a machine that does other things.
PATIENT = [word for name in ("load", "switch", "frame", "scroll", "stop", "lag") for word in (f"--max-{name}-ms", "20000")]
ended = []


def fail(why):
    """Ends everything: from a thread, too, which the others would otherwise wait for."""
    print(f"upgrade: {why}", file=sys.stderr, flush=True)
    for process in reversed(ended):
        process.kill() if process.poll() is None else None
    os._exit(1)


def proof(what, value):
    print(f"proof: {what} | {value}", flush=True)


def run(binary, *words, fails=False):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THREADMILL_")}
    try:
        done = subprocess.run([BIN / binary, *map(str, words)], capture_output=True, env=environment, timeout=3 * WAIT)
    except subprocess.TimeoutExpired:
        fail(f"{binary} {' '.join(map(str, words))} does not end")
    if (done.returncode != 0) != fails:
        fail(f"{binary} {' '.join(map(str, words))}: {done.returncode}\n{done.stdout.decode()}{done.stderr.decode()}")
    return done


class Model(http.server.BaseHTTPRequestHandler):
    """Speaks chat completions: twenty words, fifty a second."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(21):
            choice = {"index": 0, "delta": {"content": f" word-{number}"} if number < 20 else {},
                      "finish_reason": None if number < 20 else "stop"}
            frame = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
            try:
                self.wfile.write(f"data: {json.dumps(frame)}\n\n".encode())
            except OSError:
                # It was stopped, or its node was.
                return
            time.sleep(0.02)
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


class Node:
    """A server; stopped and started as another build it keeps its address."""

    def __init__(self, place, config, port=0):
        self.place, self.port, self.process = place, port or free_port(), None
        (place / "threadmill.toml").write_text(config)
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, binary):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("THREADMILL_")}
        log = (self.place / "log").open("ab")
        command = [BIN / binary, "serve", "--no-sample", "--listen", f"127.0.0.1:{self.port}", "--data",
                   self.place / "data", "--config", self.place / "threadmill.toml"]
        self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        ended.append(self.process)
        until = time.monotonic() + WAIT
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=5).read()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    fail(f"{binary} does not start: {(self.place / 'log').read_text(errors='replace')[-3000:]}")
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(WAIT) != 0:
            fail(f"a node ended with {self.process.returncode}: {(self.place / 'log').read_text(errors='replace')[-3000:]}")

    def ask(self, method, path, body=None, user="ada", key=None):
        headers = {"Content-Type": "application/json", "X-Threadmill-User": user}
        if key:
            headers["Idempotency-Key"] = key
        request = urllib.request.Request(f"{self.url}/v1{path}", body and json.dumps(body).encode(), headers, method=method)
        try:
            return json.loads(urllib.request.urlopen(request, timeout=30).read() or "null")
        except urllib.error.HTTPError as error:
            error.msg = f"{method} {path}: {error.code} {error.read()!r}"
            raise


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def say(text):
    return {"parts": [{"type": "text", "text": text}]}


def fill(node, name):
    """Writes a bit of everything, by every user; what it is called keeps one filling from another."""
    for user in USERS:
        for number in range(6):
            thread = f"{name}-{user}-{number}"
            ask = lambda method, path, body=None, key=None: node.ask(method, f"/threads{path}", body, user, key)
            ask("POST", "", {"id": thread, "title": f"Thread {number} “{name}”"})
            first = ask("POST", f"/{thread}/messages", say("first"), key=f"{thread}-first")["message"]["id"]
            for text in range(10):
                ask("POST", f"/{thread}/messages", say(f"message {text} " + "long " * 40 * text))
            answer = ask("POST", f"/{thread}/messages", {**say("and?"), "run": True})["runMessage"]["id"]
            wait_for(lambda: ask("GET", f"/{thread}/messages/{answer}")["message"]["status"] == "complete")
            if number == 3:
                ask("DELETE", f"/{thread}/messages/{answer}")
            ask("PATCH", f"/{thread}/messages/{first}", {"texts": [{"part": 0, "text": "first, edited"}]})
            if number == 1:
                ask("PATCH", f"/{thread}", {"archived": True})
            if number == 2:
                ask("DELETE", f"/{thread}")


def wait_for(condition):
    until = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > until:
            fail("what was waited for does not happen")
        time.sleep(0.05)


def export(binary, node):
    """The digest of everything that every user has, and how many lines that is."""
    text = b"".join(run(binary, "export", "--url", node.url, "--user", user).stdout for user in USERS)
    return hashlib.sha256(text).hexdigest(), text.count(b"\n")


def repeats(node, name):
    """A write that is repeated with its key, by whatever release, answers as it did and does nothing."""
    for user in USERS:
        thread = f"{name}-{user}-0"
        before = node.ask("GET", f"/threads/{thread}", user=user)
        node.ask("POST", f"/threads/{thread}/messages", say("first"), user, f"{thread}-first")
        if node.ask("GET", f"/threads/{thread}", user=user) != before:
            fail(f"a repeated write had an effect in {thread}")


def verify(*urls, more=()):
    words = [word for url in urls for word in ("--url", url)]
    return looked(*words, *more)["passed"]


def looked(*words):
    """What `verify` found; ends all if a check failed."""
    command = [BIN / "this", "verify", *words, *PATIENT, "--format", "json"]
    done = subprocess.run(command, capture_output=True, timeout=5 * WAIT)
    report = json.loads(done.stdout or '{"checks": []}')
    wrong = [f"{one['id']}: {one['saw']}" for one in report["checks"] if one["outcome"] == "failed"]
    if wrong or done.returncode != 0:
        fail(f"verify: {'; '.join(wrong)} {done.stderr.decode()}")
    return report


def at_rest(kind, node, mark):
    """Up from the release, then up and down between this build and the next. `mark` is what a refusal may not change."""
    node.start("released")
    fill(node, "released")
    before = export("released", node)
    node.stop()
    node.start("this")
    after = export("this", node)
    if after != before:
        fail(f"an upgrade changed the export: {before} and {after}")
    repeats(node, "released")
    passed = verify(node.url)
    proof(f"{kind}: 0.1.0 to this build", f"export the same, {before[1]} lines; verify: {passed} checks passed")
    fill(node, "this")
    filled = export("this", node)
    node.stop()
    marked = mark()
    said = run_refused(node)
    if mark() != marked:
        fail("the release changed what it refused")
    proof(f"{kind}: 0.1.0 on what this build wrote", f"refused, nothing touched: {said}")
    for number, build in enumerate(("next", "this", "next")):
        node.start(build)
        found = export(build, node)
        if found != filled:
            fail(f"{build} shows another export: {filled} and {found}")
        repeats(node, "released")
        verify(node.url)
        fill(node, f"turn-{number}")
        filled = export(build, node)
        node.stop()
    proof(f"{kind}: this build, next, this, next, each writing", f"exports the same at every change, {filled[1]} lines in the end")


def run_refused(node):
    """The release does not serve what this build wrote. Returns why, in its words."""
    words = ["serve", "--no-sample", "--listen", "127.0.0.1:0", "--data", node.place / "data", "--config",
             node.place / "threadmill.toml"]
    said = run("released", *words, fails=True).stderr.decode()
    if "schema version" not in said:
        fail(f"the release does not say why it refuses: {said}")
    return next(line for line in said.splitlines() if "schema version" in line).strip()


class Postgres:
    def __init__(self, place):
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.place, self.as_user = place, []
        if os.geteuid() == 0:
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(place, "postgres", "postgres")
        self.programs = programs
        self.call("initdb", "-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", place / "data")
        command = [*self.as_user, programs / "postgres", "-D", place / "data", "-k", place, "-c", "listen_addresses="]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(place / "log").open("wb"))
        wait_for(lambda: subprocess.run([programs / "pg_isready", "-q", "-h", place]).returncode == 0)

    def call(self, program, *words):
        done = subprocess.run([*self.as_user, self.programs / program, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"{program}: {done.stderr}")
        return done.stdout.strip()

    def database(self, name):
        self.call("createdb", "-h", self.place, "-U", "app", name)
        return f"postgres://app@{str(self.place).replace('/', '%2F')}/{name}"

    def value(self, database, sql):
        return self.call("psql", "-h", self.place, "-U", "app", "-d", database, "-Atc", sql)


class Writers:
    """Append and ask at both nodes until they are told to stop; a write is tried again, with its key, until it is there."""

    def __init__(self, nodes):
        self.nodes, self.over, self.written = nodes, threading.Event(), {}
        self.refused, self.worst = 0, 0.0
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(4)]
        for one in self.threads:
            one.start()

    def write(self, number):
        user, thread = USERS[number % len(USERS)], f"live-{number}"
        self.insist(number, "POST", "/threads", {"id": thread, "title": thread}, user, f"make-{thread}")
        written = self.written[thread] = []
        while not self.over.is_set():
            text = f"{thread} {len(written)}"
            # Every tenth has an answer, which goes on while nodes change.
            body = {**say(text), **({"run": True} if len(written) % 10 == 9 else {})}
            begun = time.monotonic()
            self.insist(number, "POST", f"/threads/{thread}/messages", body, user, text.replace(" ", "-"))
            self.worst = max(self.worst, time.monotonic() - begun)
            written.append(text)
            time.sleep(0.02)

    def insist(self, number, method, path, body, user, key):
        for attempt in range(4000):
            try:
                return self.nodes[(number + attempt) % len(self.nodes)].ask(method, path, body, user, key)
            except urllib.error.HTTPError as error:
                # A thread whose last answer is still being written takes no second one.
                if error.code not in (409, 429, 503):
                    fail(error.msg)
            except (OSError, http.client.HTTPException):
                pass
            self.refused += 1
            time.sleep(0.05)
        fail(f"{path} is never taken")

    def stop(self, node):
        self.over.set()
        for one in self.threads:
            one.join()
        for number, (thread, written) in enumerate(sorted(self.written.items())):
            lines = run("this", "export", "--url", node.url, "--user", USERS[int(thread[5:]) % len(USERS)],
                        "--thread", thread).stdout.decode()
            found = [text for text in written if f'"{text}"' in lines]
            if found != written:
                fail(f"{thread} has {len(found)} of {len(written)} acknowledged messages")
        return sum(map(len, self.written.values()))


def live(nodes, epoch):
    for node in nodes:
        node.start("this")
    begun = epoch()
    writers = Writers(nodes)
    urls = [node.url for node in nodes]
    watch = []
    # From before the first change until after the last one.
    watcher = threading.Thread(target=lambda: watch.append(watched(urls)))
    watcher.start()
    passed = []
    for build, later in (("next", nodes), ("this", nodes)):
        for number, node in enumerate(later):
            time.sleep(2)
            node.stop()
            node.start(build)
            if number == 0:
                # Two builds, side by side. Windows that a node has in its memory are asked of no hot tier, which that
                # check takes for one that is not used.
                passed.append(verify(*urls, more=("--provider", "m", "--skip", "hot-tier")))
    watcher.join()
    if not watch:
        fail("the reader over the changes did not come to its end")
    acknowledged = writers.stop(nodes[0])
    for node in nodes:
        node.stop()
    if epoch() != begun:
        fail("a migration began an epoch, as if the database had been put back")
    proof("live, two nodes: this build to next and back, one node at a time",
          f"{acknowledged} acknowledged writes all there, {writers.refused} tries refused, longest wait {writers.worst:.1f} s")
    proof("live, two nodes of two builds side by side", f"verify passed twice, {passed[0]} and {passed[1]} checks")
    proof("live, a reader over all changes", watch[0])


def watched(urls):
    words = [word for url in urls for word in ("--url", url)]
    report = looked(*words, "--only", "rolling-restart", "--deep", "--watch", "120", "--timeout", "240", "--provider", "m")
    return next(check["saw"] for check in report["checks"] if check["id"] == "rolling-restart")


def main(work):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    provider = f'[[providers]]\nkind = "openai"\nname = "m"\nbase_url = "http://127.0.0.1:{server.server_port}/v1"\nmodel = "m"\n'
    place = lambda name: (work / name).mkdir() or work / name

    if "files" in PARTS:
        node = Node(place("files"), provider)
        file = node.place / "data" / "threadmill.db"
        at_rest("files", node, lambda: hashlib.sha256(file.read_bytes()).hexdigest())
    if "postgres" in PARTS or "live" in PARTS:
        postgres = Postgres(place("postgres"))
        ended.append(postgres.server)
    if "postgres" in PARTS:
        url = postgres.database("rest")
        node = Node(place("rest"), f'{provider}[store]\nurl = "{url}"\n')
        at_rest("PostgreSQL", node, lambda: postgres.value("rest", "SELECT version FROM threadmill.meta") + postgres.value(
            "rest", "SELECT md5(string_agg(m::text, '' ORDER BY key)) FROM threadmill.messages m"))
    if "live" in PARTS:
        port = free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"],
                                 stdout=subprocess.DEVNULL, cwd=place("redis"))
        ended.append(redis)
        shared = f'{provider}[store]\nurl = "{postgres.database("live")}"\n[hot]\nurl = "redis://127.0.0.1:{port}"\n'
        live([Node(place(name), shared) for name in ("one", "two")],
             lambda: postgres.value("live", "SELECT epoch FROM threadmill.meta"))
    server.shutdown()


with tempfile.TemporaryDirectory() as directory:
    os.chmod(directory, 0o755)
    try:
        main(pathlib.Path(directory))
    finally:
        for process in reversed(ended):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(WAIT)
