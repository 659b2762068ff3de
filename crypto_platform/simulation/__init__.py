"""A simulated market and a simulated company: processes spoken to over HTTP and in no other way.

Here: what is listed (currencies.py), how prices move (market.py, paths.py), what is traded
(trades.py), what waits (books.py), what follows from the trades (candles.py), how the market
misbehaves on demand (faults.py, fault_orders.py, answers.py), CoinCap's and Coinbase's dialects
over HTTP (server.py, floor.py, exchange.py, exchange_fields.py), the process and the command
(process.py, __main__.py). The company is a package of its own (company/).
Not here: anything of the platform. This package imports nothing of crypto_platform but itself,
and nothing of crypto_platform imports it: the market shares no code with what it tests, so that
both cannot hold the same mistake. Start it with `python -m crypto_platform.simulation`.
"""
