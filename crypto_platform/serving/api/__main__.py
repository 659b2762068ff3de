"""The process: `python -m crypto_platform.serving.api --port N`.

Here: its options and the HTTP server. Not here: what it serves (app.py).
"""

import click
import uvicorn
from uvicorn.config import LOGGING_CONFIG

from crypto_platform.encryption import is_this_machine
from crypto_platform.errors import PlatformError
from crypto_platform.log_lines import set_up_logging
from crypto_platform.serving.api.app import create_app
from crypto_platform.settings import LogFormat, Settings, load_settings

STOP_S = 3
"""For answers that are under way; streams are cut."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), required=True)
def main(host: str, port: int) -> None:
    """Serve until a signal."""
    try:
        settings = forget_writers(load_settings())
        set_up_logging(settings.logging)
        app = create_app(settings, is_local=bool(host) and is_this_machine(host))
    except PlatformError as error:
        raise click.ClickException(str(error)) from None
    trusted = list(settings.api.trusted_proxies)
    uvicorn.run(
        app,
        host=host,
        port=port,
        # without one that is trusted, a header may not say who the client is
        proxy_headers=bool(trusted),
        forwarded_allow_ips=trusted,
        access_log=False,
        # none of its own in JSON: its records go the way of all others
        log_config=None if settings.logging.format is LogFormat.JSON else LOGGING_CONFIG,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )


def forget_writers(settings: Settings) -> Settings:
    """The settings without the addresses of roles that write: this process reads."""
    nobody = {"migrator_url": None, "loader_url": None}
    changed = {
        "postgres": settings.postgres.model_copy(update=nobody),
        "mongo": settings.mongo.model_copy(update=nobody),
    }
    return settings.model_copy(update=changed)


if __name__ == "__main__":
    main()
