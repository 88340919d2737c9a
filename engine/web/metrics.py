"""`/metrics` for Prometheus, worked out from the state when it is asked for. No address, customer or secret in it."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.store import Figures
from engine.web.limits import is_local
from engine.web.site import Site, look


def routes(site: Site) -> APIRouter:
    """For who brings `web.metrics_token`; without that setting, for this machine only."""
    router = APIRouter()
    token = site.settings.web.metrics_token
    expected = f"Bearer {token.reveal()}".encode() if token else None

    def metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not (hmac.compare_digest(given, expected) if expected else is_local(request.scope)):
            raise HTTPException(401 if expected else 403, headers={"www-authenticate": "Bearer"} if expected else None)
        now = site.clock()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(site.store.figures(now), now))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    look(router, "/metrics", metrics)
    return router


class _Figures(Collector):
    """The figures of one instant."""

    def __init__(self, figures: Figures, now: datetime) -> None:
        self.figures, self.now = figures, now

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        figures = self.figures
        runs = GaugeMetricFamily("holdfast_runs", "Runs in the state", labels=["schedule", "state"])
        for labels, number in sorted(figures.runs.items()):
            runs.add_metric(labels, number)
        ends = "holdfast_last_run_finished_timestamp_seconds"
        finished = GaugeMetricFamily(ends, "When the last run ended", labels=["schedule"])
        for schedule, at in sorted(figures.last_finished.items()):
            finished.add_metric([schedule], at.replace(tzinfo=UTC).timestamp())
        decisions = CounterMetricFamily("holdfast_decisions", "Decisions of finished runs", labels=["outcome"])
        for outcome, number in sorted(figures.decisions.items()):
            decisions.add_metric([outcome], number)
        outbox = GaugeMetricFamily("holdfast_outbox_messages", "Messages by their state", labels=["state"])
        for state, number in sorted(figures.outbox.items()):
            outbox.add_metric([state], number)
        waiting_s = (self.now - figures.oldest_waiting).total_seconds() if figures.oldest_waiting else 0
        age = GaugeMetricFamily(
            "holdfast_outbox_oldest_due_seconds", "How long the oldest due message has been due", value=waiting_s
        )
        deliveries = CounterMetricFamily("holdfast_deliveries", "Calls to providers by result", labels=["result"])
        for result, number in sorted(figures.deliveries.items()):
            deliveries.add_metric([result], number)
        inbound = GaugeMetricFamily("holdfast_inbound_events", "Events of providers", labels=["source", "state"])
        for labels, number in sorted(figures.inbound.items()):
            inbound.add_metric(labels, number)
        yield from (runs, finished, decisions, outbox, age, deliveries, inbound)
