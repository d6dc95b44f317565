"""The cluster configuration files match their schemas and name commands and extras that exist."""

from __future__ import annotations

import json
import re
import shlex
import socket
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.command import mien

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "cluster"

_TEMPLATE: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers"],
            "properties": {
                "containers": {"type": "array", "minItems": 1, "items": {"required": ["name", "image"]}},
            },
        }
    },
}
_GROUP = {
    "groupName": {"type": "string"},
    "replicas": {"type": "integer"},
    "minReplicas": {"type": "integer"},
    "maxReplicas": {"type": "integer"},
    "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
    "template": _TEMPLATE,
}
# The fields of a RayJob that are used here, transcribed from KubeRay's API reference (v1); others are refused. The pods
# are validated against the schema of Kubernetes instead.
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "additionalProperties": False,
            "properties": {
                "entrypoint": {"type": "string"},
                "backoffLimit": {"type": "integer"},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec"],
                    "additionalProperties": False,
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "headGroupSpec": {
                            "type": "object",
                            "required": ["template"],
                            "additionalProperties": False,
                            "properties": {name: _GROUP[name] for name in ("rayStartParams", "template")},
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "required": ["groupName", "maxReplicas", "minReplicas", "template"],
                                "additionalProperties": False,
                                "properties": _GROUP,
                            },
                        },
                    },
                },
            },
        },
    },
}


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def test_the_cluster_file_follows_the_schema_of_the_ray_autoscaler() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    spec = find_spec("ray")
    if spec is None or spec.origin is None:
        pytest.skip("needs the extra ray")
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(load("ray-aws.yaml"), schema)


def test_the_kubernetes_file_follows_the_schema_of_a_ray_job() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(load("kuberay.yaml"), RAY_JOB)


def pods() -> list[dict[str, Any]]:
    """The pod templates of the Kubernetes file, as objects that Kubernetes validates."""
    cluster = load("kuberay.yaml")["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    about = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "mien"}}
    return [{**about, "template": one["template"]} for one in groups]


def test_the_pods_follow_the_schema_of_kubernetes() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    assert len(pods()) == 2
    for pod in pods():
        kubernetes.validate(pod, "1.30", strict=True)


@pytest.mark.parametrize("place", ["pod", "container", "resources", "requests"])
def test_a_mistake_in_a_pod_is_found(place: str) -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    (pod, _) = pods()
    spec = pod["template"]["spec"]
    container = spec["containers"][0]
    where = {"pod": spec, "container": container, "resources": container["resources"]}
    if place == "requests":
        container["resources"]["requests"] = ["cpu", 2]
    else:
        where[place]["serviceAcountName"] = "mien-batch"
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(pod, "1.30", strict=True)


def test_the_command_in_the_kubernetes_file_is_accepted_by_mien(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    words = shlex.split(load("kuberay.yaml")["spec"]["entrypoint"])
    assert words[:2] == ["mien", "batch"]
    words = [str(tmp_path / word.rpartition("/")[2]) if word.startswith("s3:") else word for word in words]
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as server:  # the cluster is looked for before the sources are listed
        words[words.index("auto")] = f"127.0.0.1:{server.getsockname()[1]}"
        done = mien(*words[1:])
    assert done.returncode == 2
    assert "found none of that name" in done.stderr


def test_the_head_and_the_workers_may_access_the_bucket() -> None:
    cluster = load("kuberay.yaml")["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert [one["template"]["spec"].get("serviceAccountName") for one in groups] == ["mien-batch"] * 2
    nodes = load("ray-aws.yaml")["available_node_types"].values()
    arn = "arn:aws:iam::ACCOUNT:instance-profile/mien-batch"
    assert [one["node_config"].get("IamInstanceProfile") for one in nodes] == [{"Arn": arn}] * 2


def test_an_unreadable_image_does_not_make_the_kubernetes_job_fail() -> None:
    spec = load("kuberay.yaml")["spec"]
    assert spec["backoffLimit"] > 0
    assert "--allow-failed" in shlex.split(spec["entrypoint"])


def test_the_numbers_of_workers_leave_a_core_of_each_machine_for_reading() -> None:
    words = shlex.split(load("kuberay.yaml")["spec"]["entrypoint"])
    cluster = load("kuberay.yaml")["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    cores = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert cluster["enableInTreeAutoscaling"] is True  # otherwise, maxReplicas has no effect
    assert int(words[words.index("--workers") + 1]) == (cores - 1) * group["maxReplicas"]
    command = re.search(r"^#   (mien batch .*)$", (FOLDER / "ray-aws.yaml").read_text(), re.MULTILINE)
    assert command is not None
    words = shlex.split(command[1])
    machines = load("ray-aws.yaml")["available_node_types"]["worker"]["max_workers"]
    assert int(words[words.index("--workers") + 1]) == (cores - 1) * machines


def test_extras_in_the_files_exist_and_ray_versions_agree() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for path in FOLDER.iterdir():
        assert "'mien[ray,s3] @ git+https://github.com/mien-project/mien'" in path.read_text()  # not on PyPI
    assert {"ray", "s3", "batch"} <= set(extras)
    assert (
        load("kuberay.yaml")["spec"]["rayClusterSpec"]["rayVersion"]
        in load("ray-aws.yaml")["docker"]["image"]
    )


def test_documented_install_commands_need_no_package_index() -> None:
    for path in (ROOT / "docs" / "scale.md", *FOLDER.iterdir()):
        assert not re.search(r"pip install '?mien(\[[a-z0-9,]*\])?'?($|[^\[ ]| [^@])", path.read_text()), (
            path.name
        )
