"""The container image of every component: the one place that names it."""

import os

VERSION = "0.1.0"
IMAGE = os.environ.get("HISTOFORGE_IMAGE") or f"ghcr.io/histoforge/histoforge-cuda:{VERSION}"
"""`HISTOFORGE_IMAGE` at compile time puts the components on an image of one's own, such as a mirror's."""
