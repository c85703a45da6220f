"""The steps by name, with their inputs, outputs and settings. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args

from histoforge.core.errors import SettingsError
from histoforge.core.settings import StepConfig, nearest, step_values


@dataclass(frozen=True)
class Port:
    """An input or output of a step.

    Attributes:
        name: the keyword of the step's `run`.
        about: its description, for `--help` and the component's README.
        optional: True if the step can do without it.
        many: True if it is a list.
        file: its name under `--out`; '' if it is `--out` itself.
        kind: for an output, a key of `core.results.KINDS` or `FILE_KINDS`.
    """

    name: str
    about: str
    optional: bool = False
    many: bool = False
    file: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Step:
    """A step: `histoforge.steps.<name>.run(config, *, inputs, outputs)` with `<Name>Config`.

    Attributes:
        name: name in code; the command has dashes instead of underscores.
        about: its task, in one sentence.
        inputs, outputs: the ports that it reads and writes.
        trains: True if it trains a network, on all GPUs that it is given.
    """

    name: str
    about: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    trains: bool = False

    @property
    def config_class(self) -> type[StepConfig]:
        """The class of the step's settings."""
        module = import_module(f"histoforge.steps.{self.name}_config")
        config: type[StepConfig] = getattr(module, "".join(map(str.capitalize, self.name.split("_"))) + "Config")
        return config

    def run(self, config: StepConfig, **paths: Any) -> Any:
        """Run the step in this process. This imports torch and its other dependencies.

        Args:
            config: its settings.
            paths: its inputs and outputs by keyword.
        """
        return import_module(f"histoforge.steps.{self.name}").run(config, **paths)


_PATCHES = Port("patches", "patch set of real patches")
_EXTRACTOR = Port("extractor", "classifier or arm (then its lowest seed) whose features are used")
_GENERATOR = Port("generator", "trained generator", optional=True)

STEPS = {
    step.name: step
    for step in (
        Step(
            "preprocess",
            "Cut slides or images into a patch set that is split by patient.",
            inputs=(),
            outputs=(
                Port("patches", "patch set, split by patient", file="patches", kind="patches"),
                Port(
                    "overviews",
                    "patch set of shrunken slides, with a picture a slide",
                    file="overviews",
                    kind="patches",
                ),
            ),
        ),
        Step(
            "finetune_snn",
            "Fine-tune the siamese guide on overviews, then on patches, and say how well it tells them apart.",
            inputs=(_PATCHES, Port("overviews", "overviews of the slides, for the first stage", optional=True)),
            outputs=(Port("guide", "the guide", kind="guide"),),
        ),
        Step(
            "train_generator",
            "Train a generator of patches, and keep the epoch whose patches look most like the real ones.",
            inputs=(
                _PATCHES,
                Port("extractor", f"{_EXTRACTOR.about} to choose the epoch by FID", optional=True),
                Port("guide", "guide that scores fakes while they are trained (methods with one)", optional=True),
            ),
            outputs=(Port("generator", "the generator", kind="generator"),),
            trains=True,
        ),
        Step(
            "join_generators",
            "Make one generator of several that were trained side by side on one class each.",
            inputs=(Port("generators", "generator of one class", many=True),),
            outputs=(Port("generator", "the generator of all classes", kind="generator"),),
        ),
        Step(
            "select_samples",
            "Draw synthetic patches, score them, and keep those that a rule chooses.",
            inputs=(
                _PATCHES,
                _EXTRACTOR,
                _GENERATOR,
                Port("pool_in", "scored candidate pool to choose from, instead of drawing one", optional=True),
            ),
            outputs=(
                Port("selected", "patch set of the kept synthetic patches", file="selected", kind="patches"),
                Port("pool", "patch set of all candidates with their scores", file="pool", kind="patches"),
            ),
        ),
        Step(
            "train_classifier",
            "Train the classifiers of one arm, one a seed, with or without synthetic patches.",
            inputs=(_PATCHES, Port("synthetic", "patch set of synthetic patches to add to the real", optional=True)),
            outputs=(Port("model", "the arm: a classifier a seed", kind="arm"),),
            trains=True,
        ),
        Step(
            "score_generator",
            "Draw patches from a generator, keep them, and score them in every way that the leaderboard shows.",
            inputs=(
                _PATCHES,
                Port("generator", "trained generator"),
                Port("extractor", "classifier trained on real patches, or its arm (then all its seeds)"),
            ),
            outputs=(
                Port("samples", "patch set of the synthetic patches", file="samples", kind="patches"),
                Port("scores", "scores, features and a picture", file="scores", kind="scores"),
            ),
        ),
        Step(
            "leaderboard",
            "Set generators side by side over seeds, with what classifiers learnt from their patches.",
            inputs=(
                _PATCHES,
                Port("scores", "scores of a generator", many=True),
                Port("arms", "arm trained on samples that were scored", optional=True, many=True),
                Port("guide", "guide of the guided methods, for its report", optional=True),
                Port("baseline", "arm trained on the real patches alone", optional=True),
            ),
            outputs=(
                Port("report", "the leaderboard, one HTML page", file="leaderboard.html", kind="page"),
                Port("metrics", "all results as JSON", file="leaderboard.json", kind="ranking"),
            ),
        ),
        Step(
            "evaluate",
            "Compare the arms on the test split, and write the report.",
            inputs=(
                _PATCHES,
                Port("arms", "arm to compare, the baseline first", many=True),
                _GENERATOR,
                Port("pool", "scored candidate pool", optional=True),
                Port("selected", "patch set of the kept synthetic patches", optional=True),
                Port("overviews", "overviews of the slides", optional=True),
            ),
            outputs=(
                Port("report", "the report, one HTML page", file="report.html", kind="page"),
                Port("metrics", "all results as JSON", file="metrics.json", kind="metrics"),
            ),
        ),
        Step(
            "publish_model",
            "Publish a classifier where it is better than the published one, or not worse by a margin.",
            inputs=(
                _PATCHES,
                Port("challenger", "arm or classifier to publish, trained on these patches"),
                Port("results", "metrics.json of its evaluation, for the memorisation audit", optional=True),
            ),
            outputs=(Port("publication", "the decision and the model card", kind="publication"),),
        ),
    )
}


def step_named(name: str) -> Step:
    """Return the step `name`.

    Raises:
        SettingsError: if no step has that name (the message gives the nearest).
    """
    if name not in STEPS:
        raise SettingsError(f"There is no step '{name}'{nearest(name, STEPS)}: choose one of {', '.join(STEPS)}.")
    return STEPS[name]


def step_config(
    step: Step, preset: str, overrides: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> StepConfig:
    """Return the settings of a step: the class's defaults, overridden by the preset, then by `given` and `overrides`.

    Args:
        step: the step.
        preset: name of a preset, or '' for none.
        overrides: `step.parameter` or, for every step that has it, `parameter`; `train_generator.dcgan.parameter` for
            a single method.
        given: separate parameters, such as a component's; the preset decides an empty one ('' or 0).

    Raises:
        SettingsError: if a preset, step or parameter is unknown, or a value is out of its bounds or given twice.
    """
    fields = step.config_class.model_fields
    own = {name: value for name, value in overrides.items() if "." in name or name in fields}
    said = {name: value for name, value in (given or {}).items() if value or name not in fields}
    variant = _variant(step, preset, own, said)
    for name, value in step_values(step.name, "", own, STEPS, variant).items():
        if name in said and said[name] != value:
            raise SettingsError(
                f"{step.name}: '{name}' is {said[name]!r} as a parameter of its own and {value!r} among the overrides: "
                "leave it out of the overrides."
            )
    return step.config_class.make({**step_values(step.name, preset, own, STEPS, variant), **said})


def step_overrides(step: Step, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides that concern a step: those addressed to it, and parameters that it has.

    `step_config` builds the same settings from them as from all overrides.
    """
    fields = step.config_class.model_fields
    return {
        name: value
        for name, value in overrides.items()
        if (name.partition(".")[0] == step.name if "." in name else name in fields)
    }


def _variant(step: Step, preset: str, overrides: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """Return the variant of the step that its settings select, as `method` does; '' if it has only one.

    Raises:
        SettingsError: if an override names an unknown variant.
    """
    by = step.config_class.variant_by
    if not by:
        return ""
    field = step.config_class.model_fields[by]
    forms = get_args(field.annotation)
    for name in overrides:
        target, _, parameter = name.partition(".")
        form, inner, _ = parameter.partition(".")
        if target == step.name and inner and form not in forms:
            raise SettingsError(f"{step.name} has no {by} '{form}'{nearest(form, forms)} (in '{name}').")
    return str({by: field.default, **step_values(step.name, preset, overrides, STEPS), **said}[by])


def parameters() -> set[str]:
    """Return the names of all parameters of all steps."""
    return {name for step in STEPS.values() for name in step.config_class.model_fields}


def all_settings(
    preset: str, overrides: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | bool]
) -> dict[str, StepConfig]:
    """Return the settings of all steps of a pipeline, so that errors appear before the first step starts.

    Args:
        preset: name of a preset, or ''.
        overrides: as for `step_config`.
        given: settings of the pipeline itself, by step; False leaves a step out.

    Raises:
        SettingsError: as for `step_config`, or if no step has a parameter.
    """
    known = parameters()
    for name in overrides:
        if "." not in name and name not in known:
            raise SettingsError(f"No step has a parameter '{name}'{nearest(name, known)}.")
    chosen = {name: given.get(name, {}) for name in STEPS}
    return {
        name: step_config(STEPS[name], preset, overrides, own)
        for name, own in chosen.items()
        if isinstance(own, Mapping)
    }
