"""Backups of the stores: files of one moment, with a manifest that tells whether they are whole.

Here: the folder, the manifest, its checks before anything is overwritten, and that what came back
is what went in. A store's offsets are inside its files, so a store put back goes on from there by
itself. Not here: a store's files (stores/*/dump.py), the command (cli/backup.py).

    DIR/manifest.json       written last: a folder without it is no backup
    DIR/postgres/           pg_dump, folder format
    DIR/mongo/DATABASE/     as mongodump writes it
"""

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from crypto_platform.delivery.audit_report import format_time
from crypto_platform.errors import PlatformError
from crypto_platform.stores.dump import Dumper
from crypto_platform.stores.sums import Sum

MANIFEST = "manifest.json"
FORMAT = 1
PIECE_BYTES = 1024 * 1024
FREE_BYTES_MIN = 256 * 1024 * 1024
"""Left on the disk behind a backup that was as large as it was estimated."""

Progress = Callable[[str], None]


class BackupError(PlatformError):
    """A backup cannot be made or used, with what to do about it; nothing was overwritten."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file was when it was written."""

    size_bytes: int
    sha256: str


class FeedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A feed's records: how many, and their hash sum in halves."""

    records: int
    high: int
    low: int

    @classmethod
    def of(cls, found: Sum) -> "FeedFacts":
        """The same in a form that is written."""
        return cls(records=found.count, high=found.high, low=found.low)


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One store in a backup.

    Attributes:
        revision: Of the tables, where the store has such a thing.
        feeds, next_offsets: Of the moment that the files show.
        files: By path within the store's folder.
    """

    server_version: str
    revision: str
    feeds: Mapping[str, FeedFacts]
    next_offsets: Mapping[str, int]
    files: Mapping[str, FileFacts]

    @property
    def records(self) -> int:
        """Of all feeds."""
        return sum(feed.records for feed in self.feeds.values())

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files.values())


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    made_at: str
    platform_version: str
    deployment: str
    stores: Mapping[str, StoreFacts]


def refuse_target(folder: Path, dumpers: Collection[Dumper]) -> int:
    """Check where a backup is to go; returns about how many bytes it will have.

    Raises:
        BackupError: Something is there already, it cannot be written, or the disk is too small.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} is there and not empty: name a folder that is not, with --to"
        raise BackupError(message)
    size_bytes = sum(dumper.estimate_bytes() for dumper in dumpers)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < size_bytes + FREE_BYTES_MIN:
        message = (
            f"{there} has {free_bytes / 1e9:,.1f} GB free, the backup may need "
            f"{size_bytes / 1e9:,.1f} GB: choose another disk with --to, or make room"
        )
        raise BackupError(message)
    return size_bytes


def back_up(
    dumpers: Sequence[Dumper],
    folder: Path,
    *,
    deployment: str,
    now_us: int,
    progress: Progress = lambda _: None,
) -> Manifest:
    """Write a backup of these stores, one after the other.

    Raises:
        BackupError: See `refuse_target`; or a file cannot be written, and what is there is removed.
        StoreUnavailableError, StoreRefusedError: The same.
    """
    refuse_target(folder, dumpers)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        stores = {each.sink: _dump(each, folder / each.sink, progress) for each in dumpers}
        manifest = Manifest(
            format=FORMAT,
            made_at=format_time(now_us),
            platform_version=version("crypto_platform"),
            deployment=deployment,
            stores=stores,
        )
        part = folder / f".{MANIFEST}"
        part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        part.replace(folder / MANIFEST)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        message = f"{folder} cannot be written: {error}; what was there of the backup is removed"
        raise BackupError(message) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


def _dump(dumper: Dumper, folder: Path, progress: Progress) -> StoreFacts:
    dumped = dumper.dump(folder, progress)
    return StoreFacts(
        server_version=dumped.server_version,
        revision=dumped.revision,
        feeds={name: FeedFacts.of(found) for name, found in dumped.sums.items()},
        next_offsets=dumped.next_offsets,
        files={
            str(file.relative_to(folder)): FileFacts(
                size_bytes=file.stat().st_size, sha256=_hash(file)
            )
            for file in _list_files(folder)
        },
    )


def _list_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """What a backup says of itself.

    Raises:
        BackupError: It is none, or of another format.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        message = f"{folder} is no backup, or one that was not finished: {error}"
        raise BackupError(message) from None
    except msgspec.DecodeError as error:
        message = f"{folder / MANIFEST} is not what a backup writes: {error}"
        raise BackupError(message) from None
    if manifest.format != FORMAT:
        message = (
            f"{folder} is a backup of format {manifest.format}, this version reads {FORMAT}: use "
            f"the platform's version that made it ({manifest.platform_version})"
        )
        raise BackupError(message)
    return manifest


def verify(
    manifest: Manifest,
    folder: Path,
    dumper: Dumper,
    *,
    known_revisions: Collection[str],
    progress: Progress = lambda _: None,
) -> StoreFacts:
    """Check all that can be known before anything is overwritten; returns the store's part.

    Raises:
        BackupError: The store is not in it, a file is missing or changed, a version does not fit.
    """
    facts = manifest.stores.get(dumper.sink)
    if facts is None:
        message = f"{folder} holds {', '.join(manifest.stores) or 'nothing'}, not {dumper.sink}"
        raise BackupError(message)
    server, made_on = _major(dumper.read_version()), _major(facts.server_version)
    if server < made_on:
        message = (
            f"{dumper.sink}: the backup is of server version {facts.server_version}, this one is "
            f"{dumper.read_version()}: restore it into a server that is no older"
        )
        raise BackupError(message)
    if facts.revision and facts.revision not in known_revisions:
        message = (
            f"{dumper.sink}: the backup's tables are at revision {facts.revision}, which this "
            f"version of the platform does not know: use {manifest.platform_version} or a newer one"
        )
        raise BackupError(message)
    progress(f"{dumper.sink}: verifying {len(facts.files)} files, {facts.size_bytes:,} bytes")
    own = folder / dumper.sink
    for name, wanted in facts.files.items():
        file = own / name
        if not file.is_file():
            message = f"{file} is missing: the backup is not whole"
            raise BackupError(message)
        if file.stat().st_size != wanted.size_bytes or _hash(file) != wanted.sha256:
            message = f"{file} is not as it was written: the backup is damaged"
            raise BackupError(message)
    return facts


def _major(server_version: str) -> tuple[int, ...]:
    first = server_version.split(".", maxsplit=1)[0].rsplit(maxsplit=1)[-1]
    return (int(first),) if first.isdigit() else (0,)


def put_back(
    facts: StoreFacts, folder: Path, dumper: Dumper, *, progress: Progress = lambda _: None
) -> None:
    """Replace a store by what a verified backup holds, and compare what came back.

    Raises:
        BackupError: Other records are there than were backed up.
        StoreUnavailableError, StoreRefusedError: See Dumper.put_back.
    """
    dumper.put_back(folder / dumper.sink, facts.files, progress)
    progress(f"{dumper.sink}: comparing what came back")
    there = {name: FeedFacts.of(found) for name, found in dumper.read_sums().items()}
    wrong = [name for name, wanted in facts.feeds.items() if there.get(name) != wanted]
    if wrong:
        message = (
            f"{dumper.sink}: other records came back of {', '.join(wrong)} than the backup says: "
            f"`crypto-platform audit` names them"
        )
        raise BackupError(message)
