"""Any methods to generate, several seeds each, on the same data and by the same measures: one leaderboard."""

from histoforge.generators.methods import METHODS
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import benchmarking, resources
from kfp import dsl

FIXED = benchmarking.FIXED


@dsl.pipeline(name="generator-benchmark", display_name="Generator benchmark")
def generator_benchmark(
    source: str,
    methods: list = list(METHODS),
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
    """Train generators by any methods with several seeds each, and rank them: scores, classifiers, costs.

    The runs are trained side by side; a method with one network a class trains these one after the other.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        methods: titles of methods; one with variants may name one, as 'rleo:literal'.
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
        forge = train_generator(
            patches=start.patches,
            extractor=start.extractor,
            guide=start.guide,
            method=run.method,
            reward=run.reward,
            checkpoints=checkpoints,
            **start.settings.of("train_generator", seed=run.seed),
        )
        resources.assign(forge, start.pool, "Train a generator")
        judged = benchmarking.judge(form, start, run, forge.outputs["generator"])
    return benchmarking.conclude(start, judged, forge.outputs["generator"])
