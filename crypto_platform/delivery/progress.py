"""What a load has done so far, as those who watch it want to know.

Here: counts that only grow, and the few things that are reset when they have been reported. Not
here: the load (load.py), how it is shown (assets/load_reports.py, cli/load.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crypto_platform.feeds import Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.slices import Outcome, Slice

PREVIEW_RECORDS = 5


@dataclass(kw_only=True)
class Progress:
    """What a load has done so far.

    Attributes:
        stored_records: By feed name.
        commits: Store transactions.
        taken_over_from: The run that held them before; None where there was none.
        freshness_s_max: Longest time from append to commit since it was last reset.
        hours: Hours of append time touched since they were last reported, by feed name.
        next_offsets: How far this run has come.
        latest: The last few records it wrote, by feed name.
    """

    stored_records: dict[str, int] = field(default_factory=dict)
    repeated_records: int = 0
    quarantined_records: int = 0
    commits: int = 0
    retries: int = 0
    taken_over_from: str | None = None
    freshness_s_max: float = 0.0
    hours: dict[str, set[int]] = field(default_factory=dict)
    next_offsets: dict[TopicPart, int] = field(default_factory=dict)
    latest: dict[str, Sequence[Record]] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)

    def note_claims(
        self, claims: Sequence[Claim], *, owners: Mapping[TopicPart, str | None], run_id: str
    ) -> None:
        """Add one claim of many partitions; `owners` held them before."""
        self.next_offsets |= {claim.partition: claim.next_offset for claim in claims}
        before = {owners.get(claim.partition) for claim in claims} - {None, run_id}
        # after an error a run claims again what was its own: the first predecessor stays
        self.taken_over_from = self.taken_over_from or min(filter(None, before), default=None)

    def copy(self) -> "Progress":
        """As it stands now, for another thread."""
        return replace(
            self,
            stored_records=dict(self.stored_records),
            hours={name: set(hours) for name, hours in self.hours.items()},
            next_offsets=dict(self.next_offsets),
            latest=dict(self.latest),
            incidents=list(self.incidents),
        )

    def note(self, slices: Iterable[Slice], outcome: Outcome, *, now_us: int) -> None:
        """Add one commit."""
        self.commits += 1
        self.repeated_records += outcome.repeated_records
        self.quarantined_records += outcome.quarantined_records
        for name, count in outcome.stored_records.items():
            self.stored_records[name] = self.stored_records.get(name, 0) + count
        for piece in slices:
            if piece.claim.partition in outcome.fenced:
                continue
            self.next_offsets[piece.claim.partition] = piece.next_offset
            if not piece.arrivals:
                continue
            name = piece.claim.feed.name
            self.hours.setdefault(name, set()).add(piece.hour)
            self.latest[name] = list(piece.arrivals.records[-PREVIEW_RECORDS:])
            waited_s = (now_us - piece.arrivals.ts_appends[0]) / 1_000_000
            self.freshness_s_max = max(self.freshness_s_max, waited_s)
