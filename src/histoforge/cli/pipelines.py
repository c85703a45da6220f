"""The pipelines of `histoforge run`, with the module of each."""

PIPELINES = {
    "selective-augmentation": "selective_augmentation",
    "augmentation-study": "augmentation_study",
    "rleo": "rleo",
    "generator-benchmark": "generator_benchmark",
}
