"""Answers of your own backend, written into Threadmill.

    threadmill = Threadmill("http://127.0.0.1:7430", headers={"authorization": "Bearer ..."})
    run = threadmill.start_run(thread)
    outcome = run.write({"type": "text-delta", "id": "0", "delta": word} for word in words)

In a coroutine it is ``await run.write_async(chunks)``. Nothing but the standard library is needed. What is written is durable
before anybody sees it, and is taken once however often a connection breaks. A stop, from anywhere, sets ``run.stopped`` and
ends the writing.
"""

import asyncio
import concurrent.futures
import http.client
import json
import random
import threading
import time
import uuid
from typing import Any, AsyncIterable, Iterable, Mapping, Optional
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["Run", "Threadmill", "ThreadmillError"]

_TRIES = 8
#: Seconds of silence after which it is said that the writer is there, and heard whether the run is: a lease lasts fifteen.
_BEAT = 1.0
#: Lines of one request.
_AT_ONCE = 1000
_MOST_BYTES = 8 << 20
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

    def messages(self, thread: str, last: int = 50, branch: Optional[str] = None) -> "list[dict[str, Any]]":
        """The newest messages of a branch, whole, the oldest of them first: ``id``, ``role``, ``parts``, ``status``.

        At most ``last`` of them (1 to 200), 256 KiB and 8 MiB of long parts; without the answer that is being written and
        what was removed.
        """
        path = f"/threads/{quote(thread, safe='')}/messages"
        query = {"before": str(last), **({} if branch is None else {"branch": branch})}
        found = self._call("GET", f"{path}?{urlencode(query)}")["messages"]
        told = [message for message in found if message["status"] not in ("streaming", "removed")]
        whole: "list[dict[str, Any]]" = []
        left = _MOST_BYTES
        for message in reversed(told):
            # A window shows only the beginning of a long part.
            cut = sum(part["preview"]["bytes"] for part in message["parts"] if "preview" in part)
            left -= cut
            if left < 0:
                break
            whole.insert(0, self._call("GET", f"{path}/{quote(message['id'], safe='')}")["message"] if cut else message)
        return whole

    def start_run(self, thread: str, **how: Any) -> "Run":
        """Begins a run after the thread's last message.

        ``branch``, ``regenerate``, ``id`` (of the run) and ``message`` (an id for the answer, taken once) may be given.
        """
        answer = self._call("POST", f"/threads/{quote(thread, safe='')}/runs", {"external": True, **how})
        return self.open_run(answer["run"]["id"], answer["writer"]["token"])

    def open_run(self, run: str, token: str) -> "Run":
        """A run that was begun elsewhere, by its id and its token."""
        return Run(self._url, run, token)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection, base = _connect(self._url)
        try:
            json_type = {} if body is None else {"content-type": "application/json"}
            text = None if body is None else json.dumps(body)
            connection.request(method, f"{base}/v1{path}", text, {**json_type, **self._headers})
            return _answer(connection.getresponse())
        finally:
            connection.close()


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

    async def write_async(self, chunks: AsyncIterable[Mapping[str, Any]]) -> str:
        """As ``write``, for chunks that come asynchronously, taken in the loop that this is awaited in.

        A stop cancels whatever the chunks are waiting for, so that a model which is asked hears of it at once.
        """
        lines = _Lines()
        reading = asyncio.ensure_future(self._read_async(chunks, lines))
        try:
            return await asyncio.wrap_future(self._send_apart(lines))
        finally:
            self.stopped.set()
            # Nobody waits for the answer any more: its run ends as stopped, unless it is over.
            lines.push({"type": "abort"})
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _send_apart(self, lines: "_Lines") -> "concurrent.futures.Future[str]":
        """Sends in a thread of its own: those of the loop are few, and an answer that waited for one would lose its lease."""
        sent: "concurrent.futures.Future[str]" = concurrent.futures.Future()
        # From here on who waits for it may go without its being cancelled.
        sent.set_running_or_notify_cancel()

        def send() -> None:
            try:
                sent.set_result(self._send(lines))
            except BaseException as error:  # noqa: BLE001 - it is who waits that it is for
                sent.set_exception(error)

        threading.Thread(target=send, daemon=True).start()
        return sent

    async def _read_async(self, chunks: AsyncIterable[Mapping[str, Any]], lines: "_Lines") -> None:
        source = chunks.__aiter__()
        try:
            async for chunk in source:
                lines.push(chunk)
                if chunk.get("type") in _ENDS:
                    return
            lines.push({"type": "finish"})
        except asyncio.CancelledError:
            lines.push({"type": "abort"})
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, readers are told that the answer failed
            lines.push({"type": "error", "errorText": str(error) or "The answer failed."})
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _read(self, chunks: Iterable[Mapping[str, Any]], lines: "_Lines") -> None:
        try:
            for chunk in chunks:
                if self.stopped.is_set():
                    return
                lines.push(chunk)
                if chunk.get("type") in _ENDS:
                    return
            lines.push({"type": "finish"})
        except BaseException as error:  # noqa: BLE001 - whatever it is, readers are told that the answer failed
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
