"""Compare the siamese guide's GAN with every baseline of the RL-EO paper, on the same data."""

from histoforge_components.join_generators.component import join_generators
from histoforge_components.plan_classes.component import plan_classes
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import benchmarking, resources
from histoforge_pipelines.parameters import RunParameters, pipeline
from kfp import dsl

METHODS = [
    "rleo:policy",
    "rleo:literal",
    "rleo:soft_target",
    "improved_dcgan",
    "dcgan",
    "sngan",
    "wgan_gp",
    "lsgan",
    "ddpm",
]
"""The guided GAN with three rewards (A0-10: they are compared at equal seeds), the unguided GAN, and the baselines."""


@pipeline("rleo")
def rleo(
    run: RunParameters,
    methods: list = METHODS,
    generator_seeds: int = 3,
    downstream_seeds: int = 0,
) -> benchmarking.Outputs:
    """Fine-tune the siamese guide, train guided and unguided GANs and all baselines, and compare them.

    The classes of a generator are trained side by side, and joined into one generator.

    Args:
        run: the parameters of all pipelines.
        methods: titles of methods; 'rleo:literal' names a reward, and 'improved_dcgan' is the unguided GAN.
        generator_seeds: number of generators to train with each method; their seeds are seed, seed + 1, …
        downstream_seeds: number of classifiers to train on the patches of each generator; 0 leaves it to the preset.
        seeds: number of classifiers to train on the real patches, at least two: the first chooses the generators'
            epochs, and the second scores the generators; 0 leaves it to the preset.
        overrides: values for any other parameters of the steps, by 'step.parameter'; 'train_generator.dcgan.epochs'
            applies to one method only.
    """
    data = benchmarking.prepare(run, methods, generator_seeds, downstream_seeds)
    checked = data.checked

    with dsl.ParallelFor(data.runs, name="Generators", parallelism=resources.AT_ONCE) as benchmark_run:
        classes = plan_classes(
            patches=data.patches,
            method=benchmark_run.method,
            reward=benchmark_run.reward,
            **checked.settings("train_generator", seed=benchmark_run.seed),
        )
        checked.assign(classes, "Plan the classes")
        # With kfp 2.17, an inner loop over a field of the outer loop's item does not run locally. So the inner loop is
        # over a task's output, whose items contain everything that the loop needs.
        with dsl.ParallelFor(classes.output, name="Classes", parallelism=resources.AT_ONCE) as class_run:
            training = train_generator(
                patches=data.patches,
                extractor=data.extractor,
                guide=data.guide,
                method=class_run.method,
                reward=class_run.reward,
                only_class=class_run.only_class,
                checkpoints=run.checkpoints,
                **checked.settings("train_generator", seed=class_run.seed),
            )
            checked.assign(training, "Train a generator")
        joining = join_generators(generators=dsl.Collected(training.outputs["generator"]))
        checked.assign(joining, "Join the classes")
        scoring = benchmarking.score(data, benchmark_run, joining.outputs["generator"])
    return benchmarking.conclude(data, scoring, joining.outputs["generator"])
