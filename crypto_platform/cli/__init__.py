"""The command line: argument -> call -> text or JSON.

Here: the list of commands and how errors end. A command is a line in COMMANDS; its module is
imported when it is typed, so that `--help` and `exec` do not wait for drivers.
"""

import importlib

import click

from crypto_platform.errors import PlatformError

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("stack", "Start everything and show it live; Ctrl-C stops it."),
    "down": ("stack", "Stop a running stack."),
    "status": ("status", "Show lag, rates, sources, incidents and disk use; --watch: live."),
    "quotes": ("quotes", "Show the newest prices."),
    "trades": ("market", "Show trades of a market: the newest, or of a range."),
    "book": ("market", "Show a market's order book, now or as of a time."),
    "depth": ("depth", "Show a book's spread, depth, imbalance, and what an order would cost."),
    "candles": ("market", "Show candles of a market: the newest, or of a range."),
    "indicators": ("indicators", "Show moving averages, RSI, MACD and others of a market."),
    "volatility": ("movements", "Show how much a market moves, hour by hour."),
    "correlations": ("movements", "Show which markets of a venue move with one."),
    "overview": ("overview", "Show the last day and week of every market."),
    "venues": ("overview", "Compare the price of a symbol at all its venues."),
    "orders": ("accounts", "Show a user's open orders, or one order with its fills."),
    "wallet": ("accounts", "Show what a user has of each currency."),
    "transactions": ("accounts", "Show what happened in a user's wallets."),
    "keys": ("keys", "Make, list and revoke keys of the HTTP API."),
    "portfolio": ("portfolio", "Show what a user's wallets are worth, now or day by day."),
    "tax-report": ("tax", "Report a user's tax year: every disposal with its lots."),
    "symbols": ("symbols", "Show what sources list, what it is mapped to, and what is unmapped."),
    "load": ("load", "Bring what waits in Kafka into a store, in the foreground."),
    "replay": ("replay", "Load past hours into a store again, from Kafka."),
    "restore": ("restore", "Rebuild a store from Kafka, its mirror or a backup."),
    "backup": ("backup", "Write the stores into files from which restore puts them back."),
    "history": ("history", "Ask a source for days of the past, and publish what it gives."),
    "gaps": ("gaps", "Say which days of trades and candles are missing; --repair asks for them."),
    "trace": ("trace", "Say of a stored record which run loaded it, its offset and its poll."),
    "audit": ("audit", "Prove that every record is in each store once, or in quarantine once."),
    "prove": ("prove", "Kill random parts of the stack, then audit that nothing is lost."),
    "quarantine": ("quarantine", "List, show, release and discard what a store refused."),
    "retention": ("retention", "Remove what is older than its feed keeps; --dry-run: show it."),
    "incident": ("incident", "List what stopped for a person, and acknowledge it."),
    "alerts": ("alerts", "Show what people are told now, send a trial message."),
    "pause": ("pause", "Stop asking a source, or loading a store, until resume."),
    "resume": ("pause", "Go on asking a source, or loading a store."),
    "sources": ("sources", "List sources, say why some are not read, ask them once."),
    "config": ("config", "Show every setting, its value and where it came from."),
    "simulate": ("simulate", "Let the simulated company trade at a rate for a while."),
    "connect": ("connect", "Open psql or mongosh on a store, or run one statement."),
    "doctor": ("doctor", "Check what usually goes wrong and say what to do about it."),
    "logs": ("stack", "Show what the parts wrote."),
    "exec": ("stack", "Run a command in the stack's environment."),
}
"""Command -> module of this package that holds it under the same name, and its line in --help."""


class _LazyGroup(click.Group):
    """A group that knows its commands' names and imports them when they are typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        _ = ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        _ = ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _ = ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Crypto market data: from sources through Kafka into PostgreSQL and MongoDB, exactly once.

    Exit codes: 0 good, 1 not good, 2 wrong usage.
    """
