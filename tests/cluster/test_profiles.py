"""Resources that the compiled files request under each profile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from histoforge_pipelines.profiles import PROFILES, profile_named

from histoforge.steps.table import STEPS

ROOT = Path(__file__).resolve().parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FILES_OF_STEPS = sorted(ROOT.glob("components/*/pipeline*.yaml"))
COMPILED = sorted([*ROOT.glob("pipelines/*.yaml"), *FILES_OF_STEPS])
OURS = {"app.kubernetes.io/name": "histoforge-task"}
RESOURCES = ("gpu_count", "gpu_type", "cpu", "memory", "storage_secret")


def read(path):
    spec, platform = yaml.load_all(path.read_text(encoding="utf-8"), Loader=LOADER)
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def compiled_with(profile, folder):
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from kfp.compiler import Compiler\n"
        "from histoforge_pipelines.retraining import retraining\n"
        "Compiler().compile(retraining, sys.argv[1])"
    )
    path = folder / "compiled.yaml"
    environment = {**os.environ, "HISTOFORGE_PROFILE": str(profile)}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment, capture_output=True)
    return read(path)


def defaults(spec):
    return {key: item.get("defaultValue") for key, item in spec["root"]["inputDefinitions"]["parameters"].items()}


def is_heavy(label):
    return label.startswith(("exec-train", "exec-select", "exec-evaluate", "exec-publish"))


def test_a_profile_sets_defaults_and_shared_memory(tmp_path):
    spec, platform = compiled_with("multi-gpu", tmp_path)
    assert {name: defaults(spec)[name] for name in PROFILES["multi-gpu"].parameters} == PROFILES["multi-gpu"].parameters
    assert defaults(spec)["gpu_count"] == "4"
    for label, settings in platform.items():
        if is_heavy(label):
            (shm,) = settings["emptyDirMounts"]
            assert shm["sizeLimit"] == "8Gi"
        assert settings["podMetadata"] == {"labels": OURS}


def test_a_profile_of_ones_own_sets_queue_priority_and_volumes(tmp_path):
    spec, platform = compiled_with(ROOT / "manifests" / "profiles" / "gpu-pool.yaml", tmp_path)
    assert defaults(spec)["memory"] == "48Gi"
    assert {label for label in platform if is_heavy(label)}
    for label, settings in platform.items():
        labels = settings["podMetadata"]["labels"]
        claims = {
            item["mountPath"]: item["pvcNameParameter"]["runtimeValue"]["constant"]
            for item in settings.get("pvcMount", [])
        }
        if is_heavy(label):
            assert labels["kueue.x-k8s.io/queue-name"] == "histoforge-gpu"
            assert labels["kueue.x-k8s.io/priority-class"] == "histoforge-scheduled"
            slides = {"/slides": "histoforge-slides"} if label == "exec-evaluate" else {}  # those of the external test
            assert claims == {"/logs": "histoforge-logs", **slides}
            environment = spec["deploymentSpec"]["executors"][label]["container"]["env"]
            assert {"name": "HISTOFORGE_LOGS", "value": "/logs"} in environment
        else:
            assert labels == OURS
            reads = label in ("exec-scan-source", "exec-cut-slides", "exec-preprocess")
            assert claims == ({"/slides": "histoforge-slides"} if reads else {})


def test_a_profile_sets_pull_secrets_certificates_and_variables_of_every_task(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "{image_pull_secrets: [registry], ca_config_map: authority, ca_key: root.pem, memory_training: 64Gi,"
        " environment: {HTTPS_PROXY: 'http://proxy:3128'}, environment_from: {site: {no-proxy: NO_PROXY}},"
        " tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}, {key: spot, operator: Exists}]}"
    )
    spec, platform = compiled_with(tmp_path / "mine.yaml", tmp_path)
    assert defaults(spec)["memory_training"] == "64Gi"
    assert defaults(spec)["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    for label, settings in platform.items():
        assert [secret["secretName"] for secret in settings["imagePullSecret"]] == ["registry"]
        (volume,) = settings["configMapAsVolume"]
        assert (volume["configMapName"], volume["mountPath"]) == ("authority", "/etc/histoforge/certificates")
        (drawn,) = settings["configMapAsEnv"]
        assert (drawn["configMapName"], drawn["keyToEnv"]) == (
            "site",
            [{"configMapKey": "no-proxy", "envVar": "NO_PROXY"}],
        )
        variables = {
            item["name"]: item["value"] for item in spec["deploymentSpec"]["executors"][label]["container"]["env"]
        }
        assert variables == {
            "HISTOFORGE_S3_CA": "/etc/histoforge/certificates/root.pem",
            "HTTPS_PROXY": "http://proxy:3128",
        }


def test_certificates_may_lie_in_a_secret(tmp_path):
    (tmp_path / "mine.yaml").write_text("ca_secret: authority")
    spec, platform = compiled_with(tmp_path / "mine.yaml", tmp_path)
    for label, settings in platform.items():
        (volume,) = settings["secretAsVolume"]
        assert (volume["secretName"], volume["mountPath"]) == ("authority", "/etc/histoforge/certificates")
        assert {"name": "HISTOFORGE_S3_CA", "value": "/etc/histoforge/certificates/ca.crt"} in spec["deploymentSpec"][
            "executors"
        ][label]["container"]["env"]


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_retries_end_after_all_attempts_have_had_their_time(path):
    """Argo counts `backoffMaxDuration` from the first attempt's start, and then ends whatever attempt runs."""
    spec, platform = read(path)
    dags = [spec["root"]["dag"], *(item["dag"] for item in spec["components"].values() if "dag" in item)]
    checked = set()
    for task in (task for dag in dags for task in dag["tasks"].values()):
        label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
        if label is None:
            continue
        policy = task["retryPolicy"]
        retries, first = policy["maxRetryCount"], int(policy["backoffDuration"].removesuffix("s"))
        backoffs = sum(first * policy["backoffFactor"] ** retry for retry in range(retries))
        needed = (retries + 1) * int(platform[label]["activeDeadlineSeconds"]) + backoffs
        assert int(policy["backoffMaxDuration"].removesuffix("s")) > needed, label
        checked.add(label)
    assert checked == set(spec["deploymentSpec"]["executors"])


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_compiled_file_asks_by_text_and_runs_without_root(path):
    spec, platform = read(path)
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert {parameters[name]["parameterType"] for name in RESOURCES} == {"STRING"}
    for label in spec["deploymentSpec"]["executors"]:
        settings = platform[label]
        assert settings["securityContext"]["runAsNonRoot"] is True
        assert int(settings["activeDeadlineSeconds"]) >= 3600
        assert [secret["optional"] for secret in settings["secretAsEnv"]] == [True]


@pytest.mark.parametrize("path", FILES_OF_STEPS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_component_as_a_pipeline_has_its_inputs_outputs_and_a_gpu(path):
    spec, platform = read(path)
    component = next(yaml.load_all(path.with_name("component.yaml").read_text(), Loader=LOADER))
    ((label, executor),) = spec["deploymentSpec"]["executors"].items()
    resources = executor["container"]["resources"]
    assert resources["accelerator"]["resourceCount"] == "{{$.inputs.parameters['pipelinechannel--gpu_count']}}"
    assert resources["accelerator"]["resourceType"] == "{{$.inputs.parameters['pipelinechannel--gpu_type']}}"
    assert platform[label]["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert platform[label]["tolerations"]
    assert platform[label]["nodeSelector"]
    (task,) = spec["root"]["dag"]["tasks"].values()
    assert task["retryPolicy"]["maxRetryCount"] == 2
    inputs, of_component = (item["root"]["inputDefinitions"] for item in (spec, component))
    optional = {key: item.get("isOptional", False) for key, item in of_component["parameters"].items()}
    assert optional.items() <= {key: item.get("isOptional") for key, item in inputs["parameters"].items()}.items()
    assert {key for key, item in of_component["artifacts"].items() if not item.get("isOptional")} <= set(
        inputs["artifacts"]
    )
    assert set(inputs["artifacts"]) <= set(of_component["artifacts"])
    for kind in ("parameters", "artifacts"):
        assert set(component["root"]["outputDefinitions"].get(kind, {})) == set(
            spec["root"]["outputDefinitions"].get(kind, {})
        )


def test_each_component_with_a_gpu_comes_as_a_pipeline_unless_it_needs_a_list_of_artifacts():
    gpus = {name for name, step in STEPS.items() if step.gpu}
    assert gpus - {path.parent.name for path in FILES_OF_STEPS} <= {"leaderboard"}


WRONG = {
    "memory_training: 64GB": "has the memory '64GB': write whole Gi or Mi",
    "cpu_cutting: half": "no whole number",
    "image_pull_secrets: [My_Secret]": "names a secret or config map 'My_Secret'",
    "image_pull_secrets: pull": "has 'pull' for 'image_pull_secrets': give a list",
    "{ca_config_map: a, ca_secret: b}": "has both ca_config_map and ca_secret",
    "ca_key: a/b": "has the ca_key 'a/b'",
    "environment: {A-B: x}": "has the variable 'A-B'",
    "environment: {RETRIES: 3}": "has 3 for the variable 'RETRIES': put it in quotes",
    "environment: {WANDB_API_KEY: x}": "seems to contain a secret in the variable 'WANDB_API_KEY'",
    "environment: {AWS_SECRET_ACCESS_KEY: x}": "seems to contain a secret in the variable 'AWS_SECRET_ACCESS_KEY'",
    f"environment: {{HTTPS_PROXY: 'http://{'me:word'}@proxy'}}": "contain a secret in the variable 'HTTPS_PROXY'",
    "environment_from: {proxy: }": "takes no keys from the config map 'proxy'",
    "environment_from: {proxy: {url: HTTPS-PROXY}}": "has the variable 'HTTPS-PROXY'",
    "gpu_count: 9": "requests 9 GPUs and a node of its pool has 8",
    "gpu_count: 1.5": "has 1.5 for 'gpu_count': give a str",
    "memory: 1.5Gi": "has the memory '1.5Gi': write whole Gi or Mi",
    "cpu: many": "no whole number",
    "qeue: x": "did you mean 'queue'?",
    "- x": "cannot be read",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_profile_is_one_sentence(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its text is looked at
        profile_named(str(tmp_path / "mine.yaml"))
    assert WRONG[text] in str(error.value)
    assert str(error.value).count(". ") == 0


def test_an_unknown_profile_stops_compiling_with_a_sentence():
    command = [sys.executable, "-c", "import histoforge_pipelines.resources"]
    environment = {**os.environ, "HISTOFORGE_PROFILE": "gpus"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (
        1,
        "There is no profile 'gpus' (did you mean 'gpu'?): give small, gpu, multi-gpu or a YAML file of your own.\n",
    )
