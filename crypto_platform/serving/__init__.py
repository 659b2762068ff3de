"""What people and their tools ask: how is it (status), what does it cost (quotes).

Reading order: probe.py (ask a server that may be deaf), readings.py (what each server says),
health.py and judge.py (what that means), memory.py (what one reading must know of those before),
status.py (ask them all, once or every second); failover.py (whichever store answers), reader.py
(quotes), market.py (trades, books, candles), currencies.py (what is one currency). Not here: text
and tables (cli/), starting servers (stack/).
"""
