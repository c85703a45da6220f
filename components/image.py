"""The container image of each component: the one place that names them; `compile` re-points the manifests."""

import json
import os
from pathlib import Path

from histoforge.tasks.table import task_named

VERSION = "0.1.0"
REGISTRY = os.environ.get("HISTOFORGE_REGISTRY", "").rstrip("/")
"""Registry of all images; '' for the one in which each is published. `HISTOFORGE_REGISTRY` at compile time sets it."""


def runtime_of(component: str) -> str:
    """Return the name of the runtime, a folder of `images/`, that a component's tasks run in."""
    return "cuda" if task_named(component).torch else "slim"


def image_of(component: str) -> str:
    """Return the image of a component's tasks.

    At compile time, `HISTOFORGE_IMAGE_SLIM` and `HISTOFORGE_IMAGE_CUDA` replace the image of one runtime,
    `HISTOFORGE_IMAGE` replaces all images, and `HISTOFORGE_IMAGE_DIGESTS` names a file that `make push` wrote, whose
    digests pin the images that are not replaced.

    Args:
        component: name of its folder.

    Raises:
        ValueError: the file of digests cannot be used.
    """
    runtime = runtime_of(component)
    replaced = os.environ.get(f"HISTOFORGE_IMAGE_{runtime.upper()}") or os.environ.get("HISTOFORGE_IMAGE")
    return replaced or pinned(f"{REGISTRY or 'ghcr.io/histoforge'}/histoforge-{runtime}:{VERSION}")


def pinned(image: str) -> str:
    """Return `image`, a name with a tag, pinned by its digest where `HISTOFORGE_IMAGE_DIGESTS` names a file of digests.

    A digest stays the same in every registry that an image is copied to, so the file leaves the registry out.

    Raises:
        ValueError: the file cannot be read, or has no digest of this image.
    """
    path = os.environ.get("HISTOFORGE_IMAGE_DIGESTS", "")
    if not path:
        return image
    name = image.rpartition("/")[2]
    try:
        digest = json.loads(Path(path).read_text(encoding="utf-8"))[name]
    except (OSError, ValueError) as error:
        raise ValueError(f"HISTOFORGE_IMAGE_DIGESTS: {path} cannot be read ({error}): run 'make push'.") from None
    except KeyError:
        raise ValueError(f"HISTOFORGE_IMAGE_DIGESTS: {path} has no digest of {name}: run 'make push'.") from None
    return f"{image.rpartition(':')[0]}@{digest}"
