"""A whole store as files, and back."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crypto_platform.stores.sums import Sum


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """What a dump holds, all of one moment.

    Attributes:
        revision: Of the tables; empty where the store has no such thing.
        sums: Count and hash sum of each feed's records, by its name.
        next_offsets: By topic and partition: market.trades/3.
    """

    server_version: str
    revision: str
    sums: Mapping[str, Sum]
    next_offsets: Mapping[str, int]


class Dumper(Protocol):
    """One store as files, and back."""

    @property
    def sink(self) -> str:
        """Name in bookkeeping: postgres, mongo."""
        ...

    @property
    def replaces_at_once(self) -> bool:
        """Whether a `put_back` that is refused has changed nothing."""
        ...

    def read_version(self) -> str:
        """The server's, as it writes it."""
        ...

    def estimate_bytes(self) -> int:
        """About how large a dump will be at most."""
        ...

    def is_empty(self) -> bool:
        """Whether there is nothing that could be overwritten."""
        ...

    def dump(self, folder: Path, progress: Callable[[str], None]) -> Dumped:
        """Write everything of one moment into a folder that does not exist yet.

        Raises:
            StoreUnavailableError, StoreRefusedError: What is in the folder is of no use.
        """
        ...

    def read_sums(self) -> Mapping[str, Sum]:
        """Count and hash sum of each feed's records as they are now."""
        ...

    def put_back(
        self, folder: Path, names: Collection[str], progress: Callable[[str], None]
    ) -> None:
        """Replace everything by what `dump` wrote; no load sees half of it.

        Args:
            names: The files that were verified, by path within the folder; no other is read.
        """
        ...
