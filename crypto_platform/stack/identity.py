"""What one data folder keeps for good: passwords, ids, its first hour, its last ports.

Here: making, reading and writing `<data>/identity.json` (mode 0600). Not here: which ports are
free (ports.py), the URLs made of it (environment.py).
"""

import base64
import secrets
import uuid
from datetime import UTC, datetime
from pathlib import Path

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import IDENTITY_FILE, refuse_foreign_folder, write_private

POSTGRES_ROLES = ("admin", "migrator", "loader", "analyst", "api")
MONGO_ROLES = ("admin", "migrator", "loader", "analyst")


class Identity(BaseModel):
    """One data folder's secrets and names; a changed copy replaces the file as a whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    installed_at: AwareDatetime
    postgres_passwords: dict[str, str]
    mongo_passwords: dict[str, str]
    dagster_passwords: dict[str, str]
    mongo_key: str
    kafka_cluster_id: str
    # of a folder made before there was a company: the first `up` since then writes it down
    company_secret: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    # the same of one made before there was an API
    api_secret: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    ports: dict[str, int] = Field(default_factory=dict[str, int])

    @field_validator("postgres_passwords")
    @classmethod
    def _complete(cls, passwords: dict[str, str]) -> dict[str, str]:
        """A folder made before a role was thought of has no password of it."""
        return {role: secrets.token_urlsafe(24) for role in POSTGRES_ROLES} | passwords


def new_identity(now: datetime) -> Identity:
    """Make fresh secrets; the first hour of the load partitions is `now`'s, in UTC."""
    return Identity(
        installed_at=now.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        postgres_passwords={role: secrets.token_urlsafe(24) for role in POSTGRES_ROLES},
        mongo_passwords={role: secrets.token_urlsafe(24) for role in MONGO_ROLES},
        dagster_passwords={role: secrets.token_urlsafe(24) for role in ("admin", "dagster")},
        mongo_key=base64.b64encode(secrets.token_bytes(96)).decode(),
        kafka_cluster_id=new_cluster_id(uuid.uuid4().bytes),
    )


def new_cluster_id(random: bytes) -> str:
    """Kafka's form of 16 random bytes, never with a leading `-`: its tools take that for an option.

    One id in 64 would begin so; a first bit of 0 keeps to letters.
    """
    first = bytes([random[0] & 0x7F])
    return base64.urlsafe_b64encode(first + random[1:]).decode().rstrip("=")


def read_identity(data_dir: Path) -> Identity | None:
    """The folder's identity, or None where nothing was ever started.

    Raises:
        StackError: The file is there but cannot be read as one.
    """
    path = data_dir / IDENTITY_FILE
    if not path.exists():
        return None
    try:
        return Identity.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        problem = error.errors()[0]
        message = (
            f"{path} cannot be used ({problem['msg']} at {'.'.join(map(str, problem['loc']))}): "
            f"restore it from a backup, or choose another folder with --data-dir"
        )
        raise StackError(message) from None


def find_identity(data_dir: Path, *, now: datetime) -> Identity:
    """The folder's identity, made and stored at the first call.

    Raises:
        StackError: The file is damaged, or lost while the servers' data are there.
    """
    known = read_identity(data_dir)
    if known is not None:
        return known
    refuse_foreign_folder(data_dir)
    made = new_identity(now)
    write_identity(data_dir, made)
    return made


def write_identity(data_dir: Path, identity: Identity) -> None:
    """Store it in one step."""
    write_private(data_dir / IDENTITY_FILE, identity.model_dump_json(indent=2) + "\n")
