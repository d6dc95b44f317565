"""Other request and response formats: base64 JSON, annotated copies, Open Inference Protocol; CORS and /docs."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import threading
import time
import tomllib
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.service import docs_page, inference, json_bodies
from mien.service.annotated import wanted_image
from mien.service.json_bodies import decode_base64, images_of
from mien.service.settings import Settings
from tests.helpers.service_process import Reply, Running, encoded, portrait, running, small_portrait

JSON = {"Content-Type": "application/json"}
BASE64 = base64.b64encode(portrait()).decode()
ORIGIN = "https://app.example.org"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(Settings(threads=2, allow_origin=(ORIGIN,), max_images=3, max_bytes=2_000_000)) as one:
        yield one


def post(service: Running, document: Any, path: str = "/v1/recognize", **headers: str) -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return service.ask("POST", path, body, {**JSON, **headers})


class TestJson:
    @pytest.mark.parametrize(
        "document",
        [
            {"image": BASE64},
            {"img": BASE64},
            {"img": "data:image/jpeg;base64," + BASE64, "actions": ["emotion"]},
            {"images": [BASE64]},
            b'{"image": "' + BASE64.replace("+", "\\u002B").encode() + b" " * 1_100_000 + b'"}',
            {"image": base64.urlsafe_b64encode(portrait()).decode().rstrip("=")},
            {"image": "\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76))},
        ],
    )
    def test_an_image_as_base64_is_answered_like_its_bytes(self, service: Running, document: Any) -> None:
        (image,) = post(service, document).json["images"]
        (expected,) = service.send_raw(portrait()).json["images"]
        assert {**image, "source": ""} == {**expected, "source": ""}

    def test_a_damaged_image_does_not_stop_the_others(self, service: Running) -> None:
        images = post(service, {"images": [BASE64, "AAAA", BASE64]}).json["images"]
        assert [image["source"] for image in images] == ["image-1", "image-2", "image-3"]
        assert [bool(image["error"]) for image in images] == [False, True, False]

    @pytest.mark.parametrize(
        ("document", "received"),
        [
            (b"{", "not JSON"),
            (b"[]", "another type (list)"),
            (b'{"image": "AAAA", "image": "AAAA"}', "twice"),
            (b'{"image": NaN}', "not JSON"),
            (b"[" * 1_000_000, "more"),
            (b'{"a":' * 300, "not JSON"),
            ({}, "0 of them"),
            ({"image": BASE64, "img": BASE64}, "2 of them"),
            ({"image": BASE64, "max_faces": 1}, "the keys 'max_faces'"),
            ({"image": 3}, "another type (int)"),
            ({"image": "%%%"}, "not base64"),
            ({"image": "http://example.org/a.jpg"}, "a URL or a path"),
            ({"image": "file:///etc/passwd"}, "a URL or a path"),
            ({"img": BASE64, "actions": ["age"]}, "actions"),
            (b'{"image": "' + b"A" * 1_100_000 + "\U0001f600".encode() + b'"}', "other characters"),
            (b'{"image": "' + b"A" * 1_100_000 + b'\\ud83d\\ude00"}', "other characters"),
            (b'{"image": "\\ud83d\\ude00"}', "not base64"),
            (b'{"image": ' + b"9" * 19 + b"}", "an integer has more than 18 digits"),
            (b'{"image": -' + b"9" * 4_000 + b"}", "an integer has more than 18 digits"),
            (b'{"image": 1e999999999}', "a number is too large or too long"),
            (b'{"image": 0.' + b"1" * 100_000 + b"}", "a number is too large or too long"),
        ],
    )
    def test_an_invalid_document_gives_422_with_the_reason(
        self, service: Running, document: Any, received: str
    ) -> None:
        reply = post(service, document)
        assert reply.status == 422
        assert received in reply.json["received"]
        assert '{"image": "<base64>"}' in reply.json["remedy"]

    @pytest.mark.parametrize("before", [b'{"image": "', b'{"image": "data:image/jpeg;base64,'])
    def test_decoding_a_body_takes_less_than_four_times_its_size_in_memory(self, before: bytes) -> None:
        body = before + base64.b64encode(bytes(1_000_000)) + b'"}'
        images_of(body, "image")
        tracemalloc.start()
        try:
            images_of(body, "image")
            assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
        finally:
            tracemalloc.stop()

    @pytest.mark.slow
    def test_at_most_two_bodies_are_decoded_at_once(
        self, service: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_work, most, lock = 0, 0, threading.Lock()

        def slow(text: Any, name: str) -> bytes:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.1)
            with lock:
                at_work -= 1
            return decode_base64(text, name)

        monkeypatch.setattr(json_bodies, "decode_base64", slow)
        monkeypatch.setattr(inference, "decode_base64", slow)
        images = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [BASE64]}
        with ThreadPoolExecutor(6) as callers:
            asked = [callers.submit(post, service, {"image": BASE64}) for _ in range(3)]
            asked += [
                callers.submit(post, service, {"inputs": [images]}, "/v2/models/mien/infer") for _ in range(3)
            ]
            assert [one.result(20).status for one in asked] == [200] * 6
        assert most == 2

    def test_too_many_images_are_refused(self, service: Running) -> None:
        assert post(service, {"images": [BASE64] * 4}).status == 413


class TestAnnotatedCopies:
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("image/jpeg", "image/jpeg"),
            ("image/png, application/json;q=0.5", "image/png"),
            ("image/*", "image/jpeg"),
            ("*/*", ""),
            ("application/json", ""),
            ("text/html", ""),
            ("", ""),
            ("image/avif,image/webp,*/*;q=0.8", "image/webp"),
            ("image/jpeg;q=nonsense, */*", ""),
        ],
    )
    def test_the_accept_header_selects_the_image_type(self, accept: str, kind: str) -> None:
        assert wanted_image(accept) == kind

    @pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
    def test_the_response_is_an_image_of_the_accepted_type(self, service: Running, kind: str) -> None:
        data = encoded(small_portrait(400), "PNG")
        headers = {"Content-Type": "image/png", "Accept": f"image/{kind}"}
        reply = service.ask("POST", "/v1/recognize?min_confidence=0.99", data, headers)
        assert (reply.status, reply.headers["content-type"]) == (200, f"image/{kind}")
        copy = Image.open(io.BytesIO(reply.body))
        assert copy.format == kind.upper()
        assert copy.width == small_portrait(400).width

    def test_errors_are_problem_documents_and_several_images_are_refused(self, service: Running) -> None:
        headers = {"Content-Type": "image/jpeg", "Accept": "image/jpeg"}
        assert service.ask("POST", "/v1/recognize", b"%PDF-", headers).json["status"] == 415
        reply = post(service, {"images": [BASE64, BASE64]}, Accept="image/jpeg")
        assert (reply.status, reply.json["received"]) == (406, "2 images")

    @pytest.mark.parametrize(("kind", "width"), [("webp", 17_000), ("jpeg", 70_000)])
    def test_a_copy_that_is_too_large_for_its_format_is_refused(
        self, service: Running, kind: str, width: int
    ) -> None:
        data = encoded(Image.new("RGB", (width, 20)), "PNG")
        reply = service.ask("POST", "/v1/recognize", data, {"Accept": f"image/{kind}"})
        assert reply.status == 406
        assert re.fullmatch(rf"one of {width}x\d+ pixels", reply.json["received"])
        assert reply.json["remedy"].startswith("Accept image/png or application/json")
        assert service.ask("POST", "/v1/recognize", data, {"Accept": "image/png"}).status == 200
        assert "406" in service.get("/openapi.json").json["paths"]["/v1/recognize"]["post"]["responses"]

    def test_several_lines_of_accept_are_one_list(self, service: Running) -> None:
        lines = [
            ("Accept", "application/json;q=0.5"),
            ("Accept", "image/png"),
            ("Content-Type", "image/jpeg"),
            ("Content-Length", str(len(portrait()))),
        ]
        with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
            connection.putrequest("POST", "/v1/recognize")
            for name, value in lines:
                connection.putheader(name, value)
            connection.endheaders(portrait())
            with connection.getresponse() as answer:
                assert answer.getheader("content-type") == "image/png"


class TestInference:
    def infer(self, service: Running, **document: Any) -> Reply:
        images = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [BASE64]}
        return post(service, {"inputs": [images], **document}, "/v2/models/mien/infer")

    def test_server_and_model_metadata_follow_the_protocol(self, service: Running) -> None:
        name = service.get("/v1/model").json["name"]
        assert service.get("/v2").json["name"] == "mien"
        assert service.get("/v2/health/live").json == {"live": True}
        assert service.get("/v2/health/ready").json == {"ready": True}
        for path in (f"/v2/models/{name}", "/v2/models/mien/versions/1"):
            model = service.get(path).json
            assert model["name"] == name
            assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
            assert service.get(path + "/ready").json["ready"]
        other = service.get("/v2/models/other")
        assert other.status == 404
        assert other.json["error"].startswith("No such model: other.")

    def test_faces_are_returned_as_tensors(self, service: Running) -> None:
        (expected,) = service.send_raw(portrait()).json["images"][0]["faces"]
        answer = self.infer(service, id="a1").json
        assert answer["id"] == "a1"
        outputs = {one["name"]: one for one in answer["outputs"]}
        assert outputs["faces"]["data"] == [1]
        assert outputs["box"]["shape"] == [1, 4]
        assert outputs["box"]["data"] == list(expected["box"].values())
        assert outputs["label"]["data"] == [expected["label"]]
        assert outputs["probabilities"]["shape"] == [1, len(expected["probabilities"])]
        assert outputs["probabilities"]["data"] == list(expected["probabilities"].values())

    def test_outputs_and_parameters_can_be_chosen(self, service: Running) -> None:
        answer = self.infer(service, outputs=[{"name": "probabilities"}], parameters={"label_set": "ferplus"})
        (output,) = answer.json["outputs"]
        assert (output["name"], output["shape"]) == ("probabilities", [1, 8])

    def test_binary_data_with_several_images_is_accepted(self, service: Running) -> None:
        data = b"".join(len(one).to_bytes(4, "little") + one for one in (portrait(), portrait("PNG")))
        images = {
            "name": "image",
            "datatype": "BYTES",
            "shape": [2],
            "parameters": {"binary_data_size": len(data)},
        }
        head = json.dumps({"inputs": [images]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        answer = post(service, head + data, "/v2/models/mien/infer", **headers).json
        assert answer["outputs"][0]["data"] == [1, 1]

    @pytest.mark.parametrize(
        "change",
        [
            {"inputs": []},
            {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1], "data": [0]}]},
            {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [2], "data": ["AAAA"]}]},
            {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 9}}]},
            {"parameters": {"every": 3}},
            {"parameters": {"max_faces": 0}},
            {"outputs": [{"name": "age"}]},
            {"outputs": "faces"},
            {"id": 3},
        ],
    )  # fmt: skip
    def test_an_invalid_request_is_reported_in_the_error_field_of_the_protocol(
        self, service: Running, change: dict[str, Any]
    ) -> None:
        reply = self.infer(service, **change)
        assert reply.status == 422
        assert reply.json["error"].startswith(reply.json["detail"])

    @pytest.mark.parametrize("digits", [4_300, 18])
    def test_a_shape_of_huge_numbers_is_refused_promptly(self, service: Running, digits: int) -> None:
        began = time.monotonic()
        shape = b", ".join([b"9" * digits] * 250)
        images = b'{"name": "image", "datatype": "BYTES", "data": ["AAAA"], "shape": [' + shape + b"]}"
        reply = post(service, b'{"inputs": [' + images + b"]}", "/v2/models/mien/infer")
        assert reply.status == 422
        assert time.monotonic() - began < 1

    @pytest.mark.parametrize("shape", [[1.0], [True], [-1, -1], ["1"], [4, 0], 1, None])
    def test_an_invalid_shape_is_refused(self, service: Running, shape: Any) -> None:
        images = {"name": "image", "datatype": "BYTES", "shape": shape, "data": [BASE64]}
        reply = self.infer(service, inputs=[images])
        assert (reply.status, reply.json["expected"]) == (422, "a shape for 1 image")

    @pytest.mark.parametrize("length", ["0" * 5_000, "0" * 12 + "1", "-1", "+1", "1_0", "1.0", "", "9" * 12])
    def test_an_invalid_header_length_is_refused(self, service: Running, length: str) -> None:
        headers = {"Inference-Header-Content-Length": length}
        reply = post(service, b"{}", "/v2/models/mien/infer", **headers)
        assert (reply.status, reply.json["expected"]) == (422, "a header length within the body")

    @pytest.mark.parametrize("path", ["/v1/recognize", "/v2/models/mien/infer"])
    @pytest.mark.parametrize("header", ["Content-Length", "X-Forwarded-For", "Host", "Accept", "Range"])
    def test_long_numbers_in_other_headers_give_client_errors(
        self, service: Running, path: str, header: str
    ) -> None:
        value = {"Host": "localhost:", "Accept": "image/jpeg;q="}.get(header, "") + "0" * 5_000
        reply = service.ask("POST", f"{path}?max_faces={'0' * 5_000}1", b"", {**JSON, header: value})
        assert 400 <= reply.status < 500

    def test_a_file_that_is_not_an_image_gives_415(self, service: Running) -> None:
        images = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["JVBERg=="]}
        reply = self.infer(service, inputs=[images])
        assert (reply.status, "error" in reply.json) == (415, True)

    def test_the_openapi_document_lists_the_problems(self, service: Running) -> None:
        paths = service.get("/openapi.json").json["paths"]
        for path in ("/v2", "/v2/models/{name}", "/v2/models/{name}/ready"):
            operation = paths[path]["get"]
            assert {"401", "403", "421", "431"} <= set(operation["responses"]), path
            assert {"bearer": []} in operation["security"], path
        for path in ("/v2/models/{name}", "/v2/models/{name}/ready"):
            assert service.get(path.format(name="none")).status == 404
            assert "application/problem+json" in paths[path]["get"]["responses"]["404"]["content"]
        assert {"404", "415"} <= set(paths["/v2/models/{name}/infer"]["post"]["responses"])
        for path in ("/v2/health/ready", "/v2/models/{name}/ready", "/health/ready"):
            assert list(paths[path]["get"]["responses"]["503"]["content"]) == ["application/json"], path


class TestCors:
    def test_an_allowed_origin_gets_cors_headers(self, service: Running) -> None:
        headers = {
            "Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type",
        }  # fmt: skip
        preflight = service.ask("OPTIONS", "/v1/recognize", headers=headers)
        assert preflight.status == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        reply = post(service, {"image": BASE64}, Origin=ORIGIN, **{"Sec-Fetch-Site": "cross-site"})
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == ORIGIN

    @pytest.mark.parametrize(
        "name", ["accept", "authorization", "content-type", "x-api-key", inference.BINARY_HEADER]
    )
    def test_an_allowed_origin_may_send_every_header_that_the_service_reads(
        self, service: Running, name: str
    ) -> None:
        headers = {
            "Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": name,
        }  # fmt: skip
        preflight = service.ask("OPTIONS", "/v2/models/mien/infer", headers=headers)
        assert preflight.status == 200
        assert name in preflight.headers["access-control-allow-headers"].lower()

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "http://app.example.org", ORIGIN + ":8443", "null"]
    )
    def test_another_origin_gets_403_without_cors_headers(self, service: Running, origin: str) -> None:
        reply = post(service, {"image": BASE64}, Origin=origin)
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers

    def test_another_port_or_scheme_is_another_origin(self, service: Running) -> None:
        own = f"http://127.0.0.1:{service.port}"
        assert post(service, {"image": BASE64}, Origin=own).status == 200
        for other in ("http://127.0.0.1:1", own.replace("http:", "https:"), "http://127.0.0.1"):
            assert post(service, {"image": BASE64}, Origin=other).status == 403


class TestDocs:
    def test_without_its_package_the_docs_page_names_the_extra_that_has_it(
        self, service: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
        (extra,) = (
            name
            for name, requirements in project["optional-dependencies"].items()
            if any(requirement.startswith("fastapi-offline") for requirement in requirements)
        )
        monkeypatch.setattr(docs_page, "find_spec", lambda _name: None)
        reply = service.get("/docs")
        assert (reply.status, reply.json["received"]) == (404, "one without it")
        assert reply.json["remedy"].endswith(f"install fastapi-offline, which is in the extra {extra}.")

    @pytest.mark.slow
    def test_the_docs_page_loads_nothing_from_other_hosts(self, service: Running) -> None:
        pytest.importorskip("fastapi_offline")
        page = service.get("/docs")
        assert page.status == 200
        assert b"http" not in page.body
        assert "'unsafe" not in page.headers["content-security-policy"]
        for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
            assert service.get(f"/docs/{name}").status == 200
        assert service.get("/docs/other.js").status == 404
        assert service.get("/docs/..%2fconsts.py").status == 404
