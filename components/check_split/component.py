"""The component `check_split`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("check_split"), install_kfp_package=False)
def check_split(patches: dsl.Input[dsl.Dataset], images: dsl.Input[dsl.Dataset]):
    """Check that images of the same tissue, cut apart from the patches, have the same patients in each split.

    Args:
        patches: patch set of real patches.
        images: patch set of other images of the same patients, such as larger ones.
    """
    from histoforge.tasks.small_tasks import run_check_split

    run_check_split(patches, images)
