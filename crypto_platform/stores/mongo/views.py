"""Views: what documents say in another shape, for people and their tools.

Here: their pipelines. A view of facts cannot differ from them, and costs no write. Not here: making
them (schema.py), what the platform itself reads (accounts.py).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from crypto_platform.feeds.account_events import ACCOUNT_EVENTS


class View(NamedTuple):
    """A view of a collection.

    Attributes:
        description: One sentence for people.
    """

    name: str
    collection: str
    pipeline: Sequence[dict[str, Any]]
    description: str


_KEPT = (
    *("user_id", "sequence", "user_sequence", "kind", "ts_event_us", "ts_event"),
    *("order_id", "venue_symbol", "side", "trade_id", "fill_price", "fill_quantity"),
    *("liquidity", "fill_fee", "fill_fee_currency"),
)


FILLS = View(
    "fills",
    ACCOUNT_EVENTS.collection,
    [
        {"$match": {"trade_id": {"$type": "string"}}},
        {"$project": dict.fromkeys(_KEPT, 1)},
    ],
    "Each half of a match, by order.",
)


def _sum_postings(account: str) -> dict[str, Any]:
    """Of one account, in the wallet's currency."""
    place, currency = "$$leg", {"$arrayElemAt": ["$wallet_currencies", "$$wallet"]}
    is_own = {
        "$and": [
            {"$eq": [{"$arrayElemAt": ["$posting_accounts", place]}, account]},
            {"$eq": [{"$arrayElemAt": ["$posting_currencies", place]}, currency]},
        ]
    }
    amount = {"$arrayElemAt": ["$posting_amounts", place]}
    legs = {"$range": [0, {"$size": "$posting_amounts"}]}
    return {"$sum": {"$map": {"input": legs, "as": "leg", "in": {"$cond": [is_own, amount, 0]}}}}


TRANSACTIONS = View(
    "transactions",
    ACCOUNT_EVENTS.collection,
    [
        {
            "$project": {
                **dict.fromkeys(_KEPT, 1),
                "wallets": {
                    "$map": {
                        "input": {"$range": [0, {"$size": "$wallet_currencies"}]},
                        "as": "wallet",
                        "in": {
                            "currency": {"$arrayElemAt": ["$wallet_currencies", "$$wallet"]},
                            "available_change": _sum_postings("available"),
                            "locked_change": _sum_postings("locked"),
                            "available": {"$arrayElemAt": ["$wallet_available", "$$wallet"]},
                            "locked": {"$arrayElemAt": ["$wallet_locked", "$$wallet"]},
                        },
                    }
                },
            }
        }
    ],
    "What each event changed in each wallet of its user, and what was there after it.",
)

VIEWS = (FILLS, TRANSACTIONS)
