"""The memorisation section names the cells and the classes in which a generator copies."""

import dataclasses

import numpy as np
from made_up import CLASSES, make_findings, make_study
from tiny_guide import write_set

from histoforge.evaluation.copies import copy_pairs
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.memorisation import audit_memorisation
from histoforge.reports.layout.blocks import Gallery, Table
from histoforge.reports.layout.page import render
from histoforge.reports.sections.memorisation import audit_section
from histoforge.reports.study_page import build_study_page
from histoforge.reports.text.study_answer import study_answer


def tables_of(audit) -> list[Table]:
    return [block for block in audit_section(audit, []).blocks if isinstance(block, Table)]


def test_copying_in_one_class_is_reported_with_its_numbers():
    rng = np.random.default_rng(0)
    centres = np.repeat([[0.0] * 4, [40.0] * 4], 60, axis=0)
    training, held_out = (centres + rng.normal(size=(120, 4)) for _ in range(2))
    copies = np.concatenate([training[:60] + 0.01 * rng.normal(size=(60, 4)), centres[60:] + rng.normal(size=(60, 4))])
    names = np.repeat(CLASSES, 60)
    audit = audit_memorisation(EuclideanSpace(copies, training, held_out, "net b"), classes=(names, names, names))
    tables = tables_of(audit)
    assert [table.caption.split(" (")[0] for table in tables[1:]] == [
        "Nearness within cells of the feature space",
        "Nearness within classes",
    ]
    copied, innocent = tables[2].rows
    assert [cell.text for cell in copied[:4]] == [CLASSES[0], "60", "60", "60"]
    assert (copied[6].small, copied[6].tone) == ("nearer to training", "bad")
    assert (innocent[0].text, innocent[6].small) == (CLASSES[1], "")
    assert "100% of the held-out patches lie in classes with enough patches" in tables[2].note
    findings = dataclasses.replace(make_findings(make_study({"baseline": 0.5, "gan": 0.8})), audit=audit)
    page = build_study_page(findings, study_answer(findings.study, 480, 12))
    assert "nearer to training" in render(page)


def test_classes_with_too_few_patches_are_marked():
    rng = np.random.default_rng(1)
    names = np.repeat(CLASSES, [50, 10])
    features = (rng.normal(size=(60, 4)) for _ in range(3))
    audit = audit_memorisation(EuclideanSpace(*features, "net b"), classes=(names, names, names))
    tables = tables_of(audit)
    assert len(tables) == 2
    assert [cell.text for cell in tables[1].rows[1]] == [CLASSES[1], "10", "10", "10", "too few", "n/a", "n/a"]
    assert "83% of the held-out patches lie in classes with enough patches" in tables[1].note


def test_copies_are_listed_and_both_findings_are_stated():
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (80, 32, 32, 3), dtype=np.uint8)
    synthetic = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    synthetic[:9] = images[20:29, ::-1] // 2 + 60
    features = (rng.normal(size=(count, 4)) for count in (60, 80, 60))
    audit = audit_memorisation(EuclideanSpace(*features, "net b"), pixels=AuditPixels(synthetic, images))
    section = audit_section(audit, [])
    assert section.blocks[0].paragraphs == [audit.verdict, audit.nearer_verdict]
    rows = {row[0].text: row[1].text for row in tables_of(audit)[0].rows}
    assert rows["Same structure as a training patch (flips, rotations, shifts)"].startswith("9 of 60")
    pairs = rows["Pairs with the same structure (synthetic row and training row)"]
    assert sorted(pair.split(" (")[0] for pair in pairs.split(", ")) == [f"{n} and {20 + n}" for n in range(9)]


def test_an_audit_of_an_earlier_version_is_shown():
    rng = np.random.default_rng(3)
    audit = audit_memorisation(EuclideanSpace(*(rng.normal(size=(40, 4)) for _ in range(3)), "net b"))
    earlier = type(audit).model_validate(audit.model_dump(mode="json", exclude={"nearer", "nearer_verdict"}))
    assert (earlier.nearer, earlier.registered) == (None, None)
    assert audit_section(earlier, []).blocks[0].paragraphs == [earlier.verdict]


def test_flagged_pairs_are_pictured_with_the_reason(tmp_path):
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (80, 32, 32, 3), dtype=np.uint8)
    drawn = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    drawn[:9] = np.rot90(images[20:29], axes=(1, 2)) // 2 + 60
    drawn[40] = images[70, :, ::-1]
    synthetic = write_set(tmp_path / "synthetic", drawn, synthetic=True)
    training = write_set(tmp_path / "real", images)
    features = (rng.normal(size=(count, 4)) for count in (60, 80, 60))
    audit = audit_memorisation(EuclideanSpace(*features, "net b"), pixels=AuditPixels(synthetic, training))
    copies = copy_pairs(audit, synthetic, training, 4)
    assert [copy.reason.split(", correlation")[0] for copy in copies] == [
        "same pixels, mirrored",
        *["same structure"] * 3,
    ]
    assert all(copy.reason.endswith("rotated by 270 degrees") for copy in copies[1:])
    np.testing.assert_array_equal(copies[0].turned, copies[0].training)
    np.testing.assert_array_equal(copies[1].turned, copies[1].training // 2 + 60)
    (gallery,) = [block for block in audit_section(audit, [], copies).blocks if isinstance(block, Gallery)]
    assert gallery.rows[0][0] == f"1. {copies[0].class_name}: same pixels, mirrored"
    assert [thumbnail.text for thumbnail in gallery.rows[0][1]] == ["synthetic", "synthetic, turned", "training"]
