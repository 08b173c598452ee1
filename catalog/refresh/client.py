"""One polite conversation with one web API: one request at a time, a least distance between them, bounded patience.

Passing faults (a busy or broken server, half an answer, something that is not JSON) are tried again after a wait that
doubles and is spread at random, or after the time that the server asks for. The clock is a parameter: tests wait in no
time.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

ATTEMPTS = 5
ATTEMPTS_TO_REACH = 3  # without any connection: a network that is down should be said soon
FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0  # seconds; doubles from one attempt to the next
PATIENCE = 300.0  # seconds; a server that wants a longer wait is left alone for this run
SOCKET_TIMEOUT = 30.0  # seconds without a byte
ANSWER_TIMEOUT = 120.0  # seconds for one whole answer
SIZE_LIMIT = 20_000_000  # bytes of one answer; Semantic Scholar sends at most 10 MB, OpenAlex 100 records

_PASSING = {403, 408, 425, 429, 500, 502, 503, 504}  # OpenAlex answers 403 to those who are too fast


class RefreshError(Exception):
    """Something that ends the refreshing, or a part of it, said in one sentence."""


class Unreachable(RefreshError):
    """The host cannot be reached at all: no network, no such name, nobody listening."""


class Refused(RefreshError):
    """The source wants no further requests for now."""


class NoAnswer(RefreshError):
    """One request got no proper answer, however often it was tried."""


class Clock(Protocol):
    """What the client needs of the module `time`."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class _Passing(Exception):
    """A fault that may be gone at the next attempt."""

    def __init__(self, reason: str, retry_after: float | None = None, unreachable: bool = False):
        super().__init__(reason)
        self.retry_after = retry_after
        self.unreachable = unreachable


class _SameHost(HTTPRedirectHandler):
    """Follows redirects (OpenAlex answers so for merged works) as long as they stay on the host."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            raise HTTPError(req.full_url, code, "a redirect to another host", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass
class Client:
    """GET requests below one address that answer with JSON.

    `parameters` go with every request and may be secret: no message contains them. `interval` is the least time in
    seconds between the end of one request and the start of the next. `jitter` gives numbers in [0, 1).
    """

    name: str
    base: str
    user_agent: str
    interval: float
    headers: dict[str, str]
    parameters: dict[str, str]
    clock: Clock = time
    jitter: Callable[[], float] = random.random
    socket_timeout: float = SOCKET_TIMEOUT
    answer_timeout: float = ANSWER_TIMEOUT

    def __post_init__(self) -> None:
        self.base = self.base.rstrip("/")
        self.requests = 0
        self._opener = build_opener(_SameHost)
        self._not_before = float("-inf")

    def get(self, path: str, **query: str | int) -> Any | None:
        """The JSON at `path`, or None where there is no such thing (404).

        Raises Unreachable, Refused or NoAnswer, all after the attempts that make sense.
        """
        url = f"{self.base}{path}?{urlencode({**query, **self.parameters}, safe=':/,')}"
        fault = _Passing("")
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(attempt, fault.retry_after)
            try:
                return self._once(url)
            except _Passing as error:
                fault = error
            if fault.unreachable and attempt + 1 == ATTEMPTS_TO_REACH:
                break
        if fault.unreachable:
            raise Unreachable(f"{self.name} cannot be reached at {urlsplit(self.base).netloc}: {fault}")
        raise NoAnswer(f"{fault} ({ATTEMPTS} attempts)")

    def _wait(self, attempt: int, retry_after: float | None) -> None:
        """Wait before attempt number `attempt` (from 1), at least as long as the server asked for."""
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * (0.5 + 0.5 * self.jitter())
        if retry_after is not None and retry_after > PATIENCE:
            raise Refused(f"{self.name} asks to wait {_duration(retry_after)} before the next request")
        self.clock.sleep(max(backoff, retry_after or 0.0))

    def _once(self, url: str) -> Any | None:
        wait = self._not_before - self.clock.monotonic()
        if wait > 0:
            self.clock.sleep(wait)
        self.requests += 1
        try:
            headers = {"User-Agent": self.user_agent, "Accept": "application/json", **self.headers}
            with self._opener.open(Request(url, headers=headers), timeout=self.socket_timeout) as response:
                body = self._read(response)
        except HTTPError as error:
            with error:
                return self._failed(error)
        except URLError as error:  # before any answer: name, connection, certificate
            broken = isinstance(error.reason, (ConnectionResetError, BrokenPipeError))
            raise _Passing(_reason(error.reason), unreachable=not broken) from error
        except TimeoutError as error:
            raise _Passing("the answer takes too long") from error
        except (HTTPException, OSError) as error:
            raise _Passing(f"the answer broke off ({_reason(error)})") from error
        finally:
            self._not_before = self.clock.monotonic() + self.interval
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Passing("the answer is not JSON") from error

    def _failed(self, error: HTTPError) -> None:
        """None for 404; every other status raises."""
        if error.code in (404, 410):
            return None
        if error.code == 401:
            raise Refused(f"{self.name} does not accept the request (HTTP 401); is its API key set, and right?")
        if error.code in _PASSING:
            raise _Passing(f"HTTP {error.code}", self._retry_after(error.headers))
        raise NoAnswer(f"HTTP {error.code}, {error.reason}")

    def _read(self, response: HTTPResponse) -> bytes:
        """The whole body, within the limits of time and size; what ends early is a passing fault."""
        end = self.clock.monotonic() + self.answer_timeout
        parts: list[bytes] = []
        size = 0
        while part := response.read1(65536):  # read1 returns with what is there, so that the time is looked at
            parts.append(part)
            size += len(part)
            if size > SIZE_LIMIT:
                raise NoAnswer(f"the answer is larger than {SIZE_LIMIT:,} bytes")
            if self.clock.monotonic() > end:
                raise TimeoutError
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and size < int(announced):  # read1 itself does not mind
            raise _Passing(f"the answer broke off after {size:,} of {int(announced):,} bytes")
        return b"".join(parts)

    def _retry_after(self, headers: Message) -> float | None:
        """Seconds from the header Retry-After, which holds seconds or a date; None where it is missing or nonsense."""
        value = (headers.get("Retry-After") or "").strip()
        if value.isdigit() and len(value) < 10:
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self.clock.time())
        except (ValueError, OverflowError):
            return None


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{round(seconds / 3600)} hours"
