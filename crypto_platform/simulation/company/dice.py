"""Random numbers that are looked up, not drawn: the same seed and step always give the same ones.

So nothing has to be kept of them: a company that was killed goes on with the step it had come to.
The numbers are SplitMix64's, which are good enough for invented traders and for nothing else.

Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
"""

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(number: int) -> int:
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & _MASK
    return number ^ (number >> 31)


class Dice:
    """The numbers of one step."""

    def __init__(self, seed: int, step: int) -> None:
        """Go to a step of a seed."""
        self._state = _mix(_mix(seed & _MASK) ^ (step & _MASK))

    def below(self, end: int) -> int:
        """A whole number from 0 to end - 1."""
        self._state = (self._state + _GOLDEN) & _MASK
        return _mix(self._state) * end >> 64

    def between(self, first: int, last: int) -> int:
        """A whole number of a range, both ends included."""
        return first + self.below(last - first + 1)

    def chance(self, per_mille: int) -> bool:
        """True in so many of a thousand cases."""
        return self.below(1000) < per_mille
