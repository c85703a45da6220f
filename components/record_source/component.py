"""The component `record_source`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("record_source"), install_kfp_package=False)
def record_source(record: str, state: str) -> str:
    """Record the state of a source, so that find_news can detect in the next run whether it has changed.

    Args:
        record: the record from find_news.
        state: location of the record.

    Returns:
        Output: digest of the files at the source.
    """
    from histoforge.tasks.small_tasks import run_record_source

    return run_record_source(record, state)
