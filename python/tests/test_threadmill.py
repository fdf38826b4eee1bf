"""Answers written out of an event loop, and what is read for a model, against the server that THREADMILL_BINARY names."""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request
import uuid

from threadmill import Threadmill, ThreadmillError

BINARY = os.environ.get("THREADMILL_BINARY")


def delta(text: str) -> dict:
    return {"type": "text-delta", "id": "0", "delta": text}


@unittest.skipUnless(BINARY, "THREADMILL_BINARY does not name a server to run")
class Answers(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.data = tempfile.TemporaryDirectory()
        words = ["serve", "--listen", "127.0.0.1:0", "--data", f"{cls.data.name}/store", "--no-sample"]
        cls.server = subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in cls.server.stdout:
            found = re.search(r"chat at (http:\S+)\s", line)
            if found:
                cls.url = found.group(1)
                return
        raise AssertionError("the server does not start")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.terminate()
        cls.server.wait()
        cls.server.stdout.close()
        cls.data.cleanup()

    async def asyncSetUp(self) -> None:
        # The server is asked without the loop's help.
        asyncio.get_running_loop().slow_callback_duration = 10

    def ask(self, path: str, body: "dict | None" = None) -> dict:
        text = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v1{path}", text, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def thread(self, text: str = "why") -> str:
        made = self.ask("/threads", {"message": {"parts": [{"type": "text", "text": text}]}})
        return made["thread"]["id"]

    def last(self, thread: str) -> "tuple[str, str]":
        message = self.ask(f"/threads/{thread}/messages")["messages"][-1]
        return message["status"], "".join(part.get("text", "") for part in message["parts"])

    async def until(self, thread: str, wanted: "tuple[str, str]") -> None:
        deadline = time.monotonic() + 10
        while self.last(thread) != wanted and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.assertEqual(self.last(thread), wanted)

    async def test_an_answer_is_whole(self) -> None:
        thread = self.thread()

        async def words():
            for word in range(50):
                await asyncio.sleep(0.002)
                yield delta(f"{word} ")

        self.assertEqual(await Threadmill(self.url).start_run(thread).write_async(words()), "complete")
        self.assertEqual(self.last(thread), ("complete", "".join(f"{word} " for word in range(50))))

    async def test_many_answers_are_written_at_once(self) -> None:
        threads = [self.thread() for _ in range(40)]
        seen = asyncio.Event()

        async def words():
            yield delta("one ")
            # Nobody goes on before all have begun.
            await seen.wait()
            yield delta("two")

        threadmill = Threadmill(self.url)
        runs = [threadmill.start_run(thread) for thread in threads]
        writing = [asyncio.create_task(run.write_async(words())) for run in runs]
        for thread in threads:
            await self.until(thread, ("streaming", "one "))
        seen.set()
        self.assertEqual(await asyncio.wait_for(asyncio.gather(*writing), 20), ["complete"] * 40)
        self.assertEqual({self.last(thread) for thread in threads}, {("complete", "one two")})

    async def test_a_stop_cancels_what_is_waited_for(self) -> None:
        thread = self.thread()
        run = Threadmill(self.url).start_run(thread)
        cancelled = asyncio.Event()

        async def endless():
            yield delta("so far")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        writing = asyncio.create_task(run.write_async(endless()))
        await self.until(thread, ("streaming", "so far"))
        began = time.monotonic()
        await asyncio.to_thread(self.ask, f"/runs/{run.id}/stop", {})
        self.assertEqual(await writing, "stopped")
        self.assertTrue(cancelled.is_set() and run.stopped.is_set())
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(self.last(thread), ("stopped", "so far"))

    async def test_a_source_that_fails_ends_the_run_as_failed(self) -> None:
        thread = self.thread()

        async def failing():
            yield delta("half")
            raise ValueError("the model is on fire")

        run = Threadmill(self.url).start_run(thread)
        self.assertEqual(await run.write_async(failing()), "failed")
        self.assertEqual(self.ask(f"/runs/{run.id}")["run"]["error"], "the model is on fire")
        self.assertEqual(self.last(thread), ("failed", "half"))

    async def test_a_writer_that_is_cancelled_leaves_a_run_that_is_over(self) -> None:
        thread = self.thread()

        async def endless():
            yield delta("so far")
            await asyncio.Event().wait()

        writing = asyncio.create_task(Threadmill(self.url).start_run(thread).write_async(endless()))
        await self.until(thread, ("streaming", "so far"))
        writing.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await writing
        await self.until(thread, ("stopped", "so far"))

    async def test_messages_are_whole_and_a_question_has_one_answer(self) -> None:
        text = "why " * 10_000
        thread = self.thread(text)
        threadmill = Threadmill(self.url)
        run = threadmill.start_run(thread, message=f"a-{uuid.uuid4()}")
        (question,) = threadmill.messages(thread)
        self.assertEqual((question["role"], question["parts"]), ("user", [{"type": "text", "text": text}]))
        with self.assertRaises(ThreadmillError) as refused:
            threadmill.start_run(thread)
        self.assertEqual(refused.exception.code, "run_in_progress")
        run.write(iter([delta("because")]))
        answer = threadmill.messages(thread, last=1)
        self.assertEqual([message["role"] for message in answer], ["assistant"])
        with self.assertRaises(ThreadmillError) as taken:
            threadmill.start_run(thread, message=answer[0]["id"])
        self.assertEqual(taken.exception.code, "id_taken")
        with self.assertRaises(ThreadmillError) as nowhere:
            threadmill.messages("nowhere")
        self.assertEqual(nowhere.exception.code, "thread_not_found")


if __name__ == "__main__":
    unittest.main()
