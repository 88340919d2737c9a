"""schemathesis over every route: whatever is sent, no answer is a fault of ours."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from web_world import Web

from engine.messages.links import link_id
from engine.web.guard import Guard

EXAMPLES = 60  # for each route and mode


def test_no_request_brings_forth_a_fault_of_ours(web: Web) -> None:
    key = web.plan()
    web.store.links.keep({link_id("https://shop.example.com"): "https://shop.example.com"})
    tokens = {
        "/u/{token}": web.path("unsubscribe", key)[3:],
        "/p/{token}": web.path("preferences", key)[3:],
        "/c/{token}": web.links.click_url(key, link_id("https://shop.example.com")).rsplit("/", 1)[1],
    }
    schema = schemathesis.openapi.from_dict(web.app.openapi())
    schema.app = web.app
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} == {
        *tokens, "/inbound/sendgrid", "/inbound/stripe", "/health", "/metrics",
    }  # fmt: skip
    unlimited(web)
    seen: set[int] = set()
    for operation in operations:
        # Where nothing is asked for, nothing can be wrong.
        for mode in GenerationMode if operation.method == "post" else (GenerationMode.POSITIVE,):

            @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(operation.as_strategy(generation_mode=mode), st.booleans())
            def ask(case: schemathesis.Case, with_token: bool) -> None:
                if with_token and case.operation.path in tokens:
                    case.path_parameters = {"token": tokens[case.operation.path]}
                answer = case.call(allow_redirects=False)
                seen.add(answer.status_code)
                assert answer.status_code < 500 or (answer.status_code == 503 and answer.headers.get("retry-after"))

            ask()
    assert {200, 302, 404} <= seen


def unlimited(web: Web) -> None:
    """One visitor asks all of this; the limits have tests of their own."""
    (added,) = [one for one in web.app.user_middleware if one.cls is Guard]
    added.kwargs["visitors"].charge = lambda name, cost: 0.0
