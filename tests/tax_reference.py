"""rp2's answer to histories of purchases, sales and fees: a script, run in a process of its own.

Reads [{"method": "fifo", "rows": [...]}, ...] from standard input and prints, for each, a list of
[disposing event, acquiring event, quantity, proceeds, cost basis]. Importing rp2 changes the
decimal context of the whole process and writes a log into the working folder.
"""

import json
import sys
import tempfile
from importlib import import_module
from typing import Any

from prezzemolo.avl_tree import AVLTree
from rp2.abstract_accounting_method import AbstractAccountingMethod
from rp2.accounting_engine import AccountingEngine
from rp2.configuration import MAX_DATE, MIN_DATE, Configuration
from rp2.gain_loss import GainLoss
from rp2.in_transaction import InTransaction
from rp2.input_data import InputData
from rp2.out_transaction import OutTransaction
from rp2.plugin.country.us import US
from rp2.rp2_decimal import RP2Decimal
from rp2.tax_engine import compute_tax
from rp2.transaction_set import TransactionSet

CONFIGURATION = """\
[general]
assets = BTC
exchanges = company
holders = user
[in_header]
timestamp = 0
asset = 1
exchange = 2
holder = 3
transaction_type = 4
spot_price = 5
crypto_in = 6
[out_header]
timestamp = 0
asset = 1
exchange = 2
holder = 3
transaction_type = 4
spot_price = 5
crypto_out_no_fee = 6
crypto_fee = 7
[intra_header]
timestamp = 0
asset = 1
from_exchange = 2
from_holder = 3
to_exchange = 4
to_holder = 5
spot_price = 6
crypto_sent = 7
crypto_received = 8
"""


def answer(configuration: Configuration, history: dict[str, Any]) -> list[list[str]]:
    sets = {
        name: TransactionSet(configuration, name, "BTC", MIN_DATE, MAX_DATE)
        for name in ("IN", "OUT", "INTRA")
    }
    for row, fields in enumerate(history["rows"], start=1):
        name = "IN" if fields["kind"] == "buy" else "OUT"
        sets[name].add_entry(_build(configuration, row, fields))
    methods: AVLTree[int, AbstractAccountingMethod] = AVLTree()
    plugin = import_module(f"rp2.plugin.accounting_method.{history['method']}")
    methods.insert_node(1970, plugin.AccountingMethod())
    computed = compute_tax(
        configuration,
        AccountingEngine(methods),
        InputData("BTC", sets["IN"], sets["OUT"], sets["INTRA"]),
    )
    return [_list_gain(entry) for entry in computed.gain_loss_set]


def _build(
    configuration: Configuration, row: int, fields: dict[str, str]
) -> InTransaction | OutTransaction:
    common: dict[str, Any] = {
        "configuration": configuration,
        "timestamp": fields["time"],
        "asset": "BTC",
        "exchange": "company",
        "holder": "user",
        "transaction_type": fields["kind"],
        "spot_price": RP2Decimal(fields["unit_price"]),
        "row": row,
        "unique_id": fields["event_id"],
    }
    value = RP2Decimal(fields["value"])
    if fields["kind"] == "buy":
        return InTransaction(
            **common,
            crypto_in=RP2Decimal(fields["quantity"]),
            fiat_in_no_fee=value,
            fiat_in_with_fee=value,
        )
    is_fee = fields["kind"] == "fee"
    return OutTransaction(
        **common,
        crypto_out_no_fee=RP2Decimal(fields["quantity"]),
        crypto_fee=RP2Decimal(fields["fee"]),
        fiat_out_no_fee=None if is_fee else value,
        fiat_fee=value if is_fee else None,
    )


def _list_gain(entry: GainLoss) -> list[str]:
    assert entry.acquired_lot is not None
    numbers = (
        entry.crypto_amount,
        entry.taxable_event_fiat_amount_with_fee_fraction,
        entry.fiat_cost_basis,
    )
    return [
        entry.taxable_event.unique_id,
        entry.acquired_lot.unique_id,
        *(format(number, "f") for number in numbers),
    ]


def main() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(CONFIGURATION)
        file.flush()
        configuration = Configuration(file.name, US())
        answers = [answer(configuration, history) for history in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
