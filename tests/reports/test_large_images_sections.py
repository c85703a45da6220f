"""The sections on levels and large images: every row with its mean, its deviation and the paper's figure."""

from dataclasses import replace

import pytest
from made_up_images import DRAWN, JUDGE, make_generator, make_images, make_large_images

from histoforge.evaluation.large_images import LargeImageFindings
from histoforge.reports.layout.blocks import Figures, Table
from histoforge.reports.sections.large_images import large_images_section, paper_f1_table
from histoforge.reports.sections.levels import levels_section


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return make_large_images(tmp_path_factory.mktemp("pictures"))


def tables(section):
    return {
        block.caption.partition(",")[0].partition(":")[0]: block for block in section.blocks if isinstance(block, Table)
    }


def names(table):
    return [(row[0].text, row[0].small) for row in table.rows]


def test_table_1_has_both_levels_with_deviations_and_the_papers_figures(large):
    table = tables(levels_section(large))["Table 1"]
    assert names(table) == [
        (name, f"{level} level")
        for level in ("overview", "patch")
        for name in ("stylegan2", "vqgan", "pathup:none", "pathup:entropy", "real images")
    ]
    fid = large.generators[4].levels[1].metrics["fid"]
    ours = table.rows[3]
    assert ours[4].text == f"{fid.mean:,.2f}\u00a0±\u00a0{fid.std:,.2f}"
    assert ours[4].small == "paper: 45.36\u00a0±\u00a03.73"
    assert ours[5].small == "paper: 8.14\u00a0±\u00a00.41"
    assert (ours[1].text, ours[1].small) == ("3 x 60", "against 60")
    assert table.rows[8][2].small == "paper: 0.955\u00a0±\u00a00.021"
    assert JUDGE in table.caption


def test_table_2_has_the_alignments_alone(large):
    table = tables(levels_section(large))["Table 2"]
    assert [name for name, _ in names(table)] == ["pathup:none", "pathup:prompt", "pathup:entropy", "real images"] * 2
    assert [row[5].small for row in table.rows[4:7]] == [
        "paper: 9.17\u00a0±\u00a01.78",
        "paper: 11.51\u00a0±\u00a00.91",
        "paper: 10.74\u00a0±\u00a00.89",
    ]


def test_each_extractor_has_a_table_of_its_own(large):
    both = [make_generator(name, 0.5, (JUDGE, "Inception-v3 (clean-fid)")) for name in ("stylegan2", "pathup:none")]
    section = levels_section(replace(large, generators=both))
    captions = [block.caption for block in section.blocks if isinstance(block, Table) and "Table" in block.caption]
    assert captions == [
        f"Table 1: generators, in the features of {name}" for name in (JUDGE, "Inception-v3 (clean-fid)")
    ]


def test_the_leak_probe_and_the_floor_are_shown(large):
    shown = tables(levels_section(large))
    leak = shown["What the feature of the U-Net tells of the class"]
    assert [cell.text for cell in leak.rows[0]] == ["pathup:none", "71.0%", "98.0%", "50.0%"]
    floor = shown["What the autoencoder loses"]
    assert [cell.text for cell in floor.rows[1]] == ["overview", "64", "27.31", "0.861", "12.40"]


def test_tables_3_and_4_divide_the_sets_by_upscaler_and_by_weight_map(large):
    shown = tables(large_images_section(large))
    three, four = shown["Table 3"], shown["Table 4"]
    assert [name for name, _ in names(three)] == ["tracking", "bicubic", "bsrgan", "real images"] * 2
    assert three.rows[2][2].small == "paper: 0.645\u00a0±\u00a00.102"
    assert three.rows[1][2].small == ""
    assert three.rows[4][2].small == ""  # the paper scores tiles alone
    assert [name for name, _ in names(four)] == ["tracking", "tracking without weight map", "real images"] * 2
    assert four.rows[1][4].small == "paper: 76.28\u00a0±\u00a03.72"
    seams = shown["Seams and repeated tissue"]
    assert [cell.text for cell in seams.rows[1]] == ["tracking without weight map", "1.61\u00a0±\u00a00.01", "62.0%"]
    assert [cell.text for cell in seams.rows[-1]] == ["real images", "1.01", "55.0%"]


def test_the_images_of_a_class_stand_in_a_row_the_real_one_first(large):
    figures = next(block for block in large_images_section(large).blocks if isinstance(block, Figures)).figures
    assert [figure.caption for figure in figures] == [
        f"{name}: real, tracking, tracking without weight map, bicubic and bsrgan." for name in ("normal", "tumour")
    ]
    assert figures[0].size == (5 * 96 + 4 * 8, 96)


def test_details_have_a_row_of_their_own(large):
    details = [replace(picture, detail=True) for picture in large.pictures if picture.of in ("real", "tracking")]
    section = large_images_section(replace(large, pictures=[*large.pictures, *details]))
    figures = next(block for block in section.blocks if isinstance(block, Figures)).figures
    assert [figure.caption for figure in figures[1::2]] == [
        f"{name}, centres at full resolution: real and tracking." for name in ("normal", "tumour")
    ]
    assert figures[1].size == (2 * 96 + 8, 96)


def test_one_set_needs_no_comparison_of_weight_maps():
    alone = LargeImageFindings(images=[make_images("tracking", DRAWN["tracking"])])
    assert "Table 4" not in tables(large_images_section(alone))
    assert not levels_section(alone).blocks


def test_without_scores_there_are_no_sections():
    assert not levels_section(None).blocks
    assert not large_images_section(None).blocks
    assert paper_f1_table(None) == []


def test_the_papers_table_6_has_the_mean_of_its_classes(large):
    (table,) = paper_f1_table(large)
    assert len(table.rows) == 6
    for row in table.rows:
        values = [float(cell.text) for cell in row[1:]]
        assert values[-1] == pytest.approx(sum(values[:-1]) / 7, abs=0.6), row[0].text
