"""The component `record_source`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("record_source"), install_kfp_package=False)
def record_source(record: str, state: str) -> str:
    """Keep what a source held, so that find_news can tell the next run whether it has changed.

    Args:
        record: as find_news gives it.
        state: location of the record.

    Returns:
        Output: digest over the files at the source.
    """
    from histoforge.tasks.small_tasks import run_record_source

    return run_record_source(record, state)
