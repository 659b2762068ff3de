"""Keys of the HTTP API: making, revoking, listing and checking them.

A key is made here, shown once, and published as a hash: it reaches both stores as every record
does. Its text holds its id, so that one hash has to be looked at, and 256 random bits. Not here:
tokens, throttling (serving/api), the records (feeds/api_keys.py).
"""

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import argon2

from crypto_platform.errors import PlatformError
from crypto_platform.feeds.api_keys import API_KEYS, ApiKey, Key, KeyState, list_keys, seal_api_key
from crypto_platform.feeds.codec import encode
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import topic_name
from crypto_platform.serving.failover import Answered, Reads, open_reads
from crypto_platform.settings import Settings

KEY_LENGTH_MAX = 128
HASHES_AT_ONCE_MAX = 2
"""Each takes 64 MB and a tenth of a second of a core."""
HASH_WAIT_S_MAX = 1.0
"""Who waits keeps a thread from others, who ask for prices."""

_PREFIX = "ck"
_PARTS = 3
_SECRET_BYTES = 32

_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$NOBODYNOBODYNOBODYNOBA$"
    "NOBODYNOBODYNOBODYNOBODYNOBODYNOBODYNOBODYA"
)
"""Of no key: what a key is compared with where there is none, so that it takes as long."""

_hasher = argon2.PasswordHasher()
_hashing = threading.BoundedSemaphore(HASHES_AT_ONCE_MAX)


class UnknownKeyError(PlatformError):
    """The user has no key of this id; the text names those he has."""


class BusyError(PlatformError):
    """Too much is going on; nothing was done."""

    retryable = True


@dataclass(frozen=True, kw_only=True)
class MadeKey:
    """A key that was just made.

    Attributes:
        text: The key itself; nobody can show it again.
    """

    key_id: str
    user_id: str
    text: str


def make_key(settings: Settings, user_id: str, *, label: str | None, clock_us: int) -> MadeKey:
    """Make a key and publish its hash; it holds as soon as a store has loaded it, in a second.

    Raises:
        KafkaUnavailableError: It was not published; there is no such key.
    """
    key_id = secrets.token_hex(8)
    text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    record = ApiKey(
        key_id=key_id,
        user_id=user_id,
        state=KeyState.MADE,
        key_hash=_hasher.hash(text),
        label=label,
        ts_ingest=clock_us,
    )
    _publish(settings, seal_api_key(record))
    return MadeKey(key_id=key_id, user_id=user_id, text=text)


def revoke_key(settings: Settings, user_id: str, key_id: str, *, clock_us: int) -> bool:
    """Publish that a key holds no more; False where it was revoked already.

    Raises:
        UnknownKeyError: The user has none of this id.
        StoreUnavailableError: No store answers.
        KafkaUnavailableError: It was not published; the key holds.
    """
    with open_reads(settings) as reads:
        keys = read_keys(reads, user_id).value
    found = next((key for key in keys if key.key_id == key_id), None)
    if found is None:
        own = ", ".join(key.key_id for key in keys) or "none"
        message = f"{user_id} has no key {key_id}; there is {own}"
        raise UnknownKeyError(message)
    if found.revoked_us is not None:
        return False
    record = ApiKey(key_id=key_id, user_id=user_id, state=KeyState.REVOKED, ts_ingest=clock_us)
    _publish(settings, seal_api_key(record))
    return True


def read_keys(reads: Reads, user_id: str) -> Answered[list[Key]]:
    """A user's keys, the newest first, revoked ones too.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
    """
    answered = reads.ask(lambda store: store.read_api_keys(user_id), [API_KEYS])
    return Answered(source=answered.source, value=list_keys(answered.value))


def find_matching(keys: Sequence[Key], text: str) -> Key | None:
    """The key that a text is, if it holds; as long in coming to none as to one.

    Raises:
        BusyError: Others' are being looked at.
    """
    parts = text.split("_", _PARTS - 1)
    key_id = parts[1] if len(parts) == _PARTS and parts[0] == _PREFIX else None
    named = next((key for key in keys if key.key_id == key_id and key.revoked_us is None), None)
    if not _hashing.acquire(timeout=HASH_WAIT_S_MAX):
        message = "too many keys are being looked at"
        raise BusyError(message)
    try:
        _hasher.verify(_NOBODY if named is None else named.key_hash, text)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return None
    finally:
        _hashing.release()
    return named


def _publish(settings: Settings, record: ApiKey) -> None:
    # a transactional id of its own: two that make keys at once must not fence each other
    publisher = Publisher(settings, source="keys", feed=API_KEYS.name, mode=record.key_id)
    topic = topic_name(settings, API_KEYS.topic)
    try:
        publisher.open()
        publisher.publish([Outgoing(topic, API_KEYS.key_of(record), encode(record))])
    finally:
        publisher.close()
