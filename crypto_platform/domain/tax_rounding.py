"""A tax report in cents whose parts still add up to its sums.

Here: one rule for all values (ROUNDING). Quantities are never rounded. Not here: the sums
themselves (tax_totals.py).

Proceeds and cost basis are rounded so that the parts of disposals add up to the sum of their
currency and holding class, and those to the report's; a gain is the difference of its rounded
proceeds and cost basis, on every level, and so adds up too. The same with what was held, and with
fees. A part whose other half is unknown belongs to no sum and is rounded by itself. What is exact
across sections (opening + bought - sold = closing) may miss a cent in a rounded report.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from crypto_platform.domain import exact
from crypto_platform.domain.tax_records import (
    Disposal,
    DisposalPart,
    FeePaid,
    HeldLot,
    Transfer,
    find_gain,
)
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.domain.tax_totals import FeeTotal, GainTotal, HeldTotal, Holdings

ROUNDING = "half up to {decimals} decimals, parts by largest remainder"


def round_report(report: TaxReport, *, decimals: int = 2) -> TaxReport:
    """The same report with every value rounded.

    Args:
        report: Exact.
        decimals: Of the reporting currency; 2 are cents.
    """
    assert report.rounding is None, "rounded already"
    disposals, gains = _round_disposals(report, decimals)
    fees, fee_totals = _round_fees(report, decimals)
    return replace(
        report,
        rounding=ROUNDING.format(decimals=decimals),
        realized_gain=exact.total_known(each.realized_gain for each in gains),
        gains=gains,
        disposals=disposals,
        fees=fees,
        fee_totals=fee_totals,
        transfers=tuple(_round_transfer(each, decimals) for each in report.transfers),
        opening=_round_holdings(report.opening, decimals),
        closing=_round_holdings(report.closing, decimals),
    )


class _Column:
    """One column of rounded values: sums by key, and parts to be taken in their order."""

    def __init__(self, pairs: Iterable[tuple[Hashable, Decimal]], decimals: int) -> None:
        groups: dict[Hashable, list[Decimal]] = {}
        for key, value in pairs:
            groups.setdefault(key, []).append(value)
        rounded = exact.round_groups(groups, decimals)
        self.sums: Mapping[Hashable, Decimal] = rounded.sums
        self._parts = {key: deque(parts) for key, parts in rounded.parts.items()}

    def take(self, key: Hashable) -> Decimal:
        return self._parts[key].popleft()


def _round_disposals(
    report: TaxReport, decimals: int
) -> tuple[tuple[Disposal, ...], tuple[GainTotal, ...]]:
    known = [
        ((each.currency, part.holding), part.proceeds, part.cost_basis)
        for each in report.disposals
        for part in each.parts
        if part.proceeds is not None and part.cost_basis is not None
    ]
    proceeds = _Column(((key, value) for key, value, _ in known), decimals)
    costs = _Column(((key, value) for key, _, value in known), decimals)

    def round_part(currency: str, part: DisposalPart) -> DisposalPart:
        key = (currency, part.holding)
        if part.realized_gain is None:
            return replace(
                part,
                proceeds=_round_alone(part.proceeds, decimals),
                cost_basis=_round_alone(part.cost_basis, decimals),
            )
        value, cost = proceeds.take(key), costs.take(key)
        gain = find_gain(value, cost)
        return replace(part, proceeds=value, cost_basis=cost, realized_gain=gain)

    def round_disposal(disposal: Disposal) -> Disposal:
        parts = tuple(round_part(disposal.currency, part) for part in disposal.parts)
        whole = disposal.proceeds
        if whole is not None:
            whole = exact.total_known(part.proceeds for part in parts)
        return replace(disposal, proceeds=whole, parts=parts)

    def round_total(total: GainTotal) -> GainTotal:
        key = (total.currency, total.holding)
        value, cost = proceeds.sums.get(key), costs.sums.get(key)
        gain = find_gain(value, cost)
        return replace(total, proceeds=value, cost_basis=cost, realized_gain=gain)

    return tuple(map(round_disposal, report.disposals)), tuple(map(round_total, report.gains))


def _round_holdings(holdings: Holdings, decimals: int) -> Holdings:
    known = [
        (lot.currency, lot.cost_basis, lot.market_value)
        for lot in holdings.lots
        if lot.cost_basis is not None and lot.market_value is not None
    ]
    costs = _Column(((key, value) for key, value, _ in known), decimals)
    values = _Column(((key, value) for key, _, value in known), decimals)

    def round_lot(lot: HeldLot) -> HeldLot:
        if lot.unrealized_gain is None:
            return replace(
                lot,
                cost_basis=_round_alone(lot.cost_basis, decimals),
                market_value=_round_alone(lot.market_value, decimals),
            )
        cost, value = costs.take(lot.currency), values.take(lot.currency)
        gain = find_gain(value, cost)
        return replace(lot, cost_basis=cost, market_value=value, unrealized_gain=gain)

    def round_total(total: HeldTotal) -> HeldTotal:
        cost, value = costs.sums.get(total.currency), values.sums.get(total.currency)
        gain = find_gain(value, cost)
        return replace(total, cost_basis=cost, market_value=value, unrealized_gain=gain)

    lots = tuple(map(round_lot, holdings.lots))
    return Holdings(lots=lots, totals=tuple(map(round_total, holdings.totals)))


def _round_fees(
    report: TaxReport, decimals: int
) -> tuple[tuple[FeePaid, ...], tuple[FeeTotal, ...]]:
    values = _Column(
        (
            ((each.currency, each.treatment), each.value)
            for each in report.fees
            if each.value is not None
        ),
        decimals,
    )

    def round_fee(fee: FeePaid) -> FeePaid:
        if fee.value is None:
            return fee
        return replace(fee, value=values.take((fee.currency, fee.treatment)))

    def round_total(total: FeeTotal) -> FeeTotal:
        key = (total.currency, total.treatment)
        return replace(total, value=values.sums.get(key))

    return tuple(map(round_fee, report.fees)), tuple(map(round_total, report.fee_totals))


def _round_transfer(transfer: Transfer, decimals: int) -> Transfer:
    costs: Sequence[Decimal | None] = [part.cost_basis for part in transfer.parts]
    known = [cost for cost in costs if cost is not None]
    rounded = deque(
        exact.apportion(exact.round_half_up(exact.total(known), decimals), known, decimals)
    )
    parts = [
        part if part.cost_basis is None else replace(part, cost_basis=rounded.popleft())
        for part in transfer.parts
    ]
    return replace(transfer, parts=tuple(parts))


def _round_alone(value: Decimal | None, decimals: int) -> Decimal | None:
    return None if value is None else exact.round_half_up(value, decimals)
