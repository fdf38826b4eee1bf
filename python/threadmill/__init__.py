"""Answers of your own backend, written into Threadmill.

    threadmill = Threadmill("http://127.0.0.1:7430", headers={"authorization": "Bearer ..."})
    run = threadmill.start_run(thread)
    outcome = run.write({"type": "text-delta", "id": "0", "delta": word} for word in words)

Nothing but the standard library is needed. What is written is durable before anybody sees it, and is taken once however often a
connection breaks. A stop, from anywhere, sets ``run.stopped`` and ends the writing.
"""

import http.client
import json
import random
import threading
import time
import uuid
from typing import Any, Iterable, Mapping, Optional
from urllib.parse import quote, urlsplit

__all__ = ["Run", "Threadmill", "ThreadmillError"]

_TRIES = 8
#: Seconds of silence after which it is said that the writer is there, and heard whether the run is: a lease lasts fifteen.
_BEAT = 1.0
#: Lines of one request.
_AT_ONCE = 1000
_ENDS = ("finish", "abort", "error")


class ThreadmillError(Exception):
    """The server refused something: ``code`` is its stable word, ``status`` the HTTP status.

    With ``run_ended``, ``outcome`` says how the run ended.
    """

    def __init__(self, status: int, code: str, detail: str, outcome: Optional[str] = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.outcome = outcome


class Threadmill:
    """A server. ``headers`` go with requests that begin runs, and say on whose behalf."""

    def __init__(self, url: str, headers: Optional[Mapping[str, str]] = None) -> None:
        self._url = url.rstrip("/")
        self._headers = dict(headers or {})

    def start_run(self, thread: str, **how: Any) -> "Run":
        """Begins a run after the thread's last message. ``branch``, ``regenerate`` and ``id`` may be given."""
        connection, base = _connect(self._url)
        try:
            body = json.dumps({"external": True, **how})
            headers = {"content-type": "application/json", **self._headers}
            connection.request("POST", f"{base}/v1/threads/{quote(thread, safe='')}/runs", body, headers)
            answer = _answer(connection.getresponse())
        finally:
            connection.close()
        return self.open_run(answer["run"]["id"], answer["writer"]["token"])

    def open_run(self, run: str, token: str) -> "Run":
        """A run that was begun elsewhere, by its id and its token."""
        return Run(self._url, run, token)


class Run:
    """A run that is written from outside."""

    def __init__(self, url: str, run: str, token: str) -> None:
        self.id = run
        self.token = token
        #: Set when the run is over without you, or when your answer is whole.
        self.stopped = threading.Event()
        self._url = url
        self._producer = str(uuid.uuid4())

    def write(self, chunks: Iterable[Mapping[str, Any]]) -> str:
        """Writes an answer, a chunk of the AI SDK's UI message stream each, and ends the run with it.

        Returns how the run ended: ``complete``, ``stopped``, ``interrupted`` or ``failed``. Chunks are taken in a thread of their
        own; an exception of theirs ends the run as failed.
        """
        lines = _Lines()
        threading.Thread(target=self._read, args=(chunks, lines), daemon=True).start()
        try:
            return self._send(lines)
        finally:
            self.stopped.set()

    def _read(self, chunks: Iterable[Mapping[str, Any]], lines: "_Lines") -> None:
        try:
            for chunk in chunks:
                if self.stopped.is_set():
                    return
                lines.push(chunk)
                if chunk.get("type") in _ENDS:
                    return
            lines.push({"type": "finish"})
        except Exception as error:  # noqa: BLE001 - whatever it is, readers are told that the answer failed
            lines.push({"type": "error", "errorText": str(error) or "The answer failed."})

    def _send(self, lines: "_Lines") -> str:
        """Sends what there is, and then what came meanwhile: a request for each, on one connection."""
        connection, base = _connect(self._url)
        path = f"{base}/v1/runs/{quote(self.id, safe='')}/chunks"
        following, failures = 0, 0
        try:
            while True:
                body = "".join(lines.after(following)) or "\n"
                headers = {
                    "content-type": "application/x-ndjson",
                    "threadmill-run-token": self.token,
                    "producer-id": self._producer,
                    "producer-epoch": "0",
                    "producer-seq": str(following),
                }
                try:
                    connection.request("POST", path, body.encode(), headers)
                    answer = _answer(connection.getresponse())
                except ThreadmillError as error:
                    if error.code == "run_ended":
                        return error.outcome or "stopped"
                    if error.status < 500 and error.status != 429 or failures + 1 >= _TRIES:
                        raise
                except (OSError, http.client.HTTPException):
                    # The next request connects anew, perhaps to another node.
                    connection.close()
                    if failures + 1 >= _TRIES:
                        raise
                else:
                    if answer["run"] is not None:
                        return str(answer["run"]["outcome"])
                    following = 0 if answer["seq"] is None else answer["seq"] + 1
                    failures = 0
                    continue
                failures += 1
                time.sleep(random.uniform(0, min(5.0, 0.2 * 2 ** (failures - 1))))
        finally:
            connection.close()


class _Lines:
    """What was said so far, to be sent from any line on."""

    def __init__(self) -> None:
        self._lines: list = []
        self._changed = threading.Condition()

    def push(self, chunk: Mapping[str, Any]) -> None:
        with self._changed:
            self._lines.append(json.dumps(chunk) + "\n")
            self._changed.notify_all()

    def after(self, at: int) -> list:
        """The lines from one on, waited for a moment."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) > at, _BEAT)
            return self._lines[at : at + _AT_ONCE]


def _connect(url: str) -> "tuple[http.client.HTTPConnection, str]":
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=60), parts.path.rstrip("/")


def _answer(response: http.client.HTTPResponse) -> Any:
    try:
        body = json.loads(response.read() or b"{}")
    except ValueError:
        body = {}
    if 200 <= response.status < 300:
        return body
    detail = body.get("detail") or f"The server answered {response.status}."
    outcome = response.headers.get("threadmill-outcome")
    raise ThreadmillError(response.status, body.get("code") or "unknown", detail, outcome)
