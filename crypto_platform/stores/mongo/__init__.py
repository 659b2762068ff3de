"""MongoDB as a store: documents, claims and transactions; the only home of pymongo.

Reading order: store.py, writer.py, claims.py, records.py, bookkeeping.py, pieces.py, documents.py,
reader.py, matters.py; below them connection.py and errors.py; beside them schema.py, commands.py.
The protocol is docs/exactly-once.md.
"""

from crypto_platform.stores.mongo.schema import migrate
from crypto_platform.stores.mongo.store import MongoStore

__all__ = ["MongoStore", "migrate"]
