"""A simulated trading company: an exchange with users, its own process, spoken to over HTTP.

Here, in the order of reading: what is traded (products.py), what happens (events.py), which orders
meet (book.py, matching.py), what it costs (fees.py), double entry (ledger.py), the engine that
makes events of commands (engine.py), where they are kept (journal.py, tape.py), who trades
(dice.py, references.py, traders.py), when (pace.py, company.py), how it is asked (keys.py,
orders_in.py, render.py, server.py, floor.py), whether all of it adds up (proof.py), the command
(__main__.py). From beside it: Coinbase's dialect, faults, reference prices.
Not here: anything of the platform. Start it with `python -m crypto_platform.simulation.company`.
"""
