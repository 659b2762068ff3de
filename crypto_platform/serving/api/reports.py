"""A user's own reports: his tax year, and what his wallets were worth day by day.

Here: parameters, forms, and that few are made at a time, for one may take seconds of a core. Not
here: what a report is (serving/reports.py, domain/), its files (serving/tax_report.py).
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Request, Response
from fastapi import Query as In
from pydantic import Field, model_validator

from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.errors import AccountingError, ConfigurationError
from crypto_platform.serving.account_sheets import build_portfolio_days
from crypto_platform.serving.api import documents
from crypto_platform.serving.api.answers import build_answer, build_tagged
from crypto_platform.serving.api.identity import OwnAsker
from crypto_platform.serving.api.parameters import Query
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared
from crypto_platform.serving.rates import NoRatesError
from crypto_platform.serving.report_reading import UnknownUserError
from crypto_platform.serving.reports import (
    TAX_CURRENCY,
    TAX_TIME_ZONE,
    read_portfolio_history,
    read_tax_report,
)
from crypto_platform.serving.sheets import build_rows
from crypto_platform.serving.tax_report import (
    TaxTable,
    list_notes,
    plain_report,
    write_csv,
    write_pdf,
)

REPORTS_AT_ONCE_MAX = 2
NOTES = "X-Report-Notes"

_places = threading.BoundedSemaphore(REPORTS_AT_ONCE_MAX)

router = APIRouter(prefix="/v1/me", tags=["account"])

Currency = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$", examples=["EUR"])]
TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$", examples=["Europe/Berlin"])]


class HistoryQuery(Query):
    """Which days."""

    first_day: date | None = Field(
        None,
        alias="from",
        description="Of the first event, unsaid; none before it is given.",
        examples=["2026-01-01"],
    )
    last_day: date | None = Field(
        None, alias="to", description="Today so far, unsaid.", examples=["2026-01-31"]
    )
    currency: Currency = Field("USD", description="Of all values.")
    time_zone: TimeZone = Field("UTC", description="In which days end; IANA name.")


@router.get(
    "/portfolio/history",
    summary="What the wallets were worth at each day's end, oldest first",
    responses=documents.PORTFOLIO_HISTORY,
)
def list_portfolio_days(
    services: Shared, request: Request, asker: OwnAsker, query: Annotated[HistoryQuery, In()]
) -> Response:
    """By the prices and official rates of then; ten years at most."""
    with _making():
        source, history = read_portfolio_history(
            services.reads,
            services.settings,
            asker.user_id,
            query.first_day,
            query.last_day,
            query.currency,
            time_zone=query.time_zone,
        )
    document = {
        "currency": history.currency,
        "time_zone": history.time_zone,
        "days": build_rows(build_portfolio_days(history.days)),
    }
    return build_answer(request, document, [source], is_private=True)


class Form(StrEnum):
    """Of a tax report."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


class TaxQuery(Query):
    """Which report, in which form."""

    year: int = Field(ge=1970, le=9998, examples=[2026], description="Of the time zone's calendar.")
    method: BookingMethod = Field(
        BookingMethod.FIFO,
        description="Which lots are consumed; the same every year.",
        examples=["fifo"],
    )
    currency: Currency = Field(TAX_CURRENCY, description="Of all values.")
    time_zone: TimeZone = Field(
        TAX_TIME_ZONE, description="In which the year begins and ends; IANA name."
    )
    form: Form = Field(
        Form.JSON, alias="format", description="PDF needs typst on the server.", examples=["csv"]
    )
    table: TaxTable | None = Field(
        None, description="Of CSV: which table; disposals, unsaid.", examples=["disposals"]
    )

    @model_validator(mode="after")
    def _refuse_unused(self) -> Self:
        if self.table is not None and self.form is not Form.CSV:
            message = f"table is of format=csv; {self.form} has all tables"
            raise ValueError(message)
        return self


@router.get("/tax-report", summary="A tax year", responses=documents.TAX_REPORT)
def show_tax_report(
    services: Shared, request: Request, asker: OwnAsker, query: Annotated[TaxQuery, In()]
) -> Response:
    """Every disposal with its lots, sums, fees; of a year that is not over, so far.

    What has to be known of it, deposits of unknown cost above all, stands in JSON under `notes`, in
    the PDF, and in the header X-Report-Notes of CSV and PDF. Here nobody can say where deposits
    come from.
    """
    with _making():
        source, report = read_tax_report(
            services.reads,
            services.settings,
            asker.user_id,
            query.year,
            query.method,
            query.currency,
            query.time_zone,
        )
        if query.form is Form.JSON:
            return build_answer(request, plain_report(report), [source], is_private=True)
        if query.form is Form.CSV:
            body, media_type = write_csv(report, query.table or TaxTable.DISPOSALS), "text/csv"
        else:
            body, media_type = _write_pdf(report), "application/pdf"
    name = f"tax-report-{query.year}.{query.form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if notes := list_notes(report):
        headers[NOTES] = _to_header("; ".join(notes))
    return build_tagged(
        request,
        body,
        media_type=media_type,
        sources=[source],
        is_private=True,
        headers=headers,
    )


@contextmanager
def _making() -> Generator[None]:
    """Take a place; what cannot be reported is told to who asked."""
    # who waited would keep a thread from everybody's prices
    if not _places.acquire(blocking=False):
        message = "too many reports are being made; try again"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "3"})
    try:
        yield
    except UnknownUserError:
        raise ApiError(HTTPStatus.NOT_FOUND, "nothing is stored of your account") from None
    except (ConfigurationError, NoRatesError, AccountingError) as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    finally:
        _places.release()


def _to_header(text: str) -> str:
    """Printable ASCII, which a header has to be; ids are as their source wrote them."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)


def _write_pdf(report: TaxReport) -> bytes:
    try:
        return write_pdf(report)
    except ConfigurationError:
        message = "no PDF can be made here: its writer is not installed; format=csv or json"
        raise ApiError(HTTPStatus.NOT_IMPLEMENTED, message) from None
