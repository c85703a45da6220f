"""Compare generators of any methods and of any origin on the same data and by the same measures."""

from histoforge.generators.methods import METHODS
from histoforge_components.enter_generator.component import enter_generator
from histoforge_pipelines import benchmarking, resources
from histoforge_pipelines.parameters import RunParameters, pipeline
from kfp import dsl

OF_PATCHES = [name for name, method in METHODS.items() if not method.latent]
"""The methods that need no latents, which this pipeline does not make."""


@pipeline("generator-benchmark")
def generator_benchmark(
    run: RunParameters,
    methods: list = OF_PATCHES,
    entrants: list = [],
    generator_seeds: int = 3,
    downstream_seeds: int = 0,
) -> benchmarking.Outputs:
    """Train generators with any methods and several seeds each, and rank them by scores, classifiers and costs.

    The runs are trained side by side. A method with one network per class trains these one after the other.

    Args:
        run: the parameters of all pipelines.
        methods: titles of methods; a method with variants may name one, as in 'rleo:literal'.
        entrants: folders, or s3:// or minio:// prefixes, of what somebody else made and the leaderboard shows beside
            the methods: model directories, saved pipelines of diffusers, or synthetic images as the pipeline judge
            takes them.
        generator_seeds: number of generators to train with each method; their seeds are seed, seed + 1, …
        downstream_seeds: number of classifiers to train on the patches of each generator; 0 leaves it to the preset.
        seeds: number of classifiers to train on the real patches, at least two: the first chooses the generators'
            epochs, and the second scores the generators; 0 leaves it to the preset.
        overrides: values for any other parameters of the steps, by 'step.parameter'; 'train_generator.dcgan.epochs'
            applies to one method only.
    """
    data = benchmarking.prepare(run, methods, generator_seeds, downstream_seeds, entrants)

    with dsl.ParallelFor(data.runs, name="Generators", parallelism=resources.AT_ONCE) as benchmark_run:
        entering = enter_generator(
            patches=data.patches,
            extractor=data.extractor,
            guide=data.guide,
            step=benchmark_run.step,
            method=benchmark_run.method,
            reward=benchmark_run.reward,
            source=benchmark_run.source,
            dataset_digest=benchmark_run.digest,
            name=benchmark_run.title,
            checkpoints=run.checkpoints,
            **data.checked.settings("train_generator", seed=benchmark_run.seed, overrides=benchmark_run.overrides),
        )
        data.checked.assign(entering, "Train or import a generator")
        scoring = benchmarking.score(data, benchmark_run, entering.outputs["generator"])
    return benchmarking.conclude(data, scoring, entering.outputs["generator"])
