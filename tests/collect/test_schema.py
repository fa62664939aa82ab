"""Requests made from the API's own schema: none makes the server fail, and replies are as the schema says."""

import pytest

from lpips_repro.collect.server import make_app, signer_of
from lpips_repro.collect.sessions import begin
from lpips_repro.collect.signing import Seat
from tests.collect.sitting import joined

OPERATIONS = 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["2afc", "jnd"])
def test_no_request_makes_the_server_fail(study, kind):
    # Imported here: it takes seconds, and `make test` does not need it.
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

    checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
    signer, worker = signer_of(study.cfg), joined(study, "a")
    begin(study, worker, kind, None)
    app = make_app(study, signer)
    cookie = signer.seat(Seat(worker, kind))
    own = {"Cookie": f"seat={cookie}", "X-CSRF-Token": signer.csrf(cookie)}
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == OPERATIONS
    for operation in operations:

        @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy())
        def check(case):
            case.call_and_validate(base_url="http://127.0.0.1:8765", headers=own, checks=checks)

        check()
