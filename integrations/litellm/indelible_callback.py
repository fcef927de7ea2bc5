"""LiteLLM callback: a caller that got its answer has a durable record in Indelible.

Proxy, with this file beside config.yaml:  litellm_settings: {callbacks: ["indelible_callback.indelible"]}
SDK:  litellm.callbacks = [indelible_callback.indelible]; and for calls without await: indelible_callback.install()
INDELIBLE_URL, INDELIBLE_TOKEN  http://127.0.0.1:4318, none
INDELIBLE_MODE            strict: the answer waits for the record's fsync; prompt: it does not
INDELIBLE_HOLD            10: for how many seconds an Indelible that does not answer is waited for
INDELIBLE_ON_UNAVAILABLE  then: spool (append to the file INDELIBLE_SPOOL, ./indelible-spool.ndjson, fsynced, handed
                          over later, in order), fail (503 instead of the answer) or pass (counted; the record is lost)
Where LiteLLM gives no place to wait, strict is prompt: async SDK streams and cache hits, sync SDK calls without
install() or inside an event loop, streams with post-call guardrails, pass-through endpoints. There, and for failed
calls and async SDK calls, fail is spool.
"""

import asyncio
import datetime
import hashlib
import logging
import os
import threading
import time
import urllib.parse
import weakref
from fcntl import LOCK_EX, LOCK_NB, flock

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.llm_response_utils.response_metadata import update_response_metadata
from litellm.litellm_core_utils.safe_json_dumps import safe_dumps
from litellm.litellm_core_utils.thread_pool_executor import executor

log = logging.getLogger("indelible")
TROUBLE = (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.LimitOverrunError)


class Spool:  # a local file of records, one a line: fsynced by append, emptied by a thread once Indelible answers
    def __init__(self, path, post):
        self.path, self.post = os.path.abspath(path), post
        self.directory = os.open(os.path.dirname(self.path), os.O_RDONLY)
        threading.Thread(target=self.run, name="indelible-spool", daemon=True).start()

    def append(self, body, suffix=""):
        while True:
            with open(self.path + suffix, "ab+", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
                flock(f, LOCK_EX)  # until it is closed
                if not self.named(f, self.path + suffix):
                    continue  # it was taken away for sending since it was opened
                if f.seek(0, 2) and f.seek(-1, 2) >= 0 and f.read(1) != b"\n":
                    f.write(b"\n")  # behind a line that a crash cut short
                f.write(body + b"\n")
                f.flush()
                os.fsync(f.fileno())
                break
        os.fsync(self.directory)  # a new file's name must last, too

    def named(self, f, path):  # whether an open file still has its name
        try:
            return os.path.samestat(os.fstat(f.fileno()), os.stat(path))
        except FileNotFoundError:
            return False

    def claim(self):  # takes what is there away from the appending processes, under a name of its own
        if os.path.exists(self.path) and os.path.getsize(self.path):
            with open(self.path, "rb") as f:
                flock(f, LOCK_EX)
                if self.named(f, self.path):
                    os.link(self.path, self.path + ".sending")  # fails where another process did
                    os.unlink(self.path)
                    os.fsync(self.directory)

    def send(self):  # whether there was something to send; nobody who appends waits for it
        try:
            self.claim()
        except FileExistsError:
            pass  # what was taken away before comes first
        if not os.path.exists(self.path + ".sending"):
            return False
        with open(self.path + ".sending", "rb") as f:
            try:
                flock(f, LOCK_EX | LOCK_NB)  # what a crash has one send again is known to Indelible
            except BlockingIOError:
                return False  # another process sends
            if not self.named(f, self.path + ".sending"):
                return False
            for line in f:
                self.post(line.rstrip(b"\n"))
            os.unlink(self.path + ".sending")
            os.fsync(self.directory)
        return True

    def run(self):
        while True:
            try:
                if self.send():
                    log.warning("indelible: what was in %s has been handed over", self.path)
            except TROUBLE as e:
                log.warning("indelible: records wait in %s: %r", self.path, e)
            time.sleep(1)


class Ticket(asyncio.Future):  # of (kept, receipt); travels in LiteLLM's details of a call, which may be copied
    def __deepcopy__(self, memo):
        return self


class Indelible(CustomLogger):
    def __init__(self, env=os.environ.get):
        super().__init__()
        self.strict = {"strict": True, "prompt": False}[env("INDELIBLE_MODE", "strict")]
        self.otherwise = {o: o for o in ("spool", "fail", "pass")}[env("INDELIBLE_ON_UNAVAILABLE", "spool")]
        self.untold = "spool" if self.otherwise == "fail" else self.otherwise  # where the caller cannot be told
        self.hold, self.failing_since, self.next_try = float(env("INDELIBLE_HOLD", "10")), None, 0.0
        self.local, self.tasks, self.lost = threading.local(), {}, 0
        self.url, token = urllib.parse.urlsplit(env("INDELIBLE_URL", "http://127.0.0.1:4318")), env("INDELIBLE_TOKEN")
        self.head = "POST %s/v1/records HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n" % (
            self.url.path.rstrip("/"), self.url.netloc) + ("Authorization: Bearer %s\r\n" % token if token else "")
        self.idle = weakref.WeakKeyDictionary()  # event loop: its connections that are not in use
        self.spool = Spool(env("INDELIBLE_SPOOL", "indelible-spool.ndjson"), lambda body: self.run(self.post(body, 5)))

    def run(self, coroutine):  # in a thread that has no running event loop
        self.local.loop = getattr(self.local, "loop", None) or asyncio.new_event_loop()
        return self.local.loop.run_until_complete(coroutine)

    async def post(self, body, seconds):  # returns the receipt; by their key, bytes that are sent again are known
        digest = hashlib.sha256(body).hexdigest()
        loop, tls = asyncio.get_running_loop(), self.url.scheme == "https"
        idle = self.idle.setdefault(loop, [])
        while idle and idle[-1][0].at_eof():
            idle.pop()[1].close()
        reader, writer = idle.pop() if idle else await asyncio.wait_for(asyncio.open_connection(
            self.url.hostname, self.url.port or (443 if tls else 80), ssl=tls or None), seconds)
        timer = loop.call_later(seconds, writer.transport.abort)
        try:
            head = "Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n" % (digest, len(body))
            writer.write((self.head + head).encode() + body)
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            answer = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            await reader.readexactly(int(answer.get("content-length", 0)))
            idle.append((reader, writer)) if "content-length" in answer else writer.close()
        except BaseException:
            writer.transport.abort()
            raise
        finally:
            timer.cancel()
        if status.split()[1] in ("400", "413", "422"):
            self.spool.append(body, ".refused")
            log.error("indelible: %s: a record is kept in %s.refused", status, self.spool.path)
            self.failing_since = None
            return ""
        if not status.split()[1].startswith("2"):
            raise OSError("Indelible answered " + status)
        if not answer.get("x-indelible-receipt", "").endswith("/" + digest):  # another server, or a proxy in between
            raise OSError("no receipt for the record is in the answer of %s: %s" % (self.url.netloc, status))
        self.failing_since = None
        return answer["x-indelible-receipt"]

    def attempts(self):  # how many seconds each may take, until the hold is over, which all calls share
        while self.failing_since is None or time.monotonic() < self.failing_since + self.hold:
            yield max(1, (self.failing_since or time.monotonic()) + self.hold - time.monotonic())
        if time.monotonic() >= self.next_try:  # one call a second tries whether Indelible is back
            self.next_try = time.monotonic() + 1
            yield 1

    async def deliver(self, body, otherwise, ticket=None):
        ticket = ticket if ticket and not ticket.done() else Ticket()
        for seconds in self.attempts():
            begun = time.monotonic()
            try:
                ticket.set_result((True, await self.post(body, seconds)))
                break
            except TROUBLE as e:
                if self.failing_since is None:
                    self.failing_since = begun
                    log.warning("indelible: no answer, records are held for up to %g s: %r", self.hold, e)
                await asyncio.sleep(0.1)
        else:
            ticket.set_result((await asyncio.to_thread(self.keep, body, otherwise), ""))
        return ticket.result()

    def keep(self, body, otherwise):  # without Indelible; returns whether there is a record
        try:
            if otherwise == "spool":
                return not self.spool.append(body)
        except OSError as e:
            log.critical("indelible: cannot write %s: %r", self.spool.path, e)
        self.lost += 1
        log.error("indelible: a call has no record; %d so far", self.lost)

    def body(self, kwargs):
        names = ("litellm_call_id", "call_type", "model", "messages", "exception")  # where LiteLLM could not build it
        return safe_dumps(dict(kwargs.get("standard_logging_object") or {n: kwargs.get(n) for n in names})).encode()

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time, status="success"):
        ticket, body = kwargs.get("indelible_" + status), self.body(kwargs)
        otherwise = self.otherwise if ticket and status == "success" else self.untold
        task = asyncio.ensure_future(self.deliver(body, otherwise, ticket))
        self.tasks[task] = body
        task.add_done_callback(self.finished)
        await asyncio.shield(task)  # LiteLLM cancels log events after 20 s

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        await self.async_log_success_event(kwargs, response_obj, start_time, end_time, "failure")

    def finished(self, task):
        body = self.tasks.pop(task)
        if task.cancelled() or task.exception():  # the event loop is being closed
            self.keep(body, "spool")

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        if "async_complete_streaming_response" not in kwargs:  # else the asynchronous event has been here
            otherwise = getattr(self.local, "otherwise", self.untold)
            self.local.kept = self.run(self.deliver(self.body(kwargs), otherwise))[0]

    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        delivery = self.deliver(self.body(kwargs), self.untold)
        executor.submit(self.run, delivery) if asyncio._get_running_loop() else self.run(delivery)

    def ticket(self, call, status="success"):
        if self.strict and call and call.should_run_callback(self, call.litellm_params or {}, "indelible"):
            return call.model_call_details.setdefault("indelible_" + status, Ticket())

    async def settled(self, *tickets):
        done, _ = await asyncio.wait(tickets, timeout=self.hold + 10, return_when=asyncio.FIRST_COMPLETED)
        kept, receipt = done.pop().result() if done else (log.error("indelible: LiteLLM has not logged a call"), "")
        self.require(kept)
        return {"x-indelible-receipt": receipt} if receipt else {}

    def require(self, kept):
        if self.otherwise == "fail" and not kept:
            raise litellm.ServiceUnavailableError("no answer without a record: Indelible is unavailable", "", "")

    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        call = data.get("litellm_logging_obj")
        enqueue = getattr(call, "enqueue_deferred_logging", None)
        if enqueue and self.ticket(call) and self.otherwise == "fail":  # after this hook the call cannot fail any more
            call.enqueue_deferred_logging = enqueue()
            await self.settled(self.ticket(call))

    async def async_post_call_response_headers_hook(self, data, user_api_key_dict, response, request_headers=None):
        ticket = getattr(data.get("litellm_logging_obj"), "model_call_details", {}).get("indelible_success")
        return await self.settled(ticket) if ticket and response is not None else {}

    async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
        """Passes a stream on, except that a chunk that may be its last follows the ack."""
        call, held, error = request_data.get("litellm_logging_obj"), [], None
        waits = self.ticket(call) and not getattr(call, "_on_deferred_stream_complete", None)
        try:
            async for chunk in response:
                if held:
                    yield held.pop()
                choices = getattr(chunk, "choices", ())
                if waits and (not choices or any(getattr(c, "finish_reason", None) for c in choices)):
                    held.append(chunk)
                else:
                    yield chunk
        except Exception as e:  # a cut stream: its failure record follows
            error = e
        waits and await self.settled(self.ticket(call), self.ticket(call, "failure"))
        if held:
            yield held.pop()
        if error:
            raise error

    async def async_post_call_success_deployment_hook(self, request_data, response, call_type):
        """Without the proxy no hook follows the log event, so it is fired here, and LiteLLM then leaves it out."""
        call = request_data.get("litellm_logging_obj")
        if self.strict and not getattr(call, "defer_async_logging", True) and call.claim_async_success_log():
            times = call.start_time, datetime.datetime.now()
            update_response_metadata(response, call, request_data.get("model"), request_data, *times)
            await call.async_success_handler(response, *times)


indelible = Indelible()


def install(submit=executor.submit):
    """Makes calls without await strict: what LiteLLM would log in its thread pool is logged before it answers."""
    def submit_or_run(fn, *args, **kwargs):
        name = getattr(args[0] if args and getattr(fn, "__name__", "") == "run" else fn, "__name__", "")
        if name != "success_handler" or kwargs.get("for_async_request") or asyncio._get_running_loop():
            return submit(fn, *args, **kwargs)
        indelible.local.otherwise, indelible.local.kept = indelible.otherwise, True
        fn(*args, **kwargs)
        del indelible.local.otherwise
        indelible.require(indelible.local.kept)
        return submit(bool)  # a future

    executor.submit = submit_or_run if indelible.strict else submit
