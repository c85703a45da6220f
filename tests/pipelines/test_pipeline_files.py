"""The compiled pipelines: what each task asks of the cluster, and what the form has."""

import re
from pathlib import Path

import pytest
import yaml
from histoforge_pipelines.table import PIPELINES

from histoforge.steps.settings import all_settings
from histoforge.steps.table import STEPS

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = [entry.function for entry in PIPELINES.values()]
GROUPS = ("cutting", "training", "evaluating")
SIZES = {
    ("cut_slides", "preprocess"): "cutting",
    ("enter-generator", "finetune-snn", "train-autoencoder", "train-generator", "train-upscaler", "train-classifier"): (
        "training"
    ),
    (
        "select-samples",
        "synthesise-images",
        "score-generator",
        "score-images",
        "evaluate",
        "leaderboard",
        "publish-model",
    ): "evaluating",
}
RESOURCES = {"gpu_count", "gpu_type", "cpu", "memory", "storage_secret"} | {
    f"{kind}_{size}" for kind in ("cpu", "memory") for size in GROUPS
}
HEAVY = tuple(name for names, size in SIZES.items() if size != "cutting" for name in names)
READ_ALL_OVERRIDES = {"scan_source", "find_news", "plan_benchmark", "plan_unified", "plan_pathup", "plan_judge"}
REQUIRED = {"retraining": {"source", "state", "models"}}


def load(name):
    documents = list(yaml.safe_load_all((ROOT / "pipelines" / f"{name}.yaml").read_text(encoding="utf-8")))
    return documents[0], documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(spec):
    """Executor label to the task's specification, in loops too."""
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    by_label = {}
    for dag in dags:
        for task in dag["tasks"].values():
            component = spec["components"][task["componentRef"]["name"]]
            if "executorLabel" in component:
                by_label[component["executorLabel"]] = task
    return by_label


@pytest.fixture(scope="module", params=FUNCTIONS)
def pipeline(request):
    return load(request.param)


def test_every_task_has_a_time_limit_a_retry_no_root_and_the_secret(pipeline):
    spec, platform = pipeline
    for label, task in tasks(spec).items():
        settings = platform[label]
        assert int(settings["activeDeadlineSeconds"]) >= 3600
        assert settings["securityContext"]["runAsNonRoot"] is True
        assert task["retryPolicy"]["maxRetryCount"] == 2
        (secret,) = settings["secretAsEnv"]
        assert secret["optional"] is True
        assert {key["envVar"] for key in secret["keyToEnv"]} == {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "HISTOFORGE_S3_ENDPOINT",
        }
        assert secret["secretNameParameter"]["componentInputParameter"].endswith("storage_secret")


def test_heavy_tasks_take_gpu_memory_and_nodes_from_the_form(pipeline):
    spec, platform = pipeline
    for label, task in tasks(spec).items():
        settings = spec["deploymentSpec"]["executors"][label]["container"]["resources"]
        if not label.removeprefix("exec-").startswith(HEAVY):
            assert "accelerator" not in settings
            assert "tolerations" not in platform[label]
            continue
        planned, suffix = ("plan-pathup-", "_for_drawing") if "synthesise-images" in label else ("", "")
        on_nodes = re.match("exec-(train-generator|train-classifier)", label)
        count = f"scan-source-{on_nodes[1].replace('-', '_')}_gpus" if on_nodes else f"{planned}gpu_count{suffix}"
        assert settings["accelerator"] == {
            "resourceCount": f"{{{{$.inputs.parameters['pipelinechannel--{count}']}}}}",
            "resourceType": f"{{{{$.inputs.parameters['pipelinechannel--{planned}gpu_type{suffix}']}}}}",
        }
        size = next(size for names, size in SIZES.items() if label.removeprefix("exec-").startswith(names))
        for limit, kind in (("resourceMemoryLimit", "memory"), ("resourceCpuLimit", "cpu")):
            channel = f"pipelinechannel--scan-source-{kind}_for_{size}"
            assert settings[limit] == f"{{{{$.inputs.parameters['{channel}']}}}}"
            assert task["inputs"]["parameters"][channel] in (
                {"componentInputParameter": channel},
                {"taskOutputParameter": {"outputParameterKey": f"{kind}_for_{size}", "producerTask": "scan-source"}},
            )
        (shm,) = platform[label]["emptyDirMounts"]
        assert (shm["mountPath"], shm["medium"]) == ("/dev/shm", "Memory")
        selector = platform[label]["nodeSelector"]["nodeSelectorJson"]
        output = selector.get("taskOutputParameter", {}).get("outputParameterKey")
        assert (output or selector["componentInputParameter"]).endswith(f"node_selector{suffix}")
        always, more = platform[label]["tolerations"]
        assert always == {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        assert more["tolerationJson"]["componentInputParameter"].endswith("tolerations")


def test_parameters_that_a_task_in_a_loop_reads_are_handed_into_the_loop(pipeline):
    spec, platform = pipeline
    loops = [component for component in spec["components"].values() if "dag" in component]
    assert loops
    for loop in loops:
        there = set(loop["inputDefinitions"]["parameters"])
        for task in loop["dag"]["tasks"].values():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            wanted = read_parameters(task.get("inputs", {})) | read_parameters(platform.get(label, {}))
            assert wanted <= there


def read_parameters(specification):
    """The names of its loop's parameters that a part of a task's specification reads, at any depth."""
    if isinstance(specification, dict):
        names = {specification["componentInputParameter"]} if "componentInputParameter" in specification else set()
        return names.union(*map(read_parameters, specification.values()))
    return set().union(*map(read_parameters, specification)) if isinstance(specification, list) else set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_person_sets_is_text_and_has_a_default(name):
    spec, _ = load(name)
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    for parameter in RESOURCES:
        assert inputs[parameter]["parameterType"] == "STRING", "the backend drops a number without a word"
    assert inputs["tolerations"]["parameterType"] == "LIST"
    assert inputs["tolerations"]["defaultValue"] == []
    assert "besides nvidia.com/gpu" in inputs["tolerations"]["description"]
    for kind in ("cpu", "memory"):
        assert [inputs[f"{kind}_{size}"]["defaultValue"] for size in GROUPS] == ["", "", ""]
    assert inputs["node_selector"]["parameterType"] == "STRUCT"
    assert {key for key, value in inputs.items() if not value.get("isOptional")} == REQUIRED.get(name, {"source"})
    assert all(value.get("description") for value in inputs.values())


def test_the_source_is_looked_at_anew_each_time_and_its_digest_reaches_preprocess(pipeline):
    spec, _ = pipeline
    by_label = tasks(spec)
    scan, cut = by_label["exec-scan-source"], by_label["exec-preprocess"]
    assert scan["cachingOptions"] == {}
    assert cut["cachingOptions"] == {"enableCache": True}
    digest = cut["inputs"]["parameters"]["dataset_digest"]
    handed_in = digest.get("componentInputParameter") == "pipelinechannel--scan-source-Output"
    assert handed_in or digest["taskOutputParameter"]["producerTask"] == "scan-source"


def test_each_step_gets_its_own_part_of_the_overrides_and_no_more(pipeline):
    """A changed override of one step leaves the inputs of the others as they were, so that the cache serves them."""
    spec, _ = pipeline
    for label, task in tasks(spec).items():
        step = re.sub(r"-\d+$", "", label.removeprefix("exec-")).replace("-", "_")
        given = task["inputs"].get("parameters", {}).get("overrides")
        if given is None or step in READ_ALL_OVERRIDES:
            continue
        if given.get("componentInputParameter", "").endswith("-loop-item"):
            continue  # an item of `plan_unified` or `plan_pathup`, which takes the overrides of a step out of all
        if given.get("taskOutputParameter", {}).get("producerTask") == "plan-pathup":
            continue
        if given.get("componentInputParameter", "").startswith("pipelinechannel--plan-pathup-"):
            continue
        output = {"plan_classes": "train_generator", "cut_slides": "preprocess"}.get(step, step)
        handed_in = given.get("componentInputParameter") == f"pipelinechannel--scan-source-{output}_overrides"
        assert handed_in or given["taskOutputParameter"] == {
            "outputParameterKey": f"{output}_overrides",
            "producerTask": "scan-source",
        }, label


def test_what_looks_at_the_world_or_changes_it_is_never_taken_from_the_cache():
    by_label = tasks(load("retraining")[0])
    for name in ("scan-source", "find-news", "publish-model", "record-source"):
        assert by_label[f"exec-{name}"]["cachingOptions"] == {}, name


@pytest.mark.parametrize("name", PIPELINES)
def test_what_the_pipeline_fixes_is_right(name):
    fixed = PIPELINES[name].fixed
    assert set(fixed) <= set(STEPS)
    all_settings("", {}, {**fixed, "preprocess": {"source": "x", **fixed.get("preprocess", {})}})


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_without_a_positive_control_trains_on_all_training_patches(name):
    entry = PIPELINES[name]
    spec = load(entry.function)[0]
    has_control = "control_doses" in spec["root"]["inputDefinitions"]["parameters"]
    cutting = tasks(spec)["exec-preprocess"]["inputs"]["parameters"].get("control_share")
    assert cutting == (None if has_control else {"runtimeValue": {"constant": 0.0}})
    fixed = {"source": "x", **entry.fixed.get("preprocess", {})}
    settings = all_settings("quickstart", {}, {**entry.fixed, "preprocess": fixed})
    assert settings["preprocess"].control_share == (0.25 if has_control else 0)


def test_settings_that_no_number_may_have_in_memory():
    from histoforge_pipelines import resources

    assert all(
        str(limit).endswith("Gi") and limit[:-2].isdigit() for limit in (resources.MEMORY, resources.SHARED_MEMORY)
    )
