"""The component `evaluate`."""

from typing import List, Optional

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("evaluate"), install_kfp_package=False)
def evaluate(
    patches: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    results: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    summary: dsl.Output[dsl.Markdown],
    baseline: dsl.Input[dsl.Model] = None,
    traditional: dsl.Input[dsl.Model] = None,
    selective: dsl.Input[dsl.Model] = None,
    arms: Optional[dsl.Input[List[dsl.Model]]] = None,
    fraction_baselines: Optional[dsl.Input[List[dsl.Model]]] = None,
    fraction_selectives: Optional[dsl.Input[List[dsl.Model]]] = None,
    backbones: Optional[dsl.Input[List[dsl.Model]]] = None,
    networks: Optional[dsl.Input[List[dsl.Model]]] = None,
    generator: dsl.Input[dsl.Model] = None,
    pool: dsl.Input[dsl.Dataset] = None,
    selected: dsl.Input[dsl.Dataset] = None,
    overviews: dsl.Input[dsl.Dataset] = None,
    test_source: str = "",
    test_digest: str = "",
    baselines: Optional[dsl.Input[List[dsl.Model]]] = None,
    real_arms: Optional[dsl.Input[List[dsl.Model]]] = None,
    gans: Optional[dsl.Input[List[dsl.Model]]] = None,
    single_filters: Optional[dsl.Input[List[dsl.Model]]] = None,
    selectives: Optional[dsl.Input[List[dsl.Model]]] = None,
    generators: Optional[dsl.Input[List[dsl.Model]]] = None,
    pools: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    generator_scores: Optional[dsl.Input[List[dsl.Artifact]]] = None,
    overview_scores: Optional[dsl.Input[List[dsl.Artifact]]] = None,
    unaligned_scores: dsl.Input[dsl.Artifact] = None,
    prompted_scores: dsl.Input[dsl.Artifact] = None,
    full_scores: dsl.Input[dsl.Artifact] = None,
    image_scores: Optional[dsl.Input[List[dsl.Artifact]]] = None,
    enlarged_scores: Optional[dsl.Input[List[dsl.Artifact]]] = None,
    tracked_scores: dsl.Input[dsl.Artifact] = None,
    autoencoder: dsl.Input[dsl.Model] = None,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Compare the arms on the test split and write the report.

    Args:
        patches: patch set of real patches; only this step and publish_model read its test split.
        baseline: the arm with which the others are compared.
        traditional: arm with traditional augmentation.
        selective: arm with selected synthetic patches.
        arms: more arms, as collected from a loop.
        fraction_baselines: baselines trained on fractions of the training patches.
        fraction_selectives: arms trained on the same fractions with selected synthetic patches.
        backbones: arms of other classifiers than the baseline's, trained on real patches.
        networks: arms of networks that draw and classify patches.
        generator: the generator, for its curves and pictures.
        pool: scored candidate pool.
        selected: patch set of the kept synthetic patches.
        overviews: overviews of the slides, for their pictures.
        test_source: folder, or s3:// or minio:// prefix, of slides or images of an external test; '' for none.
        test_digest: digest of the external test, from scan_source; if it changes, a cached evaluation is not reused.
        baselines: the folds of the baseline, as collected from a loop.
        real_arms: arms of real patches besides the baseline, such as that with traditional augmentation and the
            positive control, of all folds.
        gans: the arm with synthetic patches as they were drawn, of all folds and generators.
        single_filters: the arm with synthetic patches selected by distance alone, of all folds and generators.
        selectives: the arm with selected synthetic patches, of all folds and generators.
        generators: the generators of all folds.
        pools: scored candidate pools of all generators.
        generator_scores: scores of generators, for the tables of patches and overviews.
        overview_scores: scores of generators of overviews, for the same tables.
        unaligned_scores: scores of latent diffusion without alignment.
        prompted_scores: scores of latent diffusion with prompt alignment.
        full_scores: scores of latent diffusion with prompt alignment and the feature entropy loss.
        image_scores: scores of large images, for the tables of upscalers and weight maps.
        enlarged_scores: scores of overviews that upscalers enlarged, for the same tables.
        tracked_scores: scores of large images that were drawn as PathUp draws them.
        autoencoder: autoencoder of latent diffusion, for its reconstruction error.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        report: the report, one HTML page that opens without a network connection.
        results: all results as one JSON file.
        metrics: scores of each arm and of the generator.
        classification: confusion matrix and ROC curve of the best arm.
        summary: the study's conclusion and its table.
    """
    from histoforge.tasks.step_task import run_evaluate

    run_evaluate(
        preset=preset,
        overrides=overrides,
        given={"seed": seed, "test_source": test_source},
        inputs={
            "patches": patches,
            "arms": [
                baseline,
                *(baselines or []),
                traditional,
                *(real_arms or []),
                *(arms or []),
                *(gans or []),
                *(single_filters or []),
                selective,
                *(selectives or []),
                *(fraction_baselines or []),
                *(fraction_selectives or []),
                *(backbones or []),
                *(networks or []),
            ],
            "generator": [generator, *(generators or [])],
            "pool": [pool, *(pools or [])],
            "selected": [selected],
            "overviews": overviews,
            "generator_scores": [
                *(generator_scores or []),
                *(overview_scores or []),
                unaligned_scores,
                prompted_scores,
                full_scores,
            ],
            "image_scores": [tracked_scores, *(enlarged_scores or []), *(image_scores or [])],
            "autoencoder": autoencoder,
        },
        outputs={"report": report, "metrics": results},
        metrics=metrics,
        classification=classification,
        summary=summary,
    )
