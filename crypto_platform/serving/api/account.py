"""What a user reads of his own: orders, wallets, transactions, what it is worth; and logging in.

Here: who asks is whose rows they are; there is no parameter that names a user. Not here: which rows
a store gives to whom (stores/), which store answers (serving/failover.py).
"""

from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as In
from pydantic import BaseModel, ConfigDict, Field

from crypto_platform.feeds.accounts import ORDERS, WALLETS, Fill
from crypto_platform.feeds.record import list_fields
from crypto_platform.serving.account_sheets import build_holdings, build_transactions
from crypto_platform.serving.accounts import (
    VALUE_CURRENCY,
    read_open_orders,
    read_order,
    read_portfolio,
    read_transactions,
    read_wallets,
)
from crypto_platform.serving.api import documents
from crypto_platform.serving.api.answers import build_answer
from crypto_platform.serving.api.cursors import open_cursor, seal_cursor
from crypto_platform.serving.api.identity import OwnAsker
from crypto_platform.serving.api.parameters import Name, NoQuery, PageQuery
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared
from crypto_platform.serving.keys import KEY_LENGTH_MAX
from crypto_platform.serving.sheets import build_rows, build_struct_sheet, print_time

router = APIRouter(prefix="/v1", tags=["account"])


class Credentials(BaseModel):
    """Who logs in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: Name = Field(description="Whose key it is.", examples=["u000001"])
    key: str = Field(
        description="As it was shown when it was made.",
        min_length=1,
        max_length=KEY_LENGTH_MAX,
        examples=["ck_1f0c9a64e2b7d350_…"],
    )


@router.post("/tokens", summary="A token for a key", responses=documents.TOKEN)
def make_token(
    services: Shared, request: Request, credentials: Credentials, _: NoQuery
) -> Response:
    """Send it as `Authorization: Bearer TOKEN`. A few attempts a minute, then 429."""
    issued = services.log_ins.log_in(request, credentials.user, credentials.key)
    document = {"token": issued.token, "expires_at": print_time(issued.expires_s * 1_000_000)}
    return Response(
        msgspec.json.encode(document),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@router.get("/me/orders", summary="Open orders, newest first", responses=documents.ORDERS)
def list_orders(services: Shared, request: Request, asker: OwnAsker, _: NoQuery) -> Response:
    """At most a thousand."""
    answered = read_open_orders(services.reads, asker.user_id)
    rows = build_rows(build_struct_sheet(ORDERS.fields, answered.value))
    return build_answer(request, {"orders": rows}, [answered.source], is_private=True)


@router.get(
    "/me/orders/{order_id:path}", summary="An order with its fills", responses=documents.ORDER
)
def show_order(
    services: Shared,
    request: Request,
    asker: OwnAsker,
    order_id: Annotated[Name, Path(description="The company's id of it.", examples=["o-000017"])],
    _: NoQuery,
) -> Response:
    """Open or not; another user's is not found."""
    answered = read_order(services.reads, asker.user_id, order_id)
    if not answered.value:
        raise ApiError(HTTPStatus.NOT_FOUND, "you have no order of this id")
    [whole] = answered.value
    [order] = build_rows(build_struct_sheet(ORDERS.fields, [whole.state]))
    fills = build_rows(build_struct_sheet(list_fields(Fill), whole.parts))
    document = {"order": order, "fills": fills}
    return build_answer(request, document, [answered.source], is_private=True)


@router.get("/me/wallets", summary="What there is of each currency", responses=documents.WALLETS)
def list_wallets(services: Shared, request: Request, asker: OwnAsker, _: NoQuery) -> Response:
    """Free to use, and locked for open orders."""
    answered = read_wallets(services.reads, asker.user_id)
    rows = build_rows(build_struct_sheet(WALLETS.fields, answered.value))
    return build_answer(request, {"wallets": rows}, [answered.source], is_private=True)


class TransactionsQuery(PageQuery):
    """Which transactions; `limit` counts events, of which one may touch several wallets."""

    currency: Name | None = Field(
        None, description="Only what changed this wallet.", examples=["BTC"]
    )


@router.get(
    "/me/transactions",
    summary="What happened in the wallets, newest first",
    responses=documents.TRANSACTIONS,
)
def list_transactions(
    services: Shared, request: Request, asker: OwnAsker, query: Annotated[TransactionsQuery, In()]
) -> Response:
    """A row an event and wallet that it changed."""
    scope = ("transactions", asker.user_id, query.currency, *query.span)
    before = None
    if query.cursor is not None:
        [sequence] = open_cursor(services.cursor_secret, scope, query.cursor)
        before = int(sequence)
    answered = read_transactions(
        services.reads,
        asker.user_id,
        query.span,
        currency=query.currency,
        before_sequence=before,
        records_max=query.limit + 1,
    )
    events, more = answered.value[: query.limit], answered.value[query.limit :]
    document = {
        "transactions": build_rows(build_transactions(events, currency=query.currency)),
        "next": seal_cursor(services.cursor_secret, scope, [events[-1].sequence]) if more else None,
    }
    return build_answer(request, document, [answered.source], is_private=True)


@router.get("/me/portfolio", summary="What the wallets are worth", responses=documents.PORTFOLIO)
def show_portfolio(services: Shared, request: Request, asker: OwnAsker, _: NoQuery) -> Response:
    """In US dollars, at the newest quote or trade; what has no price is left out of the sum."""
    answered = read_portfolio(services.reads, services.settings, asker.user_id)
    portfolio = answered.value
    document = {
        "value_currency": VALUE_CURRENCY,
        "value": f"{portfolio.value:f}",
        "unpriced": list(portfolio.unpriced),
        "holdings": build_rows(build_holdings(portfolio)),
    }
    prices = [] if portfolio.prices_from is None else [portfolio.prices_from]
    return build_answer(request, document, [answered.source, *prices], is_private=True)
