"""What a fill costs: a part of its notional, more for who takes than for who waited.

Rounded down to the quote currency's smallest unit, fill by fill: so the fees of an order's fills
are never more together than what was locked for them, which is the fee of the whole.
"""

from dataclasses import dataclass

_PARTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Rates in millionths of the notional; a maker's is not above a taker's.

    A hold is made with the taker's rate, so it covers both.
    """

    maker_ppm: int = 400
    taker_ppm: int = 1000

    def of_maker(self, notional: int) -> int:
        """What a maker pays for a fill, in units of the quote currency."""
        return notional * self.maker_ppm // _PARTS

    def of_taker(self, notional: int) -> int:
        """What a taker pays for a fill, in units of the quote currency."""
        return notional * self.taker_ppm // _PARTS

    def afford(self, funds: int, unit_price: int) -> int:
        """The most lots that a taker can buy.

        Args:
            funds: In units of the quote currency, the fee included.
            unit_price: Of one lot, in the same.
        """
        # the cost, rounded down, is within the funds as long as it is below the next unit unrounded
        per_lot = unit_price * (_PARTS + self.taker_ppm)
        return ((funds + 1) * _PARTS - 1) // per_lot
