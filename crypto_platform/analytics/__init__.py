"""What is derived of the market, in schema analytics: made anew where the facts under it changed.

A new computation is one file here, with its SQL or its writer in stores/postgres/, and one line in
ANALYTICS; its asset, its place in the run, its queue and its docs row follow. Computations are made
in this order, each over all that is due before the next.
"""

from collections.abc import Mapping

from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation

ANALYTICS: Mapping[str, Computation] = {computation.name: computation for computation in (CANDLES,)}
"""By name."""
