"""The steps by name, with their inputs, outputs and settings. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any, get_args

from histoforge.core.errors import SettingsError
from histoforge.core.registry import Registry
from histoforge.core.settings import StepConfig, nearest, step_values
from histoforge.steps.step import Port, Step

_PATCHES = Port("patches", "patch set of real patches")
_EXTRACTOR = Port("extractor", "classifier or arm (then its lowest seed) whose features are used")
_GENERATOR = Port("generator", "trained generator", optional=True)

STEPS = Registry(
    "step",
    (
        Step(
            name="preprocess",
            about="Cut slides or images into a patch set that is split by patient.",
            inputs=(Port("cuts", "slides that cut_slides has cut", optional=True, many=True),),
            outputs=(
                Port("patches", "patch set, split by patient", file="patches", kind="patches"),
                Port(
                    "overviews",
                    "patch set of shrunken slides, with one picture per slide",
                    file="overviews",
                    kind="patches",
                ),
            ),
            size="cutting",
            hours=24,
            reads_slides=True,
            separate_overrides=True,
        ),
        Step(
            name="cut_slides",
            about="Cut a part of the slides of a source, which preprocess then joins into a patch set.",
            inputs=(),
            outputs=(Port("cuts", "the patches of each slide", kind="cuts"),),
            label={"shard": " {}"},
            size="cutting",
            hours=24,
            reads_slides=True,
            settings_of="preprocess",
        ),
        Step(
            name="import_patches",
            about="Turn synthetic images that somebody else made into a patch set that fits the real one.",
            inputs=(Port("patches", "patch set of real patches, whose classes, size and resolution they get"),),
            outputs=(Port("synthetic", "patch set of the synthetic patches", kind="patches"),),
            label={"name": " {}"},
            size="cutting",
            hours=6,
            reads_slides=True,
            separate_overrides=True,
        ),
        Step(
            name="import_generator",
            about="Turn a generator that somebody else trained into a generator like any other.",
            inputs=(Port("patches", "patch set of real patches, whose classes, size and resolution it gets"),),
            outputs=(Port("generator", "the generator", kind="generator"),),
            label={"name": " {}"},
            size="evaluating",
            gpu=True,
            torch=True,
            hours=3,
            reads_slides=True,
            separate_overrides=True,
        ),
        Step(
            name="finetune_snn",
            about="Fine-tune the siamese guide on overviews, then on patches, and report how well it separates them.",
            inputs=(_PATCHES, Port("overviews", "overviews of the slides, for the first stage", optional=True)),
            outputs=(Port("guide", "the guide", kind="guide"),),
            trains=True,
            size="training",
            gpu=True,
            torch=True,
            hours=24,
            separate_overrides=True,
        ),
        Step(
            name="train_autoencoder",
            about="Train the autoencoder of latent diffusion, or take given weights, and encode all images once.",
            inputs=(
                _PATCHES,
                Port("overviews", "overviews of the same size, the second spatial level", optional=True),
                Port("extractor", f"{_EXTRACTOR.about} for the FID of the reconstructions", optional=True),
            ),
            outputs=(
                Port("autoencoder", "the autoencoder", file="autoencoder", kind="autoencoder"),
                Port("latents", "latents of the training and validation images", file="latents", kind="latents"),
            ),
            trains=True,
            label={"fold": " fold {}"},
            size="training",
            gpu=True,
            torch=True,
            hours=48,
            separate_overrides=True,
        ),
        Step(
            name="train_generator",
            about="Train a generator of patches, and keep the epoch whose patches look most like the real ones.",
            inputs=(
                _PATCHES,
                Port("extractor", f"{_EXTRACTOR.about} to choose the epoch by FID", optional=True),
                Port("guide", "guide that scores fakes during training, for methods that use one", optional=True),
                Port("autoencoder", "autoencoder of the latents, for methods that train on latents", optional=True),
                Port("latents", "latents of the patches, for methods that train on latents", optional=True),
            ),
            outputs=(Port("generator", "the generator", kind="generator"),),
            trains=True,
            distributed=True,
            label={"method": " {}", "reward": ":{}", "only_class": " {}", "seed": " seed {}", "fold": " fold {}"},
            size="training",
            gpu=True,
            torch=True,
            hours=72,
            separate_overrides=True,
        ),
        Step(
            name="train_upscaler",
            about="Train a network that enlarges images, and compare it with bicubic interpolation.",
            inputs=(
                Port("patches", "patch set of real patches, at the resolution of the enlarged images"),
                Port("autoencoder", "autoencoder of the latents, for the method 'latent_sr'", optional=True),
            ),
            outputs=(Port("upscaler", "the upscaler", kind="upscaler"),),
            trains=True,
            label={"method": " {}", "fold": " fold {}"},
            size="training",
            gpu=True,
            torch=True,
            hours=48,
            separate_overrides=True,
        ),
        Step(
            name="join_generators",
            about="Combine generators that were trained on one class each into one generator of all classes.",
            inputs=(Port("generators", "generator of one class", many=True),),
            outputs=(Port("generator", "the generator of all classes", kind="generator"),),
        ),
        Step(
            name="join_classifiers",
            about="Collect the classifiers that were trained together with generators into one arm.",
            inputs=(Port("generators", "generator that was trained together with a classifier", many=True),),
            outputs=(Port("model", "the arm: one classifier per seed", kind="arm"),),
            label={"arm": " {}"},
        ),
        Step(
            name="select_samples",
            about="Draw synthetic patches, score them, and keep those that a rule chooses.",
            inputs=(
                _PATCHES,
                _EXTRACTOR,
                _GENERATOR,
                Port("candidates", "patch set to score and choose from, instead of drawing one", optional=True),
                Port("pool_in", "scored candidate pool to choose from, instead of drawing one", optional=True),
            ),
            outputs=(
                Port("selected", "patch set of the kept synthetic patches", file="selected", kind="patches"),
                Port("pool", "patch set of all candidates with their scores", file="pool", kind="patches"),
            ),
            label={"rule": " {}", "fold": " fold {}"},
            size="evaluating",
            gpu=True,
            torch=True,
            hours=12,
            separate_overrides=True,
        ),
        Step(
            name="synthesise_images",
            about="Draw large images of each class from a generator of patches and overviews.",
            inputs=(
                Port("generator", "generator of the method 'pathup'"),
                Port("guide", "guide that searches the images for repeated tissue", optional=True),
                Port("upscaler_model", "upscaler that enlarges the overviews, with upscaler=trained", optional=True),
            ),
            outputs=(
                Port("images", "patch set of the large images", file="images", kind="patches"),
                Port("slides", "the images as slides, if requested", file="slides", kind="synthetic_slides"),
            ),
            distributed=True,
            size="evaluating",
            gpu=True,
            torch=True,
            hours=24,
            separate_overrides=True,
        ),
        Step(
            name="train_classifier",
            about="Train the classifiers of one arm, one per seed, with or without synthetic patches.",
            inputs=(_PATCHES, Port("synthetic", "patch set of synthetic patches to add to the real", optional=True)),
            outputs=(Port("model", "the arm: one classifier per seed", kind="arm"),),
            trains=True,
            distributed=True,
            label={"arm": " {}", "fold": " fold {}"},
            size="training",
            gpu=True,
            torch=True,
            hours=48,
            separate_overrides=True,
        ),
        Step(
            name="score_generator",
            about="Draw patches from a generator, and compute all scores that the leaderboard shows.",
            inputs=(
                _PATCHES,
                Port("generator", "trained generator, or a set of synthetic patches in its place"),
                Port("extractor", "classifier trained on real patches, or its arm (then all its seeds)"),
                Port("overviews", "overviews to compare those of a generator of two levels with", optional=True),
            ),
            outputs=(
                Port("samples", "patch set of the synthetic patches", file="samples", kind="patches"),
                Port("scores", "scores, features and a picture", file="scores", kind="scores"),
            ),
            label={"name": " {}", "seed": " seed {}"},
            size="evaluating",
            gpu=True,
            torch=True,
            hours=12,
            separate_overrides=True,
        ),
        Step(
            name="score_images",
            about="Score synthetic large images against real ones, as a whole and by tiles at full resolution.",
            inputs=(
                Port("patches", "patch set of real large images"),
                Port("images", "patch set of synthetic large images of the same size"),
                Port("extractor", "classifier trained on real patches, or its arm"),
                Port("guide", "guide that searches the images for repeated tissue", optional=True),
            ),
            outputs=(Port("scores", "scores and pictures", kind="image_scores"),),
            label={"name": " {}", "seed": " seed {}"},
            size="evaluating",
            gpu=True,
            torch=True,
            hours=12,
            separate_overrides=True,
        ),
        Step(
            name="leaderboard",
            about="Rank generators over seeds by their scores and by the classifiers trained on their patches.",
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
            size="evaluating",
            gpu=True,
            torch=True,
            hours=6,
            separate_overrides=True,
        ),
        Step(
            name="evaluate",
            about="Compare the arms on the test split, and write the report.",
            inputs=(
                _PATCHES,
                Port("arms", "arm to compare, the baseline first; several of one name are its folds", many=True),
                Port("generator", _GENERATOR.about, optional=True, many=True),
                Port("pool", "scored candidate pool", optional=True, many=True),
                Port("selected", "patch set of the kept synthetic patches", optional=True, many=True),
                Port("overviews", "overviews of the slides", optional=True),
                Port("generator_scores", "scores of a generator, for the tables", optional=True, many=True),
                Port("image_scores", "scores of large images, for the tables", optional=True, many=True),
                Port("autoencoder", "autoencoder of latent diffusion, for its error", optional=True),
            ),
            outputs=(
                Port("report", "the report, one HTML page", file="report.html", kind="page"),
                Port("metrics", "all results as JSON", file="metrics.json", kind="metrics"),
            ),
            reads_slides=True,
            size="evaluating",
            gpu=True,
            torch=True,
            hours=6,
            separate_overrides=True,
        ),
        Step(
            name="predict",
            about="Predict whole slides with a trained classifier, and write maps for QuPath and tables.",
            inputs=(Port("model", "classifier, or arm (then its lowest seed)"),),
            outputs=(Port("predictions", "maps and tables of the slides", kind="predictions"),),
            size="evaluating",
            gpu=True,
            torch=True,
            hours=24,
            reads_slides=True,
        ),
        Step(
            name="publish_model",
            about="Publish a classifier if it is better than the published one, or not worse by more than a margin.",
            inputs=(
                _PATCHES,
                Port(
                    "challenger",
                    "arm or classifier to publish, trained on these patches; of several folds and generators, the "
                    "first is published",
                    many=True,
                ),
                Port("results", "metrics.json of its evaluation, for the memorisation audit", optional=True),
            ),
            outputs=(Port("publication", "the decision and the model card", kind="publication"),),
            label={"name": " {}", "seed": " seed {}"},
            size="evaluating",
            gpu=True,
            torch=True,
            hours=3,
            side_effects=True,
            separate_overrides=True,
        ),
    ),
)


COUNTED_FROM_ZERO = ("seed", "fold", "control_share")
"""Parameters of components for which 0 is a value, and -1 leaves it to the preset."""


def step_config(
    step: Step, preset: str, overrides: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> StepConfig:
    """Return the settings of a step: the class's defaults, overridden by the preset, then by `given` and `overrides`.

    Args:
        step: the step.
        preset: name of a preset, or '' for none.
        overrides: `step.parameter` or, for every step that has it, `parameter`; `train_generator.dcgan.parameter` for
            a single method.
        given: separate parameters, such as a component's. None, '' and 0 leave a parameter to the preset and the
            overrides. For those of `COUNTED_FROM_ZERO`, 0 is a value like any other, and -1 leaves it to them.

    Raises:
        SettingsError: if a preset, step or parameter is unknown, or a value is out of its bounds or given twice.
    """
    fields = step.config_class.model_fields
    relevant = {name: value for name, value in overrides.items() if "." in name or name in fields}
    parameters = {name: value for name, value in (given or {}).items() if is_given(name, value) or name not in fields}
    variant = _variant(step, preset, relevant, parameters)
    for name, value in step_values(step.section, "", relevant, STEPS, variant).items():
        if name in parameters and parameters[name] != value:
            raise SettingsError(
                f"{step.name}: '{name}' is {parameters[name]!r} as a parameter and {value!r} among the overrides: "
                "leave it out of the overrides."
            )
    return step.config_class.make({**step_values(step.section, preset, relevant, STEPS, variant), **parameters})


def is_given(name: str, value: Any) -> bool:
    """Return False if a component's parameter leaves its value to the preset: see `step_config`."""
    if name in COUNTED_FROM_ZERO:
        return value is not None and value >= 0
    return value not in (None, "", 0)


def step_overrides(step: Step, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides that concern a step: those addressed to it, and parameters that it has.

    `step_config` builds the same settings from them as from all overrides.
    """
    fields = step.config_class.model_fields
    return {
        name: value
        for name, value in overrides.items()
        if (name.partition(".")[0] == step.section if "." in name else name in fields)
    }


def _variant(step: Step, preset: str, overrides: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return the variant of the step that its settings select, as `method` does; '' if it has only one.

    Raises:
        SettingsError: if an override names an unknown variant.
    """
    by = step.config_class.variant_by
    if not by:
        return ""
    field = step.config_class.model_fields[by]
    variants = get_args(field.annotation)
    for name in overrides:
        target, _, parameter = name.partition(".")
        variant, dot, _ = parameter.partition(".")
        if target == step.section and dot and variant not in variants:
            raise SettingsError(f"{step.name} has no {by} '{variant}'{nearest(variant, variants)} (in '{name}').")
    return str({by: field.default, **step_values(step.section, preset, overrides, STEPS), **parameters}[by])


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

    Returns:
        The settings by step, without the steps that share those of another one.

    Raises:
        SettingsError: as for `step_config`, or if no step has a parameter.
    """
    parameter_names = parameters()
    for name in overrides:
        if "." not in name and name not in parameter_names:
            raise SettingsError(f"No step has a parameter '{name}'{nearest(name, parameter_names)}.")
    parameters_of = {name: given.get(name, {}) for name, step in STEPS.items() if not step.settings_of}
    return {
        name: step_config(STEPS[name], preset, overrides, step_parameters)
        for name, step_parameters in parameters_of.items()
        if isinstance(step_parameters, Mapping)
    }
