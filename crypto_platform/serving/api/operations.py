"""`/health` and `/metrics`: how this process is, for who watches it."""

from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from crypto_platform.serving.api import documents
from crypto_platform.serving.api.metrics import MARKET_FEEDS
from crypto_platform.serving.api.operator import require_operator
from crypto_platform.serving.api.services import Shared

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["operations"])


@router.get("/health", summary="Whether this process can answer", responses=documents.HEALTH)
def check_health(services: Shared) -> Response:
    """200 while at least one store answers, else 503."""
    stores = {
        name: {"answers": answer.value is not None}
        for name, answer in services.reads.look(MARKET_FEEDS).items()
    }
    is_good = any(store["answers"] for store in stores.values())
    return Response(
        msgspec.json.encode({"status": "ok" if is_good else "no store answers", "stores": stores}),
        status_code=HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@router.get(
    "/metrics",
    summary="Counts and durations for Prometheus",
    dependencies=[Depends(require_operator)],
    response_class=PlainTextResponse,
    responses={HTTPStatus.OK.value: {"description": "docs/metrics.md lists them."}},
)
def show_metrics(services: Shared) -> Response:
    """Text of Prometheus' exposition format."""
    return Response(
        services.metrics.print(),
        media_type=_METRICS_TYPE,
        headers={"Cache-Control": "no-store"},
    )
