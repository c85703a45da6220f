"""The siamese guide, the GAN that it guides, and every baseline of the RL-EO paper, on the same data."""

from histoforge_components.join_generators.component import join_generators
from histoforge_components.plan_classes.component import plan_classes
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import benchmarking, resources
from kfp import dsl

FIXED = benchmarking.FIXED
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
"""The guided GAN in three ways (A0-10: they are compared at equal seeds), the unguided one, and the other baselines."""


@dsl.pipeline(name="rleo", display_name="Guided GAN (RL-EO) and its baselines")
def rleo(
    source: str,
    methods: list = METHODS,
    generator_seeds: int = 3,
    downstream_seeds: int = 0,
    preset: str = "quickstart",
    patch_size: str = "",
    slide_mpp: float = 0.0,
    seeds: int = 0,
    seed: int = 0,
    overrides: dict = {},
    checkpoints: str = "",
    gpu_count: str = resources.GPU_COUNT,
    gpu_type: str = resources.GPU_TYPE,
    cpu: str = resources.CPU,
    cpu_cutting: str = resources.CPU_CUTTING,
    cpu_training: str = resources.CPU_TRAINING,
    cpu_evaluating: str = resources.CPU_EVALUATING,
    memory: str = resources.MEMORY,
    memory_cutting: str = resources.MEMORY_CUTTING,
    memory_training: str = resources.MEMORY_TRAINING,
    memory_evaluating: str = resources.MEMORY_EVALUATING,
    node_selector: dict = resources.NODE_SELECTOR,
    tolerations: list = resources.TOLERATIONS,
    storage_secret: str = resources.STORAGE_SECRET,
) -> benchmarking.Outputs:
    """Fine-tune the siamese guide, train guided and unguided GANs and all baselines, and compare them.

    The classes of a generator are trained side by side, and joined to one generator.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        methods: names of methods; 'rleo:literal' names a reward. 'improved_dcgan' is the unguided GAN.
        generator_seeds: generators to train by each method, with the seeds seed, seed + 1, …
        downstream_seeds: classifiers to train on the patches of each generator; 0 as the preset says.
        preset: a published or ready-made setting of all steps, such as 'quickstart'.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' as the preset says.
        slide_mpp: resolution of slides whose file does not state it, um/px; 0 where it is not known.
        seeds: classifiers to train on the real patches, two at least: the first chooses the generators' epochs, the
            second judges; 0 as the preset says.
        seed: of all random choices.
        overrides: 'step.parameter' to value, for any other parameter of any step; 'train_generator.dcgan.epochs' is
            for one method alone.
        checkpoints: folder or s3:// prefix for checkpoints, so that a retried task goes on where it stopped.
        gpu_count: GPUs of a task; '0' for the processor alone.
        gpu_type: resource name of the GPU.
        cpu: cores of a task, unless one of the next three says otherwise.
        cpu_cutting: cores of tasks that cut patches; '' as cpu.
        cpu_training: cores of tasks that train; '' as cpu.
        cpu_evaluating: cores of tasks that select, score, evaluate or publish; '' as cpu.
        memory: memory of a task, in whole Gi or Mi, unless one of the next three says otherwise.
        memory_cutting: memory of tasks that cut patches; '' as memory.
        memory_training: memory of tasks that train; '' as memory.
        memory_evaluating: memory of tasks that select, score, evaluate or publish; '' as memory.
        node_selector: labels of the nodes to run on.
        tolerations: taints of nodes that may be run on, besides nvidia.com/gpu, which GPU tasks always tolerate.
        storage_secret: secret with accesskey, secretkey and endpoint of the S3 server; it need not exist.
    """
    pool = resources.Pool(
        gpu_count,
        gpu_type,
        cpu,
        memory,
        node_selector,
        tolerations,
        storage_secret,
        cpu_cutting,
        cpu_training,
        cpu_evaluating,
        memory_cutting,
        memory_training,
        memory_evaluating,
    )
    form = benchmarking.Form(
        source,
        methods,
        generator_seeds,
        downstream_seeds,
        preset,
        patch_size,
        slide_mpp,
        seeds,
        seed,
        overrides,
        checkpoints,
    )
    start = benchmarking.begin(form, pool)

    with dsl.ParallelFor(start.runs, name="Generators", parallelism=resources.AT_ONCE) as run:
        classes = plan_classes(
            patches=start.patches,
            method=run.method,
            reward=run.reward,
            **start.settings.of("train_generator", seed=run.seed),
        )
        resources.assign(classes, start.pool, "Plan the classes")
        # An inner loop over a field of the outer one's item does not run locally with kfp 2.17: it is over a task's
        # output, whose items hold all that the loop needs.
        with dsl.ParallelFor(classes.output, name="Classes", parallelism=resources.AT_ONCE) as one:
            forge = train_generator(
                patches=start.patches,
                extractor=start.extractor,
                guide=start.guide,
                method=one.method,
                reward=one.reward,
                only_class=one.only_class,
                checkpoints=checkpoints,
                **start.settings.of("train_generator", seed=one.seed),
            )
            resources.assign(forge, start.pool, "Train a generator")
        whole = join_generators(generators=dsl.Collected(forge.outputs["generator"]))
        resources.assign(whole, start.pool, "Join the classes")
        judged = benchmarking.judge(form, start, run, whole.outputs["generator"])
    return benchmarking.conclude(start, judged, whole.outputs["generator"])
