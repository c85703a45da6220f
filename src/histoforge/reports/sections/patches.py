"""The sections that show patches and slides."""

from histoforge.evaluation.findings import Findings, PictureFile
from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.reports.layout.blocks import Figure, Figures, Gallery, Section
from histoforge.reports.layout.pictures import picture, thumbnail

GROUP_NAMES = {
    "real": "real training patches",
    "synthetic": "synthetic patches, not selected",
    "selected": "synthetic patches, selected",
    "rejected": "synthetic patches, rejected",
}
SLIDE_COLOURS = ("blue", "red-orange", "green", "pink", "orange", "light blue", "olive")
"""Names of `slides.pictures.CLASS_COLOURS`."""


def class_galleries_section(findings: Findings) -> Section:
    """Show real, synthetic, selected and rejected patches by class."""
    galleries = []
    for name, groups in findings.samples.items():
        rows = []
        for group, patches in groups.items():
            title = f"{name}: {GROUP_NAMES[group]}"
            alt = f"{name}, {GROUP_NAMES[group]}"
            thumbnails = [
                thumbnail(patch.image, f"{alt} ({patch.text})" if patch.text else alt, patch.text) for patch in patches
            ]
            rows += [(title, thumbnails)] if thumbnails else []
        if rows:
            caption = f"Class {name}: a random sample of each group; selected and rejected patches with their scores."
            galleries.append(Gallery(caption, rows))
    synthetic = any(groups.get("synthetic") or groups.get("selected") for groups in findings.samples.values())
    lead = (
        "Would a pathologist recognise the class of the synthetic patches, and does selection keep the better ones?"
        if synthetic
        else "What do the classes look like?"
    )
    return Section("patches", "Patches by class", lead, galleries)


def method_pictures_section(findings: LeaderboardFindings) -> Section:
    """Show samples of each method."""
    figures = [file_figure(entry.picture, 560) for entry in findings.entries if entry.picture is not None]
    lead = "Would a pathologist recognise their class? The samples are random and unselected."
    return Section("patches", "Patches", lead, [Figures(figures)] if figures else [])


def slides_section(findings: Findings) -> Section:
    """Show slides with tissue, grid and regions, as preprocess drew them."""
    figures = [file_figure(slide, 640) for slide in findings.slides]
    regions = ", ".join(
        f"{name} {SLIDE_COLOURS[index % len(SLIDE_COLOURS)]}" for index, name in enumerate(findings.classes)
    )
    lead = (
        "Where do the patches come from? Black outline: tissue; frames: patches; coloured outlines: regions "
        f"({regions})."
    )
    return Section("slides", "Slides and their grids", lead, [Figures(figures)] if figures else [])


def file_figure(file: PictureFile, largest: int) -> Figure:
    """Return a picture drawn by an earlier step, at most `largest` px wide and high."""
    return picture(file.path, alt=file.name, caption=file.text, largest=largest)
