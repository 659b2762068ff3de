"""What one account event must be by itself: it adds up, or it is refused with what is wrong."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.ledger import are_opposite_neighbours, do_cancel_out, sum_by_currency
from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import AccountEvent, EventKind
from crypto_platform.feeds.codec import decode, decode_batch, encode
from tests.account_steps import build_busy_company

EVENTS = build_busy_company().events
FILL = next(event for event in EVENTS if event.trade_id is not None)


def refuse(**changes: object) -> str:
    value = encode(msgspec.structs.replace(FILL, **changes))
    with pytest.raises(RecordRejectedError) as refused:
        decode(ACCOUNT_EVENTS, value, record_bytes_max=10_000)
    assert refused.value.reason is Reason.INVARIANT
    return str(refused.value)


def test_sound_events_are_taken() -> None:
    """All kinds of them."""
    for event in EVENTS:
        assert decode(ACCOUNT_EVENTS, encode(event), record_bytes_max=10_000) == event


@pytest.mark.parametrize(
    ("amount", "is_taken"),
    [
        ("-0.00", False),
        ("-0.000000000000000000000000000000001", False),
        ("0.000000000000000000000000000000001", False),
        ("0", True),
        ("0.0000000000", True),
    ],
)
def test_postings_add_up_to_nothing_at_all(amount: str, is_taken: bool) -> None:
    """Rounded to 28 digits, a cent of dust would pass, and every sum behind it be wrong."""
    whole = {
        "posting_accounts": ("available", "outside", "fees"),
        "posting_currencies": ("USD", "USD", "USD"),
        "posting_amounts": ("123456789012345678", "-123456789012345678", amount),
    }
    if is_taken:
        value = encode(msgspec.structs.replace(FILL, **whole))
        assert decode(ACCOUNT_EVENTS, value, record_bytes_max=10_000)
    else:
        assert "posting_amounts" in refuse(**whole)


def test_each_currency_adds_up_for_itself() -> None:
    """A dollar does not make up for a coin."""
    assert "adds up to" in refuse(
        posting_accounts=("available", "outside"),
        posting_currencies=("USD", "BTC"),
        posting_amounts=("1", "-1"),
    )


def test_only_known_accounts_are_posted_to() -> None:
    """A leg on a mistyped account would be missing in somebody's wallet."""
    accounts = ("avialable", *FILL.posting_accounts[1:])
    assert "avialable" in refuse(posting_accounts=accounts)


def test_no_wallet_is_below_zero() -> None:
    """Money that nobody has cannot be set aside."""
    locked = ("-0.01", *FILL.wallet_locked[1:])
    assert "below zero" in refuse(wallet_locked=locked)


def test_every_wallet_that_was_touched_is_told() -> None:
    """Else it would stay as it was, and nobody would notice before the next event."""
    assert "was touched" in refuse(
        wallet_currencies=("USD",), wallet_available=("1",), wallet_locked=("1",)
    )


def test_a_wallet_is_told_once() -> None:
    """Two states after one event: which is it?"""
    twice = (FILL.wallet_currencies[0],) * 2
    assert "twice" in refuse(wallet_currencies=twice)


@pytest.mark.parametrize("name", ["order_id", "order_status", "filled_quantity", "ts_created"])
def test_an_order_is_whole(name: str) -> None:
    """Its state is taken from the event; half of one would blank out what was known."""
    assert f"{name}: missing" in refuse(**{name: None})


@pytest.mark.parametrize("name", ["trade_id", "fill_price", "liquidity"])
def test_a_fill_is_whole(name: str) -> None:
    """Without its id it could come in twice."""
    assert f"{name}: missing" in refuse(**{name: None})


def test_a_deposit_needs_no_order() -> None:
    """Nor a fill."""
    kinds = {event.kind for event in EVENTS if event.order_id is None}
    assert kinds == {EventKind.DEPOSIT}


def test_one_odd_event_is_refused_among_others_that_are_not() -> None:
    """And beside one that is no event at all."""
    odd = msgspec.structs.replace(FILL, wallet_locked=("-1", *FILL.wallet_locked[1:]))
    bad = msgspec.structs.replace(FILL, posting_amounts=("x", *FILL.posting_amounts[1:]))
    values = [*map(encode, (EVENTS[0], bad, EVENTS[1], odd)), b"{}", encode(EVENTS[2])]
    decoded = decode_batch(ACCOUNT_EVENTS, values, record_bytes_max=10_000)
    assert [place for place, _ in decoded.refused] == [1, 3, 4]
    assert [record for record in decoded.records if isinstance(record, AccountEvent)] == EVENTS[:3]


@given(
    st.lists(st.tuples(st.sampled_from(["USD", "BTC"]), st.sampled_from(["1", "-1", "2", "-2"])))
)
def test_what_cancels_out_adds_up(legs: list[tuple[str, str]]) -> None:
    """The quick look must never pass what the sums would refuse."""
    currencies, amounts = [each for each, _ in legs], [each for _, each in legs]
    if do_cancel_out(currencies, amounts):
        assert not any(sum_by_currency(legs).values())


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["USD", "BTC"]), st.sampled_from(["0", "1", "-1", "-2"])),
            max_size=3,
        ),
        max_size=3,
    )
)
def test_neighbours_that_cancel_out_are_of_one_entry(entries: list[list[tuple[str, str]]]) -> None:
    """Two entries of one leg each must not pass for one of two."""
    currencies = [[each for each, _ in legs] for legs in entries]
    amounts = [[each for _, each in legs] for legs in entries]
    if are_opposite_neighbours(currencies, amounts):
        assert not any(total for legs in entries for total in sum_by_currency(legs).values())


def test_one_odd_event_is_told_as_if_it_came_alone() -> None:
    """Rules look at whole columns first: none may be taken for another's, nor hide a second."""
    odd = [
        msgspec.structs.replace(FILL, order_status=None, wallet_locked=("-1", "-1")),
        msgspec.structs.replace(FILL, posting_amounts=("1", *FILL.posting_amounts[1:])),
    ]
    values = list(map(encode, (EVENTS[0], odd[0], EVENTS[1], odd[1])))
    decoded = decode_batch(ACCOUNT_EVENTS, values, record_bytes_max=10_000)
    assert [(place, str(error).partition(":")[0]) for place, error in decoded.refused] == [
        (1, "order_status"),
        (3, "posting_amounts"),
    ]
