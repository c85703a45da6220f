"""The Python interface of histoforge, stable under semantic versioning: everything in `__all__`, and nothing else.

>>> from histoforge import api
>>> patches = api.cut_patches("slides/", "runs/cut")
>>> baseline = api.train_arm(patches, "runs/baseline")
>>> generator = api.train_generator(patches, "runs/generator")
>>> selected = api.select(patches, baseline, "runs/selection", generator=generator)
>>> selective = api.train_arm(patches, "runs/selective", name="selective", synthetic=selected)
>>> print(api.compare_arms(patches, [baseline, selective], "runs/report", synthetic=selected))
"""

from histoforge.api.arms import Arm, load_arm, train_arm
from histoforge.api.comparison import Comparison, audit_copies, compare_arms
from histoforge.api.exports import export_patches, predict_slides
from histoforge.api.generators import Generator, load_generator, select, train_generator
from histoforge.api.patches import Patches, cut_patches, draw_phantom, open_patches, write_patches
from histoforge.core.errors import HistoforgeError
from histoforge.metrics.memorisation import MemorisationAudit

__all__ = [
    "Arm",
    "Comparison",
    "Generator",
    "HistoforgeError",
    "MemorisationAudit",
    "Patches",
    "audit_copies",
    "compare_arms",
    "cut_patches",
    "draw_phantom",
    "export_patches",
    "load_arm",
    "load_generator",
    "open_patches",
    "predict_slides",
    "select",
    "train_arm",
    "train_generator",
    "write_patches",
]
