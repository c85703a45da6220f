"""Every component as a backend starts it, with every optional input present and absent."""

import pytest
from backend.driver import outputs
from backend.installation import ROOT
from backend.launcher import Launcher, TaskFailed
from backend.metadata import MetadataStore, runtime_artifact, struct_value
from backend.runners import InProcess
from backend.tiny_latents import inputs_of, settings_with
from backend.workflow import STORE, Pipeline
from tiny_study import LEADERBOARD, PATHUP, SETTINGS, UNIFIED

COMPONENTS = {path.parent.name: Pipeline.load(path) for path in sorted(ROOT.glob("components/*/component.yaml"))}
GUIDED_METHOD = {**LEADERBOARD, "train_generator.method": "rleo", "train_generator.reward": "literal"}


def definition(name):
    """The specification of a component."""
    components = COMPONENTS[name].spec["components"].values()
    (component,) = (candidate for candidate in components if "executorLabel" in candidate)
    return component


def optional_artifacts(name):
    artifacts = definition(name).get("inputDefinitions", {}).get("artifacts", {})
    return tuple(key for key, spec in artifacts.items() if spec.get("isOptional"))


def choices(name):
    """None of the optional artifacts, each alone, and all."""
    optional = optional_artifacts(name)
    return dict.fromkeys([(), *((candidate,) for candidate in optional), optional])


CASES = [(name, chosen) for name in COMPONENTS for chosen in choices(name)]
REFUSED = {
    ("select_samples", ()): "give a generator, candidates, or pool_in",
    ("select_samples", optional_artifacts("select_samples")): "has both candidates and pool_in",
    ("join_classifiers", ()): "which trains no classifier",
    ("publish_model", ()): "publish_model has no challenger",
    ("publish_model", optional_artifacts("publish_model")): "Two arms are called 'selective'",
    ("publish_model", ("results",)): "publish_model has no challenger",
    ("evaluate", optional_artifacts("evaluate")): "several patch sets of the same fold and generator seed",
}
SETTINGS_OF = {
    "plan_benchmark": LEADERBOARD,
    "plan_classes": LEADERBOARD,
    "plan_unified": UNIFIED,
    "plan_seeds": {},
    "plan_pathup": PATHUP,
    "leaderboard": LEADERBOARD,
}
TRAINING = ("train_generator", "enter_generator")
LATENT_COMPONENTS = ("train_autoencoder", "train_upscaler", "synthesise_images")


@pytest.fixture(scope="module")
def call(objects, tmp_path_factory):
    """Runs a component on artifacts at locations, and returns what the store has of it."""

    def start(name, artifacts, parameters):
        store = MetadataStore()
        launcher = Launcher(store, InProcess(), tmp_path_factory.mktemp(name), objects)
        given = {
            key: {"artifacts": [task_output(store, uri) for uri in ([uris] if isinstance(uris, str) else uris)]}
            for key, uris in artifacts.items()
        }
        component = definition(name)
        inputs = {"parameterValues": struct_value(parameters), "artifacts": given}
        executor_input = {"inputs": inputs, "outputs": outputs(f"{STORE}/components", name, component)}
        execution = store.create("container", name)
        container = COMPONENTS[name].executor(component)["container"]
        launcher.launch(execution, executor_input, component, container, 0)
        return execution

    return start


def task_output(store, uri):
    """An artifact as the driver hands it on from the task that made it."""
    return {**runtime_artifact(store.record_artifact("made", uri, {})), "type": {"instanceSchema": ""}}


@pytest.fixture
def required(images, sources, tmp_path):
    """Parameters that components require, or cannot do without here."""
    folder = {"state": str(tmp_path / "state")}
    return {
        "scan_source": {"source": str(images)},
        "preprocess": {"source": str(images)},
        "cut_slides": {"source": str(images)},
        "find_news": {"source": str(images), "dataset_digest": "d1", **folder},
        "record_source": {"record": '{"source": "x", "dataset_digest": "d1", "settings": {}}', **folder},
        "plan_classes": {"method": "dcgan"},
        "plan_judge": {"source": str(images), "synthetic": [str(images)], "rules": ["distance"]},
        "import_patches": {"source": sources["import_patches.source"]},
        "plan_seeds": {"method": "vitgan"},
        "publish_model": {"models": str(tmp_path / "models")},
        "score_generator": {"name": "dcgan"},
    }


@pytest.mark.parametrize(("name", "chosen"), CASES, ids=[f"{name}-{'+'.join(chosen)}" for name, chosen in CASES])
def test_with_and_without_optional_inputs(name, chosen, call, locations, guided, study, sources, required):
    defined = definition(name).get("inputDefinitions", {})
    needed = {key for key, spec in defined.get("artifacts", {}).items() if not spec.get("isOptional")}
    if name == "evaluate":
        needed.add("baseline")  # no comparison without an arm
    given = {**locations, **compared(name, guided, study), **inputs_of(name, locations)}
    artifacts = {key: given[key] for key in (*needed, *chosen)}
    settings = SETTINGS_OF.get(name, {**LEADERBOARD, **SETTINGS})
    settings = settings_with(chosen) if name in LATENT_COMPONENTS else settings
    overrides = GUIDED_METHOD if name in TRAINING and "guide" in chosen else settings
    parameters = {} if set(chosen) != set(optional_artifacts(name)) else defaults(defined)
    parameters.update(required.get(name, {}))
    if "overrides" in defined.get("parameters", {}):
        parameters["overrides"] = {**overrides, **sources}
    if (name, chosen) in REFUSED:
        with pytest.raises(TaskFailed, match=REFUSED[name, chosen]) as failed:
            call(name, artifacts, parameters)
        assert failed.value.status == 2
        return
    execution = call(name, artifacts, parameters)
    definitions = definition(name).get("outputDefinitions", {})
    assert set(execution.output_artifacts) == {*definitions.get("artifacts", {}), "executor-logs"}
    assert set(execution.outputs) == set(definitions.get("parameters", {}))


def compared(name, guided, study):
    """Inputs of the leaderboard, all from one run; the generators of the run that `evaluate` reports on."""
    if name == "evaluate":
        return {"generators": study.outputs("generator")}
    names = {"patches": "patches", "baseline": "baseline"} if name == "leaderboard" else {}
    single = {key: guided.output(output) for key, output in names.items()}
    return {**single, **({"arms": guided.outputs("arms"), "both_arms": guided.outputs("both")} if single else {})}


def defaults(defined):
    """All parameters that have a default, given."""
    parameters = defined.get("parameters", {})
    return {key: spec["defaultValue"] for key, spec in parameters.items() if "defaultValue" in spec}


def test_every_component_is_here():
    assert set(COMPONENTS) == {path.parent.name for path in ROOT.glob("components/*/component.py")}
    assert {name for name, chosen in CASES if chosen} >= {"evaluate", "leaderboard", "train_generator"}
