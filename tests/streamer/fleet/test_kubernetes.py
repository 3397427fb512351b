"""The manifest for KubeRay: its fields are there, of the right kind, and what it names goes together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kinestream.model.config.checking import check
from kinestream.model.plaindata import parse_json
from kinestream.streamer.fleet.fleetfile import FleetFile

ROOT = Path(__file__).parents[3]
MANIFEST = ROOT / "docs" / "kubernetes" / "fleet.yaml"

pytestmark = pytest.mark.skipif(not MANIFEST.exists(), reason="of the checkout: this is an install")

# Of what is used here, the fields and kinds as in KubeRay's reference of ray.io/v1 (v1.6) and Kubernetes' of v1 Pod.
POD = {"containers": list, "volumes": list, "terminationGracePeriodSeconds": int}
CONTAINER = {"name": str, "image": str, "ports": list, "resources": dict, "volumeMounts": list}
CLUSTER = {
    "rayVersion": str,
    "authOptions": dict,
    "gcsFaultToleranceOptions": dict,
    "headGroupSpec": dict,
    "workerGroupSpecs": list,
}
HEAD = {"rayStartParams": dict, "template": dict}
WORKERS = {**HEAD, "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int}
STARTED_WITH = {"num-cpus", "disable-usage-stats", "system-config"}  # of 'ray start', less its dashes


def documents() -> dict[str, dict[str, Any]]:
    found = list(yaml.safe_load_all(MANIFEST.read_text()))
    return {each["kind"]: each for each in found}


def fits(content: dict[str, Any], fields: dict[str, type]) -> None:
    for name, value in content.items():
        assert name in fields, f"{name} is no such field: {', '.join(fields)}"
        assert type(value) is fields[name], f"{name}: {value!r}"


def test_the_cluster_has_fields_of_kuberay():
    cluster = documents()["RayCluster"]
    assert cluster["apiVersion"] == "ray.io/v1"
    spec = cluster["spec"]
    fits(spec, CLUSTER)
    assert spec["authOptions"] == {"mode": "token"}
    fits(spec["gcsFaultToleranceOptions"], {"redisAddress": str})
    fits(spec["headGroupSpec"], HEAD)
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in spec["workerGroupSpecs"]:
        fits(group, WORKERS)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups:
        fits(group["rayStartParams"], dict.fromkeys(STARTED_WITH, str))
        pod = group["template"]["spec"]
        fits(pod, POD)
        [container] = pod["containers"]
        fits(container, CONTAINER)
        assert {each["name"] for each in container["volumeMounts"]} <= {each["name"] for each in pod["volumes"]}
        for each in container.get("ports", []):
            fits(each, {"name": str, "containerPort": int})
            assert len(each["name"]) <= 15, "Kubernetes takes no longer one"


def test_ray_is_of_the_version_that_is_pinned():
    pinned = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("ray=="))
    assert documents()["RayCluster"]["spec"]["rayVersion"] == pinned.removeprefix("ray==")


def test_the_fleet_file_is_one_and_its_paths_and_ports_are_the_pods():
    found = documents()
    fleet, problems = check(yaml.safe_load(found["ConfigMap"]["data"]["fleet.yaml"]), FleetFile)
    assert problems == []
    assert fleet is not None
    assert not fleet.is_local
    spec = found["RayCluster"]["spec"]
    head = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
    opened = {str(each["containerPort"]) for each in head["ports"]}
    told = {each.rpartition(":")[2] for each in (fleet.directory, fleet.updates, str(fleet.address))}
    assert told <= opened
    assert {str(each["port"]) for each in found["Service"]["spec"]["ports"]} <= opened
    mounted = tuple(each["mountPath"] for each in head["volumeMounts"])
    for path in (fleet.bundle, fleet.keys, fleet.keeper_keys, fleet.state):
        assert str(path).startswith(mounted)


def test_a_dead_node_is_noticed_as_soon_as_a_fleet_file_says():
    given = documents()["RayCluster"]["spec"]["headGroupSpec"]["rayStartParams"]["system-config"]
    fleet = FleetFile(bundle="b", streamers=1, state="s")
    assert parse_json(given.strip("'")) == fleet.system_config
