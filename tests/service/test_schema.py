"""The running service against its own OpenAPI document: schemathesis asks, every answer must be as it is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.service.settings import Settings
from tests.helpers.service_process import Running, portrait, running
from tests.service.test_service import png_bomb

pytestmark = pytest.mark.slow

ROUTES = {
    "/v1/recognize": "post",
    "/v1/recognize/video": "post",
    "/v1/model": "get",
    "/health/live": "get",
    "/health/ready": "get",
    "/metrics": "get",
}
PROTOCOL = "/v2"
"""Below this the Open Inference Protocol says what is answered."""

CASES = [(path, "positive") for path in ROUTES] + [
    (p, "negative") for p, how in ROUTES.items() if how == "post"
]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(Settings(threads=1, max_bytes=200_000)) as it:
        yield it


@pytest.fixture(scope="module")
def schemathesis() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis as package
    images = [
        portrait(),
        portrait("PNG"),
        portrait()[:3000],
        png_bomb(9000),
        b"",
        b"BM",
        b"no image at all",
    ]
    package.openapi.format("binary", st.sampled_from(images) | st.binary(max_size=200))
    return package


@pytest.mark.parametrize(("path", "mode"), CASES)
def test_answers_are_as_the_document_says(service: Running, schemathesis: Any, path: str, mode: str) -> None:
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    # What fits the document can still be no image.
    excluded = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
    statuses: set[int] = set()

    @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(document[path][ROUTES[path]].as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def check(case: Any) -> None:
        answer = case.call()
        statuses.add(answer.status_code)
        case.validate_response(answer, excluded_checks=excluded)

    check()
    assert all(status < 500 for status in statuses)
    if path == "/v1/recognize" and mode == "positive":
        assert {200, 415, 422} <= statuses


def test_the_document_is_openapi(service: Running, schemathesis: Any) -> None:
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    document.validate()
    assert {path for path in document.raw_schema["paths"] if not path.startswith(PROTOCOL)} == set(ROUTES)
