"""Example pipelines of the component `leaderboard`."""

from histoforge_components.leaderboard.component import leaderboard
from histoforge_components.score_generator.component import score_generator
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="leaderboard-example")
def leaderboard_example(
    patches: str = "s3://pathology/patches",
    extractor: str = "s3://pathology/baseline",
):
    """Compare two methods by the scores of their generators."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    judge = dsl.importer(artifact_uri=extractor, artifact_class=dsl.Model, reimport=True)
    with dsl.ParallelFor(items=["dcgan", "wgan_gp"], parallelism=2) as method:
        training = train_generator(patches=patch_set.output, method=method)
        score = score_generator(
            patches=patch_set.output, generator=training.outputs["generator"], extractor=judge.output, name=method
        )
    leaderboard(patches=patch_set.output, scores=dsl.Collected(score.outputs["scores"]))
