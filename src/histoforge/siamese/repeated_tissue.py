"""Repeated tissue inside a large image, found by the guide's search for similar patches."""

from collections.abc import Sequence

import numpy as np

from histoforge.patches import PatchSet
from histoforge.patches.images import Pixels
from histoforge.siamese.guide import Guide
from histoforge.siamese.retrieval import Embeddings, embed_images, most_similar


def repeated_tissue(guide: Guide, images: PatchSet) -> float | None:
    """Return the mean over the classes of `repeated_share`; None if it is None for all."""
    shares = []
    for label in range(len(images.classes)):
        rows = np.flatnonzero(images.labels == label)
        shares.append(repeated_share([embed_patches(guide, images.images(np.array([row]))[0]) for row in rows]))
    measured = [share for share in shares if share is not None]
    return float(np.mean(measured)) if measured else None


def embed_patches(guide: Guide, image: Pixels) -> Embeddings:
    """Cut an image, uint8 [H, W, 3], into patches of the guide's size, and return their embeddings, float32 [N, D]."""
    height, width = guide.info.patch_size
    rows, columns = (range(0, image.shape[0] - height + 1, height), range(0, image.shape[1] - width + 1, width))
    patches = [image[row : row + height, column : column + width] for row in rows for column in columns]
    return embed_images(guide, np.stack(patches))


def repeated_share(images: Sequence[Embeddings]) -> float | None:
    """Return the share of patches whose most similar patch is in the same image rather than in the next one.

    Each patch is compared with all others of its image and with as many of the next image; the last image's next one is
    the first. An image that repeats its tissue gives more than real tissue does, which itself has more than 0.5:
    patches of one slide share their stain and their kind of tissue.

    Args:
        images: the embeddings of the patches of each image of one class, float32 [N, D].

    Returns:
        The share; None for fewer than two images, or an image of a single patch.
    """
    if len(images) < 2 or min(map(len, images)) < 2:
        return None
    nearer = []
    for image, other in zip(images, [*images[1:], images[0]], strict=True):
        every = np.arange(len(image))
        inside = most_similar(image, image, 1, excluded=every, label="patches of an image").similarities[:, 0]
        outside = most_similar(image, other[: len(image) - 1], 1, label="patches of another image").similarities[:, 0]
        nearer.append(inside > outside)
    return float(np.concatenate(nearer).mean())
