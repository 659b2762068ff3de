"""Ask a source over HTTP: bounded in time and size, polite, and with typed errors.

Here: the only use of `requests`; time limits, size limit, budget, quick repeats, and what each
status means. Not here: what an answer says (the dialects), long waits (delivery/ingest.py obeys
`retry_after_s`).

Repeating is safe because sources are only read (GET). What `requests` would do by itself and is
kept from it: follow redirects (it would take key headers along to another host), log in from
~/.netrc (it would replace the key), send requests to this machine through a proxy.
"""

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

import requests
import requests.auth
import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader

from crypto_platform.encryption import is_this_machine
from crypto_platform.errors import (
    ConfigurationError,
    SourceError,
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.settings import ENV_PREFIX, SourceSettings
from crypto_platform.sources.budget import LIVE_SHARE, Budget
from crypto_platform.sources.exchanges import note_exchange

CONNECT_S_MAX = 5.0
RETRIES_MAX = 2
RETRY_PAUSE_S = 0.3
"""Before the first repeat, doubled before the second, each with up to half as much again."""
BUDGET_WAIT_S_MAX = 2.0
EXCERPT_CHARS = 200
CHUNK_BYTES = 64 * 1024
ERROR_BODY_BYTES_MAX = 8 * 1024
KEY_SECRET_CHARS_MIN = 8
"""A shorter key is no secret, and hiding it would black out ordinary words."""

_IF_NONE_MATCH = "If-None-Match"
_TOO_MANY_REQUESTS = frozenset({418, 429})
"""418 is Binance's: it goes on being asked after its 429, and then for minutes to days."""
_COME_AGAIN = frozenset({408, 425}) | _TOO_MANY_REQUESTS


class Form(Enum):
    """What an answer must look like, by its first byte, blanks apart.

    HTML with status 200 is what proxies and sites under repair answer.
    """

    JSON = (b"{", b"[")
    XML = (b"<?xml", b"\xef\xbb\xbf<?xml")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer with status 200 that looks like what was asked for.

    Attributes:
        body: Decompressed, at most `body_bytes_max` long, beginning as its form does.
        url: What was asked, without its query.
        etag: The source's name of this content; None where it gives none.
    """

    body: bytes
    url: str
    etag: str | None = None


def reveal_key(source: str, settings: SourceSettings) -> str | None:
    """The source's key without surrounding blanks; None where there is none.

    Raises:
        ConfigurationError: It has characters that no header can carry (its text is not shown).
    """
    if settings.key is None:
        return None
    key = settings.key.get_secret_value().strip()
    if key and not all("!" <= char <= "~" for char in key):
        message = (
            f"sources.{source}.key has blanks or characters outside ASCII inside (not shown): "
            f"set {name_key_setting(source)} to the key alone"
        )
        raise ConfigurationError(message)
    return key or None


def name_key_setting(source: str) -> str:
    """How a person sets a source's key."""
    return f"{ENV_PREFIX}SOURCES__{source.upper()}__KEY (or key = ... under [sources.{source}])"


class HttpClient:
    """Asks one source. One thread a feed uses it."""

    def __init__(
        self,
        *,
        source: str,
        settings: SourceSettings,
        stop: threading.Event | None = None,
        share: float = LIVE_SHARE,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            source: Name in the settings.
            settings: Of this source.
            stop: When set, pauses end at once and nothing is repeated.
            share: Of requests_per_minute_max, see budget.py.

        Raises:
            ConfigurationError: base_url or key cannot work.
        """
        parts = urlsplit(settings.base_url)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            message = (
                f"sources.{source}.base_url must be scheme, host and path only, such as "
                f"https://api.example.com/v3; a key belongs into {name_key_setting(source)}"
            )
            raise ConfigurationError(message)
        self.key = reveal_key(source, settings)
        self.budget = Budget(settings.requests_per_minute_max, share=share)
        self._source = source
        self._settings = settings
        self._stop = stop or threading.Event()
        self._session = requests.Session()
        self._session.auth = _NoAuth()
        self._session.trust_env = not is_this_machine(parts.hostname)
        self._session.headers.update(
            {"Accept": "application/json", "User-Agent": "crypto-platform"}
        )

    def close(self) -> None:
        """Give back the connections; the client may be used again afterwards."""
        self._session.close()

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for one page.

        Connection errors, 408, 425 and 5xx are repeated at most twice, unless the source names a
        time (Retry-After) or `timeout_s` is over. With repeats it takes at most twice `timeout_s`
        (a body that stalls at the very end), and up to 2 s before that for the budget.

        Args:
            path: Below base_url, with a leading slash.
            params: Query; never part of an error text.
            headers: For example the key.

        Raises:
            SourceUnavailableError: Not reached, too slow, 408, 425, 429, 5xx, or over budget.
            SourceRefusedError: Redirect or another 4xx; says which setting to look at.
            SourceMalformedError: Cut short, too long, HTML, or nothing like JSON.
        """
        answer = self._get(path, params or {}, headers or {}, form=Form.JSON)
        assert answer is not None, "without an ETag nothing is unchanged"
        return answer

    def get_changed(self, path: str, *, etag: str | None, form: Form) -> Answer | None:
        """Ask for one page as `get` does, in another form; None where it is what it was.

        Args:
            etag: Of the last answer that was used; None asks for the page whatever it is.
            form: What it must look like, or it is malformed.

        Source: RFC 9110, 13.1.2 (If-None-Match), 15.4.5 (304).
        """
        headers = {} if etag is None else {_IF_NONE_MATCH: etag}
        return self._get(path, {}, {"Accept": "*/*", **headers}, form=form)

    def _get(
        self,
        path: str,
        params: Mapping[str, str | int],
        headers: Mapping[str, str],
        *,
        form: Form,
    ) -> Answer | None:
        url = self._settings.base_url.rstrip("/") + path
        self._wait_for_budget(url)
        deadline_s = time.monotonic() + self._settings.timeout_s
        repeats = 0
        while True:
            try:
                return self._ask(url, params, headers, form=form, deadline_s=deadline_s)
            except SourceUnavailableError as error:
                pause_s = RETRY_PAUSE_S * 2**repeats * random.uniform(1, 1.5)  # noqa: S311 jitter
                repeats += 1
                if (
                    repeats > RETRIES_MAX
                    or not _may_repeat_now(error)
                    or time.monotonic() + pause_s >= deadline_s
                    or self._stop.wait(pause_s)
                    or self._take() > 0
                ):
                    raise

    def _take(self) -> float:
        """One request of this feed's part of the budget: a feed has a thread of its own."""
        return self.budget.take(time.monotonic(), user=threading.get_ident())

    def _wait_for_budget(self, url: str) -> None:
        while (wait_s := self._take()) > 0:
            if wait_s > BUDGET_WAIT_S_MAX or self._stop.wait(wait_s):
                message = (
                    f"{self._source}: not asked, its budget of {self.budget.requests_max} requests "
                    f"in {self.budget.window_s:.0f} s is used up; there is room in {wait_s:.1f} s "
                    f"(raise sources.{self._source}.requests_per_minute_max if it allows more)"
                )
                raise SourceUnavailableError(
                    message, source=self._source, url=url, retry_after_s=wait_s
                )

    def _ask(
        self,
        url: str,
        params: Mapping[str, str | int],
        headers: Mapping[str, str],
        *,
        form: Form,
        deadline_s: float,
    ) -> Answer | None:
        left_s = max(deadline_s - time.monotonic(), 0.001)
        try:
            with self._session.get(
                url,
                params=dict(params),
                headers=dict(headers),
                timeout=(min(CONNECT_S_MAX, left_s), left_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                is_page = response.status_code == http.client.OK
                body = (
                    self._read_body(response, url, deadline_s=deadline_s)
                    if is_page
                    else _read_some(response)
                )
                note_exchange(
                    response.url,
                    status=response.status_code,
                    headers=response.headers,
                    body=body,
                    key=self.key,
                )
                if response.status_code == http.client.NOT_MODIFIED and _IF_NONE_MATCH in headers:
                    return None
                self._check_status(response, url, body)
                etag = response.headers.get("ETag")
        except (requests.RequestException, HTTPError, OSError, http.client.HTTPException) as error:
            raise self._translate(error, url) from error
        self._check_form(body, url, form)
        return Answer(body=body, url=url, etag=etag)

    def _check_status(self, response: requests.Response, url: str, body: bytes) -> None:
        status = response.status_code
        if status == http.client.OK:
            return
        said = f"answered {status}: {self._excerpt(body)}"
        if status in _COME_AGAIN or status >= http.client.INTERNAL_SERVER_ERROR:
            message = f"{self._source}: {url} {said}"
            raise SourceUnavailableError(
                message,
                source=self._source,
                url=url,
                retry_after_s=parse_retry_after(response.headers.get("Retry-After")),
                status=status,
            )
        if status < http.client.MULTIPLE_CHOICES:
            what = f"{said}, expected 200"
            raise self._malformed(what, url)
        message = f"{self._source}: {url} {said}; {self._advise(response)}"
        raise SourceRefusedError(message, source=self._source, url=url, status=status)

    def _advise(self, response: requests.Response) -> str:
        """What a person can change after a refusal."""
        status, table = response.status_code, f"sources.{self._source}"
        if status < http.client.BAD_REQUEST:
            to = urlsplit(response.headers.get("Location", ""))
            return f"redirects are not followed: is {table}.base_url at {to.hostname or 'it'} now?"
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            fault = "it wants a key" if self.key is None else "the key is wrong or not allowed this"
            return f"{fault}: set {name_key_setting(self._source)}"
        if status == http.client.NOT_FOUND:
            return f"look at {table}.base_url, {table}.currency_ids and {table}.symbols"
        if status == http.client.PROXY_AUTHENTICATION_REQUIRED:
            return "a proxy on the way wants a login: look at HTTPS_PROXY and NO_PROXY"
        return f"look at {table}.quote_currency, {table}.currency_ids and {table}.symbols"

    def _read_body(self, response: requests.Response, url: str, *, deadline_s: float) -> bytes:
        bytes_max = self._settings.body_bytes_max
        # read1 returns what has come; read(n) would wait for n bytes however slowly they drip
        read: Callable[..., bytes] = response.raw.read1
        body = bytearray()
        while chunk := read(CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > bytes_max:
                what = f"sent more than {bytes_max} bytes (sources.{self._source}.body_bytes_max)"
                raise self._malformed(what, url)
            if time.monotonic() > deadline_s:
                message = (
                    f"{self._source}: {url} sent {len(body)} bytes and was not done within "
                    f"{self._settings.timeout_s} s (sources.{self._source}.timeout_s)"
                )
                raise SourceUnavailableError(message, source=self._source, url=url)
        return bytes(body)

    def _check_form(self, body: bytes, url: str, form: Form) -> None:
        if not body.lstrip(b" \t\r\n").startswith(form.value):
            said = self._excerpt(body) or "nothing"
            expected = "no XML" if form is Form.XML else "neither a JSON object nor a list"
            what = f"answered 200, but {expected}: {said}"
            raise self._malformed(what, url)
        key = (self.key or "").encode()
        if len(key) >= KEY_SECRET_CHARS_MIN and key in body[: EXCERPT_CHARS + len(key)]:
            # refused here, or the parser's error text would show it
            what = f"answered our key: {self._excerpt(body)}"
            raise self._malformed(what, url)

    def _translate(self, error: Exception, url: str) -> SourceError:
        causes = [error, *error.args, *(a for arg in error.args for a in getattr(arg, "args", ()))]
        if any(isinstance(cause, http.client.IncompleteRead) for cause in causes):
            return self._malformed("hung up before its answer was whole", url)
        if any(isinstance(cause, urllib3.exceptions.DecodeError) for cause in causes):
            return self._malformed("said its answer is compressed, and it is not", url)
        deepest: BaseException = error
        while (inner := deepest.__cause__ or deepest.__context__) is not None:
            deepest = inner
        found = self._hide_key(f"{type(deepest).__name__}: {deepest}")
        message = (
            f"{self._source}: {url} gave no answer (timeout_s is {self._settings.timeout_s}): "
            f"{found}"
        )
        return SourceUnavailableError(message, source=self._source, url=url)

    def _malformed(self, what: str, url: str) -> SourceMalformedError:
        return SourceMalformedError(f"{self._source}: {url} {what}", source=self._source, url=url)

    def _excerpt(self, body: bytes) -> str:
        """The first 200 characters, the key hidden before it could be cut in two."""
        return self._hide_key(body.decode("utf-8", "backslashreplace"))[:EXCERPT_CHARS].strip()

    def _hide_key(self, text: str) -> str:
        if self.key is None or len(self.key) < KEY_SECRET_CHARS_MIN:
            return text
        return text.replace(self.key, "(key)")


class _NoAuth(requests.auth.AuthBase):
    """Stands where requests would put a login found in ~/.netrc."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


def _may_repeat_now(error: SourceUnavailableError) -> bool:
    """Not where the source said when to come again, or that it is asked too often."""
    return error.retry_after_s is None and error.context.get("status") not in _TOO_MANY_REQUESTS


def _read_some(response: requests.Response) -> bytes:
    """The beginning of an error's body, which may well be broken: the status says enough."""
    with contextlib.suppress(HTTPError, OSError, http.client.HTTPException):
        return response.raw.read1(ERROR_BODY_BYTES_MAX, decode_content=True)
    return b""


def parse_retry_after(text: str | None) -> float | None:
    """Seconds to wait, from seconds or an HTTP date; None where it says neither.

    Returns:
        0 to 21,600 (urllib3's limit of six hours).

    Source: RFC 9110, 10.2.3.
    """
    if text is None:
        return None
    with contextlib.suppress(InvalidHeader, ValueError, OverflowError):
        return float(urllib3.Retry().parse_retry_after(text))
    return None
