"""Example pipelines of the component `find_news`."""

from histoforge_components.find_news.component import find_news
from histoforge_components.preprocess.component import preprocess
from histoforge_components.record_source.component import record_source
from histoforge_components.scan_source.component import scan_source
from kfp import dsl


@dsl.pipeline(name="find-change-example")
def find_news_example(
    source: str = "s3://pathology/slides",
    state: str = "s3://pathology/state",
):
    """Train only if a source has changed, and record it afterwards."""
    scan = scan_source(source=source)
    change = find_news(source=source, dataset_digest=scan.outputs["Output"], state=state)
    with dsl.If(change.outputs["Output"] == True):  # noqa: E712 - kfp records the comparison
        cut = preprocess(source=source, dataset_digest=scan.outputs["Output"])
        record_source(record=change.outputs["record"], state=state).after(cut)
