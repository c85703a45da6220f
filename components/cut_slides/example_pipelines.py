"""Example pipelines of the component `cut_slides`."""

from histoforge_components.cut_slides.component import cut_slides
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from kfp import dsl


@dsl.pipeline(name="cut-slides-example")
def cut_slides_example(source: str = "s3://pathology/slides"):
    """Cut the slides of eight shards side by side, and make one patch set of them."""
    scan = scan_source(source=source, preset="sane", shards=8)
    with dsl.ParallelFor(scan.outputs["shards"], parallelism=8) as shard:
        cutting = cut_slides(source=source, slides=shard.slides, shard=shard.shard, preset="sane")
    preprocess(source=source, cuts=dsl.Collected(cutting.outputs["cuts"]), preset="sane")
