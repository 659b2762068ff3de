"""What the simulated market lists: well-known currencies first, then invented ones.

Here: names, base prices, supplies and how lively each currency is. Not here: prices at a time
(market.py). The real rows carry CoinCap's ids with prices and supplies of late 2025, rounded: a
base to walk around, never a statement about the real market.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

CURRENCIES_MAX = 2000
"""CoinCap's largest page: the whole market always fits in one."""

_LARGEST_INVENTED_CAP_USD = Decimal(1_500_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """One listed currency, and how it moves.

    Attributes:
        currency_id: CoinCap's id, or `simcoin-NNN` for an invented one.
        price_usd: The price its walk is centred on.
        supply_max: None where nobody promised an upper bound.
        beta: Per cent it moves when the whole market moves one per cent. 0 for a stablecoin.
        own_volatility_pct: Standard deviation of a day's own move, market move apart.
        turnover_ratio: Part of the market cap traded on a quiet day. None: no venue reports
            trades, so volume and VWAP are unknown.
        tokens: Chain id to contract addresses, empty for a currency with a chain of its own.
    """

    currency_id: str
    symbol: str
    name: str
    price_usd: Decimal
    supply: Decimal
    supply_max: Decimal | None
    beta: float
    own_volatility_pct: float
    turnover_ratio: float | None
    explorer: str | None
    tokens: Mapping[str, list[str]]


# id, symbol, name, price in USD, supply, largest supply or None, beta, own volatility in per cent
_KNOWN = (
    ("bitcoin", "BTC", "Bitcoin", "96500", "19952631", "21000000", 1.0, 1.2),
    ("ethereum", "ETH", "Ethereum", "3150", "120694583", None, 1.25, 1.9),
    ("tether", "USDT", "Tether", "1", "184000000000", None, 0.0, 0.02),
    ("xrp", "XRP", "XRP", "2.24", "60100000000", "100000000000", 1.2, 2.6),
    ("binance-coin", "BNB", "BNB", "905", "137700000", "200000000", 0.9, 1.7),
    ("solana", "SOL", "Solana", "141", "554000000", None, 1.45, 2.7),
    ("usd-coin", "USDC", "USDC", "1", "74800000000", None, 0.0, 0.01),
    ("tron", "TRX", "TRON", "0.287", "94700000000", None, 0.6, 1.5),
    ("dogecoin", "DOGE", "Dogecoin", "0.161", "151900000000", None, 1.4, 3.1),
    ("cardano", "ADA", "Cardano", "0.498", "35800000000", "45000000000", 1.3, 2.6),
    ("shiba-inu", "SHIB", "Shiba Inu", "0.0000091", "589240000000000", "589552695333683", 1.3, 3.0),
    ("pepe", "PEPE", "Pepe", "0.0000071", "420689899653542", "420690000000000", 1.6, 4.4),
    ("hyperliquid", "HYPE", "Hyperliquid", "38.4", "270700000", "1000000000", 1.4, 4.2),
    ("bitcoin-cash", "BCH", "Bitcoin Cash", "492", "19960000", "21000000", 1.1, 2.5),
    ("chainlink", "LINK", "Chainlink", "14.1", "696800000", "1000000000", 1.35, 2.6),
    ("zcash", "ZEC", "Zcash", "540", "16350000", "21000000", 1.0, 5.5),
    ("unus-sed-leo", "LEO", "UNUS SED LEO", "9.21", "922500000", "985239504", 0.2, 1.1),
    ("stellar", "XLM", "Stellar", "0.262", "32200000000", "50001806812", 1.2, 2.9),
    ("ethena-usde", "USDe", "Ethena USDe", "1", "8020000000", None, 0.0, 0.03),
    ("monero", "XMR", "Monero", "402", "18446744", None, 0.7, 2.9),
    ("litecoin", "LTC", "Litecoin", "95.7", "76500000", "84000000", 1.1, 2.3),
    ("hedera-hashgraph", "HBAR", "Hedera", "0.161", "42470000000", "50000000000", 1.35, 3.2),
    ("avalanche", "AVAX", "Avalanche", "15.4", "427000000", "715748719", 1.4, 2.9),
    ("sui", "SUI", "Sui", "1.78", "3680000000", "10000000000", 1.5, 3.7),
    ("multi-collateral-dai", "DAI", "Multi Collateral DAI", "1", "5365000000", None, 0.0, 0.02),
    ("uniswap", "UNI", "Uniswap", "7.36", "630300000", "1000000000", 1.4, 3.6),
    ("toncoin", "TON", "Toncoin", "1.83", "2450000000", None, 1.0, 2.7),
    ("polkadot", "DOT", "Polkadot", "2.71", "1630000000", None, 1.3, 2.7),
    ("crypto-com-coin", "CRO", "Cronos", "0.111", "38000000000", "100000000000", 1.0, 2.8),
    ("bittensor", "TAO", "Bittensor", "331", "10400000", "21000000", 1.4, 4.0),
    ("near-protocol", "NEAR", "NEAR Protocol", "2.33", "1280000000", None, 1.4, 3.4),
    ("internet-computer", "ICP", "Internet Computer", "5.02", "543000000", None, 1.3, 3.9),
    ("aave", "AAVE", "Aave", "178", "15270000", "16000000", 1.4, 3.1),
    ("ethereum-classic", "ETC", "Ethereum Classic", "14.6", "154000000", "210700000", 1.2, 2.3),
    ("aptos", "APT", "Aptos", "3.02", "735000000", None, 1.4, 3.3),
    ("algorand", "ALGO", "Algorand", "0.162", "8810000000", "10000000000", 1.3, 2.8),
    ("filecoin", "FIL", "Filecoin", "1.98", "700000000", "1960000000", 1.4, 3.8),
    ("vechain", "VET", "VeChain", "0.0157", "85985000000", "86712634466", 1.3, 2.8),
    ("cosmos", "ATOM", "Cosmos", "2.69", "481000000", None, 1.25, 2.7),
    ("kaspa", "KAS", "Kaspa", "0.0461", "26900000000", "28704026601", 1.2, 4.0),
)

_ETHEREUM_CONTRACTS = {
    "tether": "0xdac17f958d2ee523a2206206994597c13d831ec7",
    "usd-coin": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "ethena-usde": "0x4c9edd5852cd905f086c759e8383e09bff1e68b3",
    "multi-collateral-dai": "0x6b175474e89094c44da98b954eedeac495271d0f",
    "shiba-inu": "0x95ad61b0a150d79219dcf64e1e6cc01f0b64c4ce",
    "pepe": "0x6982508145454ce325ddbe47a25d4ec3d2311933",
    "chainlink": "0x514910771af9ca656af840dff83e8264ecf986ca",
    "uniswap": "0x1f9840a85d5af5bf1d1762f925bdaddc4201f984",
    "aave": "0x7fc66500c84a76ad7e9c93437bfc5ac33e2ddae9",
}


def list_currencies(count: int) -> list[Currency]:
    """Return the first currencies of the market's list.

    A currency's place never depends on `count`, so its prices do not either.

    Args:
        count: 1 to CURRENCIES_MAX.

    Returns:
        `count` currencies: 40 well-known ones, then `simcoin-041` and on.

    Raises:
        ValueError: `count` is out of bounds.
    """
    if not 1 <= count <= CURRENCIES_MAX:
        text = f"{count} currencies asked for; the market lists 1 to {CURRENCIES_MAX}"
        raise ValueError(text)
    known = [_build_known(row) for row in _KNOWN[:count]]
    return known + [_invent(number) for number in range(len(known) + 1, count + 1)]


def _build_known(row: tuple[str, str, str, str, str, str | None, float, float]) -> Currency:
    currency_id, symbol, name, price, supply, supply_max, beta, own_volatility_pct = row
    contract = _ETHEREUM_CONTRACTS.get(currency_id)
    return Currency(
        currency_id=currency_id,
        symbol=symbol,
        name=name,
        price_usd=Decimal(price),
        supply=Decimal(supply),
        supply_max=None if supply_max is None else Decimal(supply_max),
        beta=beta,
        own_volatility_pct=own_volatility_pct,
        turnover_ratio=0.03 if beta else 0.3,  # stablecoins change hands far more often
        explorer=f"https://explorer.invalid/{currency_id}",
        tokens={"1": [contract]} if contract else {},
    )


def _invent(number: int) -> Currency:
    """Make up a currency that looks plausible and is plainly not real.

    Market caps fall with the place in the list by a power law, as real ones do. Prices run
    through nine decades (0.000001 to 990), and some figures are unknown, as on any real list.
    """
    cap_usd = _LARGEST_INVENTED_CAP_USD * (Decimal(41) / number) ** Decimal("2.5")
    price_usd = Decimal(10 + number * 37 % 90).scaleb(number * 5 % 9 - 7)
    supply = Decimal(round(cap_usd / price_usd))
    return Currency(
        currency_id=f"simcoin-{number:03}",
        symbol=f"SIM{number:03}",
        name=f"Simcoin {number:03}",
        price_usd=price_usd,
        supply=supply,
        supply_max=supply * 2 if number % 3 else None,
        beta=0.6 + number * 13 % 11 / 10,
        own_volatility_pct=2.5 + number * 7 % 9 / 2,
        turnover_ratio=0.01 + number % 7 / 100 if number % 29 else None,
        explorer=None if number % 5 == 0 else f"https://explorer.invalid/simcoin-{number:03}",
        tokens={},
    )
