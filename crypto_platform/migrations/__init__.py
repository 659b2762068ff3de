"""Bring the servers to what the code expects: tables, collections, topics, rights.

`migrate` is on the path of every start: with nothing to do it only looks. Revisions are generated
from FEEDS (`python -m crypto_platform.migrations revision -m "..."`), then read by a person. Here:
the order and the lock. Not here: what a server needs (postgres.py, stores/mongo/schema.py,
kafka/topics.py).
"""

from crypto_platform.migrations.run import migrate

__all__ = ["migrate"]
