"""`python -m crypto_platform.cli`."""

from crypto_platform.cli import main

main(prog_name="crypto-platform")
