"""PostgreSQL as a store: rows, claims, commits, reads. Driver: psycopg 3, used nowhere else."""

from crypto_platform.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
