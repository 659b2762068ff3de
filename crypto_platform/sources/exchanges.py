"""What was asked and answered, word for word, without secrets: for a bug report, to be read again.

Here: the record of a request and its answer, noted while somebody records (`sources check
--record`). Not here: asking (http.py), the file and playing it again (cli/source_records.py).

Of a request only its path and query are kept, never its headers, which carry the key; of an
answer's headers only those listed here: others name the caller or his session. The key is taken out
of everything else too, should a source repeat it.
"""

import base64
import contextlib
import re
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from urllib.parse import quote, urlsplit

import msgspec

_KEPT_HEADERS = re.compile(
    r"content-type|content-encoding|date|retry-after|cb-after|cb-before|.*(?:rate-?limit|weight).*",
    re.IGNORECASE,
)


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and its answer.

    Attributes:
        path: Below the host, with that of base_url.
        query: As it was sent.
        headers: Of the answer, those that are kept.
        body: Decompressed; empty where it is no UTF-8.
        body_base64: Then it is this.
    """

    path: str
    query: str
    status: int
    headers: dict[str, str]
    body: str = ""
    body_base64: str = ""

    @property
    def body_bytes(self) -> bytes:
        """The body as it came."""
        return base64.b64decode(self.body_base64) if self.body_base64 else self.body.encode()


_RECORDING: ContextVar[list[Exchange] | None] = ContextVar("exchanges", default=None)


@contextlib.contextmanager
def record_exchanges() -> Generator[list[Exchange]]:
    """Keep whatever this thread asks meanwhile."""
    exchanges: list[Exchange] = []
    token = _RECORDING.set(exchanges)
    try:
        yield exchanges
    finally:
        _RECORDING.reset(token)


def note_exchange(
    url: str, *, status: int, headers: Mapping[str, str], body: bytes, key: str | None
) -> None:
    """Keep a request and its answer, where somebody records."""
    exchanges = _RECORDING.get()
    if exchanges is None:
        return
    parts = urlsplit(url)
    kept = {name: value for name, value in headers.items() if _KEPT_HEADERS.fullmatch(name)}
    # a key of a few characters blacks out ordinary words, which is better than to show it
    hidden = _hide(body, key)
    text = base_64 = ""
    try:
        text = hidden.decode()
    except UnicodeDecodeError:
        base_64 = base64.b64encode(hidden).decode()
    exchanges.append(
        Exchange(
            path=_hide(parts.path.encode(), key).decode(),
            query=_hide(parts.query.encode(), key).decode(),
            status=status,
            headers={name: _hide(value.encode(), key).decode() for name, value in kept.items()},
            body=text,
            body_base64=base_64,
        )
    )


def _hide(text: bytes, key: str | None) -> bytes:
    for form in {key, quote(key, safe="")} if key else ():
        text = text.replace(form.encode(), b"(key)")
    return text
