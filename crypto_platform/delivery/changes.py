"""What of a poll is new: what differs from the last of its key that this run published.

Here: that choice. Not here: which fields count (the feed says so in `state_of` and `state_key_of`),
publishing (ingest.py). A run begins without memory: its first poll may repeat, and ids absorb that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crypto_platform.feeds import Feed, Record


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be published of a poll.

    Attributes:
        records: In the poll's order.
        states: By feed and key, what `Published.note` remembers of them.
    """

    records: Sequence[Record]
    states: dict[tuple[str, str], object] = field(default_factory=dict[tuple[str, str], object])


class Published:
    """What one run published last, by feed and key."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._states: dict[tuple[str, str], object] = {}

    def choose_changed(self, feed: Feed[Record], records: Sequence[Record]) -> Changes:
        """The records that say something else than the last of their key; nothing is noted."""
        states: dict[tuple[str, str], object] = {}
        changed: list[Record] = []
        for record in records:
            key = (feed.state_key_of or feed.key_of)(record)
            state = record.event_id if feed.state_of is None else feed.state_of(record)
            place = (feed.name, key)
            if states.get(place, self._states.get(place)) != state:
                states[place] = state
                changed.append(record)
        return Changes(records=changed, states=states)

    def note(self, changes: Changes) -> None:
        """They were published."""
        self._states |= changes.states
