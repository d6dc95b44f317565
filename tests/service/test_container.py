"""The container's files: no engine runs here, so a linter and parsers hold them to what they promise."""

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
    """The one service of the compose file, after the parser has checked its form."""
    text = (ROOT / "compose.yaml").read_text()
    document = compose_spec.PyCompose.from_yaml(text).to_dict()
    (service,) = document["services"].values()
    return dict(service)


def variables() -> set[str]:
    """The variables that `mien serve` reads."""
    from inspect import signature
    from typing import get_args, get_type_hints

    hints = get_type_hints(serve, include_extras=True)
    return {get_args(hints[name])[1].envvar for name in signature(serve).parameters}


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_is_slim_and_without_rights() -> None:
    instructions = [name for name, _ in steps()]
    last = instructions[len(instructions) - 1 - instructions[::-1].index("FROM") :]
    assert instructions.count("FROM") == 2
    assert "RUN" not in last  # what builds stays behind
    assert "ADD" not in instructions
    assert all("-slim" in value for name, value in steps() if name == "FROM")
    (user,) = [value for name, value in steps() if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert ("ENTRYPOINT", '["mien", "serve"]') in steps()


def test_python_and_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, value in steps():
        if name == "FROM":
            assert value.startswith(f"python:{project['requires-python'].removeprefix('>=')}-")
    (install,) = [value for name, value in steps() if name == "RUN"]
    (extra,) = re.findall(r"'\.\[(\w+)\]'", install)
    assert extra in project["optional-dependencies"]


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
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


def test_variables_are_those_of_the_command() -> None:
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()
    named = set(re.findall(r"MIEN_[A-Z_]+", text))
    assert named >= {"MIEN_HOST", "MIEN_API_KEY"}
    assert named <= variables()
    assert {f"MIEN_{name.upper()}" for name in vars(Settings())} <= variables()


def test_the_composed_service_is_closed() -> None:
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


def test_no_name_that_leads_here_opens_the_container() -> None:
    """It listens to all that reaches it, so only the names can tell a page of a stranger (DNS rebinding)."""
    assert composed()["environment"]["MIEN_ALLOW_HOST"] == "${MIEN_ALLOW_HOST:-localhost}"
    for path in ("Dockerfile", "docs/service.md"):
        commands = re.findall(r"docker run [^`\n]+", (ROOT / path).read_text())
        assert commands
        assert all("-e MIEN_ALLOW_HOST=localhost " in command for command in commands), path


def health_check(**variables: str) -> int:
    """The exit code of what asks whether the container is ready, in the environment of the image."""
    (image,) = [value for name, value in steps() if name == "ENV"]
    environment = dict(word.split("=", 1) for word in image.split())
    _, _, command = dict(steps())["HEALTHCHECK"].partition("CMD ")
    program, *arguments = json.loads(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments], env={**environment, **variables}, capture_output=True, check=False
    )
    return done.returncode


def test_the_health_check_asks_where_the_service_listens() -> None:
    with running(Settings(threads=1, allow_host=("mien.example",))) as service:
        assert health_check(MIEN_PORT=str(service.port)) == 0
    assert health_check(MIEN_PORT=str(service.port)) != 0
    assert "PORT=8000" in dict(steps())["ENV"]


def test_a_misspelt_option_would_be_found() -> None:
    text = (ROOT / "compose.yaml").read_text().replace("read_only", "read_onyl")
    with pytest.raises(ValueError, match="read_onyl"):
        compose_spec.PyCompose.from_yaml(text)
