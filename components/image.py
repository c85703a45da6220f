"""The container image of every component: the one place that names it; `compile` re-points the manifests."""

import os

VERSION = "0.1.0"
REGISTRY = os.environ.get("HISTOFORGE_REGISTRY", "").rstrip("/")
"""Where all images come from; '' for where each is published. `HISTOFORGE_REGISTRY` at compile time sets it."""

IMAGE = os.environ.get("HISTOFORGE_IMAGE") or f"{REGISTRY or 'ghcr.io/histoforge'}/histoforge-cuda:{VERSION}"
"""`HISTOFORGE_IMAGE` at compile time puts the components alone on an image of another name."""
