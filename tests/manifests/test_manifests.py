"""The manifests: built by kustomize, held against the schemas of all that they use, and what they may not hold."""

import copy
import re
import shutil
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from histoforge_pipelines.profiles import PROFILES, profile_named
from histoforge_pipelines.resources import TASK_LABELS
from kustomize import build
from structural import KINDS, faults

from histoforge import __version__
from histoforge.cli.kubeflow.namespace import largest_quota
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.launcher import check_launcher
from histoforge.cluster.packages import open_package
from histoforge.cluster.run_parameters import run_parameters
from histoforge.cluster.schedules import read_schedules

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = ("standalone", "profile", "restricted")
COMPONENTS = ("kueue", "minio", "gitops", "monitoring", "trainer")
NOT_BUILT = ("base/launcher.yaml", "base/storage-secret.yaml", "components/trainer/trainjob.yaml")
KUBEFLOWS_OWN = {
    "kfp-launcher",
    "mlpipeline-minio-artifact",
    "pipeline-runner",
    "default-editor",
    "pipeline-install-config",
}
CLUSTERS_OWN = {
    "Namespace",
    "Profile",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Node",
    "StorageClass",
}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(path):
    return list(yaml.load_all((MANIFESTS / path).read_text(encoding="utf-8"), Loader=LOADER))


def objects():
    """Each file with Kubernetes objects, with what is in it."""
    found = {}
    for path in sorted(MANIFESTS.glob("*/**/*.yaml")):
        name = path.relative_to(MANIFESTS).as_posix()
        if path.name != "kustomization.yaml" and name.split("/")[0] in ("base", "components", "overlays"):
            found[name] = [one for one in documents(name) if isinstance(one, dict)]
    return found


OBJECTS = objects()


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_is_as_its_schema_says(name):
    assert [fault for one in OBJECTS[name] for fault in faults(one)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_build_to_valid_objects_of_one_namespace_that_are_not_the_clusters(overlay):
    built = build(MANIFESTS / "overlays" / overlay)
    assert [fault for one in built for fault in faults(one)] == []
    assert {one["kind"] for one in built}.isdisjoint(CLUSTERS_OWN)
    assert {one["metadata"]["name"] for one in built}.isdisjoint(KUBEFLOWS_OWN)
    assert {one["metadata"]["name"].split("-")[0] for one in built} == {"histoforge"}
    assert not [one for one in built if one["kind"] == "Secret"]
    everywhere = {"ResourceFlavor", "ClusterQueue", "WorkloadPriorityClass"}
    namespaces = {one["metadata"].get("namespace") for one in built if one["kind"] not in everywhere}
    assert len(namespaces) == 1
    assert None not in namespaces
    for one in (one for one in built if one["kind"] == "RoleBinding"):
        assert {subject["namespace"] for subject in one["subjects"]} == namespaces


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_second_apply_changes_nothing(overlay):
    """Kubernetes drops what is empty and rewrites amounts, and kubectl would find both changed each time."""
    built = [
        one
        for one in build(MANIFESTS / "overlays" / overlay)
        if "." not in one["apiVersion"].split("/")[0] or one["apiVersion"].split("/")[0].endswith(".k8s.io")
    ]
    assert {one["kind"] for one in built} >= {"NetworkPolicy", "ResourceQuota", "Role", "ServiceAccount"}
    assert [line for one in built for line in rewritten(one, one["kind"])] == []


def rewritten(value, where):
    """List the parts of an object that Kubernetes hands back in another form."""
    if value in ([], "", None) and not where.endswith(".apiGroups[]"):
        yield f"{where} is empty"
    if isinstance(value, dict):
        for name, item in value.items():
            yield from rewritten(item, f"{where}.{name}")
            if re.search(r"(hard|limits|requests)$", where) and not canonical(str(item)):
                yield f"{where}.{name} is {item}"
    if isinstance(value, list):
        for item in value:
            yield from rewritten(item, f"{where}[]")


def canonical(amount):
    """Tell whether a quantity is written as Kubernetes writes it: whole, and with the largest suffix that fits."""
    number, suffix = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", amount).groups()
    base = 1024 if suffix.endswith("i") else 1000
    return number.isdecimal() and (number == "0" or int(number) % base != 0 or suffix in ("Ei", "E"))


def test_other_forms_are_seen():
    forms = {"spec": {"ingress": [], "hard": {"memory": "1024Mi", "cpu": "0.5", "pods": "120"}, "volume": {}}}
    assert list(rewritten(forms, "X")) == [
        "X.spec.ingress is empty",
        "X.spec.hard.memory is 1024Mi",
        "X.spec.hard.cpu is 0.5",
    ]


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_builds_on_the_base(component, tmp_path):
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    folder = tmp_path / "manifests" / "mine"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(
        f"namespace: mine\nresources: [../base]\ncomponents: [../components/{component}]\n"
    )
    built = build(folder)
    assert [fault for one in built for fault in faults(one)] == []


def test_what_is_not_built_stands_in_no_kustomization():
    for path in MANIFESTS.glob("**/kustomization.yaml"):
        for resource in yaml.safe_load(path.read_text())["resources"]:
            name = (path.parent / resource).resolve().relative_to(MANIFESTS.resolve()).as_posix()
            assert name not in NOT_BUILT
    assert all(name in OBJECTS for name in NOT_BUILT)


def test_the_secret_has_names_and_no_values():
    from histoforge_pipelines.resources import STORAGE_KEYS, STORAGE_SECRET

    (secret,) = OBJECTS["base/storage-secret.yaml"]
    assert secret["metadata"]["name"] == STORAGE_SECRET
    assert secret["stringData"] == dict.fromkeys(sorted(STORAGE_KEYS, key=list(secret["stringData"]).index), "")


WRONG = {
    "base/service-account.yaml": [
        lambda one: one.pop("metadata") and None,
        lambda one: one.update(spec={"x": 1}),
    ],
    "components/kueue/queues.yaml": [
        lambda one: one["spec"].update(cohort="x"),
        lambda one: one["spec"].update(queueingStrategy="Fastest"),
        lambda one: one["spec"]["resourceGroups"][0]["flavors"][0].pop("name") and None,
    ],
    "components/minio/minio.yaml": [lambda one: one["spec"].update(accessModes="ReadWriteOnce")],
    "components/trainer/runtime.yaml": [
        lambda one: one["spec"]["mlPolicy"].update(numNodes="two"),
        lambda one: one["spec"]["mlPolicy"]["torch"].update(numProcPerNode="auto"),
        lambda one: one["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"][
            "containers"
        ][0].update(imagePull="Always"),
    ],
    "components/gitops/retraining.yaml": [lambda one: one["spec"].update(pipeline="x")],
    "overlays/profile/pod-default.yaml": [lambda one: one["spec"]["volumes"][0].update(secrets={})],
}


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, all_ in WRONG.items() for n in range(len(all_))])
def test_a_wrong_object_is_seen(name, number):
    changed = copy.deepcopy(OBJECTS[name][0])
    WRONG[name][number](changed)
    assert faults(changed)


def test_a_kind_without_a_schema_is_seen():
    assert faults({"apiVersion": "v2", "kind": "Pod", "metadata": {}}) == ["no schema for v2/Pod"]
    assert len(KINDS) == 20


def pod_templates():
    for name, found in OBJECTS.items():
        for one in found:
            if one["kind"] == "Deployment":
                yield name, one["spec"]["template"]["spec"]
            if one["kind"] == "TrainingRuntime":
                for job in one["spec"]["template"]["spec"]["replicatedJobs"]:
                    yield name, job["template"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(("name", "pod"), list(pod_templates()))
def test_pods_meet_the_pod_security_standard_restricted(name, pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    kinds = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
    assert kinds <= {
        "configMap",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}


def test_our_images_have_the_version_of_the_program():
    images = [container["image"].rpartition(":") for _, pod in pod_templates() for container in pod["containers"]]
    assert not {"", "latest"} & {tag for _, _, tag in images}
    assert {tag for image, _, tag in images if "histoforge" in image} == {__version__}


def test_tasks_reach_names_the_store_and_kubeflow_and_are_reached_by_nobody():
    (policy,) = OBJECTS["base/network-policy.yaml"]
    spec = policy["spec"]
    assert spec["podSelector"] == {"matchLabels": TASK_LABELS}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    assert all(rule["ports"] and rule["to"] for rule in spec["egress"])
    blocks = [to["ipBlock"]["cidr"] for rule in spec["egress"] for to in rule["to"] if "ipBlock" in to]
    assert blocks
    assert all(ip_network(block).is_private and block != "0.0.0.0/0" for block in blocks)
    minio = OBJECTS["components/minio/minio.yaml"][2]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        to["podSelector"].get("matchLabels")
        for rule in spec["egress"]
        for to in rule.get("to", [])
        if "podSelector" in to
    ]
    assert minio in selectors


def test_the_patch_of_the_claims_in_the_docs_sets_the_class_of_each_shared_one(tmp_path):
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (patch,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "storageClassName\n" in block]
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    folder = tmp_path / "manifests" / "mine"
    folder.mkdir()
    head = "namespace: mine\nresources: [../base]\ncomponents: [../components/monitoring, ../components/minio]\n"
    (folder / "kustomization.yaml").write_text(head + patch)
    claims = [one for one in build(folder) if one["kind"] == "PersistentVolumeClaim"]
    classes = {one["metadata"]["name"]: one["spec"].get("storageClassName") for one in claims}
    shared = {one["metadata"]["name"] for one in claims if one["spec"]["accessModes"] == ["ReadWriteMany"]}
    assert shared == {"histoforge-slides", "histoforge-logs"}
    assert classes == {**dict.fromkeys(shared, "shared-files"), "histoforge-minio": None}


def test_the_patch_of_the_network_policy_in_the_docs_narrows_and_opens_what_it_says(tmp_path):
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (patch,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "NetworkPolicy" in block]
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    folder = tmp_path / "manifests" / "mine"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(f"namespace: mine\nresources: [../base]\n{patch}")
    (policy,) = [one for one in build(folder) if one["kind"] == "NetworkPolicy"]
    (before,) = OBJECTS["base/network-policy.yaml"]
    assert {port["port"] for port in before["spec"]["egress"][3]["ports"]} == {6443}
    assert [rule["to"] for rule in policy["spec"]["egress"][3:]] == [
        [{"ipBlock": {"cidr": "10.96.0.10/32"}}],
        [{"ipBlock": {"cidr": "203.0.113.7/32"}}],
    ]


def test_the_example_profile_fits_the_queue_and_the_claims():
    profile = profile_named(str(MANIFESTS / "profiles" / "gpu-pool.yaml"))
    queues = {one["kind"]: one for one in OBJECTS["components/kueue/queues.yaml"]}
    priorities = {one["metadata"]["name"] for one in OBJECTS["components/kueue/priorities.yaml"]}
    flavors = {one["metadata"]["name"] for one in OBJECTS["components/kueue/flavors.yaml"]}
    claims = {one["metadata"]["name"] for found in OBJECTS.values() for one in found if "Claim" in one["kind"]}
    assert profile.queue == queues["LocalQueue"]["metadata"]["name"]
    assert queues["LocalQueue"]["spec"]["clusterQueue"] == queues["ClusterQueue"]["metadata"]["name"]
    assert profile.priority in priorities
    assert {profile.slide_claim, profile.log_claim} <= claims
    quota = largest_quota(queues["ClusterQueue"], profile.gpu_type)
    assert quota == 8
    assert all(int(one.gpu_count) <= quota for one in (profile, *PROFILES.values()))
    for group in queues["ClusterQueue"]["spec"]["resourceGroups"]:
        assert {one["name"] for one in group["flavors"]} == flavors
        for flavor in group["flavors"]:
            assert [one["name"] for one in flavor["resources"]] == group["coveredResources"]


def test_the_launcher_knows_both_stores_and_a_lack_is_seen():
    (launcher,) = OBJECTS["base/launcher.yaml"]
    for root in ("s3://b/x", "minio://b/x", ""):
        check_launcher(launcher["data"], root, "ns")
    for data in (None, {"providers": "s3: {}"}):
        check_launcher(data, "minio://b/x", "ns")
    for data, root in ((launcher["data"], "gs://b/x"), (None, "s3://b/x"), ({"defaultPipelineRoot": "s3://b"}, "")):
        with pytest.raises(ClusterError, match="'kfp-launcher' of the namespace 'ns' lacks the provider"):
            check_launcher(data, root, "ns")
    with pytest.raises(ClusterError, match="are not YAML"):
        check_launcher({"providers": "s3: ["}, "s3://b/x", "ns")


def test_the_declared_schedules_are_right():
    runs = read_schedules(MANIFESTS / "recurring_runs.yaml")
    assert [run.name for run in runs] == ["weekly-retraining"]
    for run in runs:
        assert (run.catch_up, run.at_once) == (False, 1)
        assert run_parameters(open_package(run.pipeline), run.profile, run.parameters)["source"].startswith("s3://")


def test_the_gitops_resources_are_the_compiled_pipeline():
    pipeline, version = OBJECTS["components/gitops/retraining.yaml"]
    compiled = list(yaml.load_all((ROOT / "pipelines" / "retraining.yaml").read_text(), Loader=LOADER))
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"] == compiled[0]["pipelineInfo"]["name"]
    assert [version["spec"]["pipelineSpec"], version["spec"]["platformSpec"]] == compiled
    assert version["metadata"]["name"] == f"retraining-{__version__}"
