"""Whatever stands in the OpenAPI description may be asked, in any way: never is the answer a failure of the server."""

from __future__ import annotations

from collections import Counter

import schemathesis
from hypothesis import HealthCheck, given, settings

from dialogue.sections import Rates, Serving
from dialogue.server.app import create_app
from dialogue.server.auth import Authority
from dialogue.store.sql import SqlTrackerStore
from tests.server.web import DEVELOPER, TOKEN, VISITOR_SECRET, make_service

QUIET = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def test_no_request_makes_the_server_fail():
    service = make_service(SqlTrackerStore("sqlite://"))
    free = Serving(rates=Rates(sender=None, address=None, key=None))
    app = create_app(service, free, Authority([TOKEN], visitor_secret=VISITOR_SECRET))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    statuses: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()

        @QUIET
        @given(case=operation.as_strategy())
        def ask(case):
            answer = case.call(headers=DEVELOPER)
            assert answer.status_code < 500, (case.method, case.path, answer.text)
            statuses[answer.status_code] += 1

        ask()
    service.store.close()
    assert statuses[200] > 20
    assert statuses.total() > 200
