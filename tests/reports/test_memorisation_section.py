"""The memorisation section names the parts of the space and the classes in which a generator copies."""

import dataclasses

import numpy as np
from made_up import CLASSES, make_findings, make_study

from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.memorisation import audit_memorisation
from histoforge.reports.layout.blocks import Table
from histoforge.reports.layout.page import render
from histoforge.reports.sections.synthetic import memorisation_section
from histoforge.reports.study_page import build_page
from histoforge.reports.text.study_answer import answer


def test_copying_in_one_class_is_told_with_its_numbers():
    rng = np.random.default_rng(0)
    centres = np.repeat([[0.0] * 4, [40.0] * 4], 60, axis=0)
    training, held = (centres + rng.normal(size=(120, 4)) for _ in range(2))
    copies = np.concatenate([training[:60] + 0.01 * rng.normal(size=(60, 4)), centres[60:] + rng.normal(size=(60, 4))])
    names = np.repeat(CLASSES, 60)
    audit = audit_memorisation(EuclideanSpace(copies, training, held, "net b"), classes=(names, names, names))
    found = dataclasses.replace(make_findings(make_study({"baseline": 0.5, "gan": 0.8})), audit=audit)
    tables = [block for block in memorisation_section(found).blocks if isinstance(block, Table)]
    assert [table.caption.split(" (")[0] for table in tables[1:]] == [
        "Copying within parts of the feature space",
        "Copying within classes",
    ]
    copied, innocent = tables[2].rows
    assert [cell.text for cell in copied[:4]] == [CLASSES[0], "60", "60", "60"]
    assert (copied[6].small, copied[6].tone) == ("speaks of copying", "bad")
    assert (innocent[0].text, innocent[6].small) == (CLASSES[1], "")
    assert "100% of the held-out patches lie in parts" in tables[2].note
    assert "speaks of copying" in render(build_page(found, answer(found.study, 480, 12)))


def test_parts_with_too_few_patches_say_so():
    rng = np.random.default_rng(1)
    names = np.repeat(CLASSES, [50, 10])
    parts = (rng.normal(size=(60, 4)) for _ in range(3))
    audit = audit_memorisation(EuclideanSpace(*parts, "net b"), classes=(names, names, names))
    found = dataclasses.replace(make_findings(make_study({"baseline": 0.5, "gan": 0.8})), audit=audit)
    tables = [block for block in memorisation_section(found).blocks if isinstance(block, Table)]
    assert len(tables) == 2
    assert [cell.text for cell in tables[1].rows[1]] == [CLASSES[1], "10", "10", "10", "too few", "n/a", "n/a"]
    assert "83% of the held-out patches lie in parts" in tables[1].note
