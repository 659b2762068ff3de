"""api_keys: keys of the HTTP API, one record when a key is made and one when it is revoked.

Of a key only its hash is kept; the key itself is shown once, to who made it. What a key is now is
said by its records together (`list_keys`). Not here: making and checking keys (serving/keys.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from crypto_platform.feeds.feed import Feed, Index, Record, Text, seal


class KeyState(StrEnum):
    """What became of a key."""

    MADE = "made"
    REVOKED = "revoked"


class ApiKey(Record, frozen=True, kw_only=True, tag=1):
    """A key was made, or revoked.

    Attributes:
        key_id: Names it, no secret.
        user_id: Whose.
        state: What happened.
        key_hash: Argon2id of the key, salt and cost within; None where it is revoked.
        label: What its user calls it.
    """

    key_id: Text
    user_id: Text
    state: KeyState
    key_hash: Text | None = None
    label: Text | None = None


def seal_api_key(draft: ApiKey) -> ApiKey:
    """Give a record its hash and its id: the key, and what happened; either happens once."""
    return seal(draft, identity=(draft.key_id, draft.state))


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as it is now.

    Attributes:
        made_us, revoked_us: When; None while it holds.
    """

    key_id: str
    user_id: str
    key_hash: str
    label: str | None
    made_us: int
    revoked_us: int | None


def list_keys(records: Iterable[ApiKey]) -> list[Key]:
    """What records say of keys, in any order; the newest first.

    One whose making is not known is none; a revocation is one whoever's name is in it.
    """
    told = list(records)
    revoked = {each.key_id: each.ts_ingest for each in told if each.state == KeyState.REVOKED}
    keys = [
        Key(
            key_id=each.key_id,
            user_id=each.user_id,
            key_hash=each.key_hash,
            label=each.label,
            made_us=each.ts_ingest,
            revoked_us=revoked.get(each.key_id),
        )
        for each in told
        if each.state == KeyState.MADE and each.key_hash is not None
    ]
    return sorted(keys, key=lambda key: (-key.made_us, key.key_id))


API_KEYS = Feed(
    name="api_keys",
    topic="accounts.api_keys",
    partitions=1,
    record=ApiKey,
    versions=ApiKey,
    key_of=lambda key: key.key_id,
    schema="accounts",
    table="api_key",
    collection="api_keys",
    keeps_topic=True,
    indexes=(Index(fields=("user_id", "key_id")),),
    description="Keys of the HTTP API: made and revoked, never the keys themselves.",
)
