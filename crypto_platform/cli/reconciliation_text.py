"""A reconciliation of accounts for a person: what was compared, what does not agree, what to do.

Here: pure functions from values to text. Not here: the rest of the audit (audit.py).
"""

from collections.abc import Sequence

from crypto_platform.cli.text import printable
from crypto_platform.delivery.reconciliation_report import Mismatch, Reconciliation
from crypto_platform.domain.readable import format_count

EXAMPLES_SHOWN = 5
NAMES_SHOWN = 8


def format_reconciliation(found: Reconciliation) -> list[str]:
    """Lines below the audit's table."""
    through = format_count(found.through_event)
    lines = [
        f"accounts in {name}: up to event {through}: {format_count(each.users)} users, "
        f"{format_count(each.wallets)} wallets, {format_count(each.orders)} orders, "
        f"{format_count(each.matches)} matches"
        for name, each in found.stores.items()
        if found.through_event
    ]
    lines += [f"note: {printable(note)}" for note in found.notes]
    for mismatch in found.findings:
        lines += _format_mismatch(mismatch)
    return [*lines, printable(_format_last_line(found))]


def _format_last_line(found: Reconciliation) -> str:
    company = found.company
    if not found.stores or not any(each.newest_event for each in found.stores.values()):
        return "accounts: no account events"
    with_whom = (
        f"compared with the company ({company.detail}, {company.users:,} users)"
        if company.compared
        else f"NOT compared with the company: {company.detail}"
    )
    if not found.whole:
        what = f"NOT reconciled: {sum(each.records for each in found.findings):,} mismatches"
    else:
        what = "wallets, postings, orders and matches agree in all stores"
    return f"accounts: {what}; {with_whom} ({found.seconds:.1f} s)"


def _format_mismatch(mismatch: Mismatch) -> list[str]:
    names = [
        f"{label} {_list_names(own)}"
        for label, own in (("users", mismatch.users), ("of", mismatch.currencies))
        if own
    ]
    whose = f" ({'; '.join(names)})" if names else ""
    lines = [f"{mismatch.kind.value}: {mismatch.records:,} in {mismatch.store}{whose}"]
    for example in mismatch.examples[:EXAMPLES_SHOWN]:
        who = " ".join(filter(None, (example.user_id, example.currency)))
        lines.append(f"  {who}: {example.detail}" if who else f"  {example.detail}")
    named = len(mismatch.examples[:EXAMPLES_SHOWN])
    if len(mismatch.examples) > named or (mismatch.records > named and named == EXAMPLES_SHOWN):
        lines.append(f"  ... and {mismatch.records - named:,} more; --json names the first 20")
    return [printable(line) for line in [*lines, f"  -> {mismatch.next_step}"]]


def _list_names(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (" ..." if more > 0 else "")
