"""Patients and patches by split and class, as log lines and as Markdown."""

from collections.abc import Mapping, Sequence

from histoforge.core.text import counted

Counts = Mapping[str, Mapping[str, int]]
"""Numbers by split and class."""


def split_lines(patches: Counts, patients: Mapping[str, int], patients_by_class: Counts, unit: str) -> list[str]:
    """Return one line per split: 'test: 2 patients, 30 patches: benign 10 (1 patient), malignant 20 (2 patients)'."""
    return [
        f"{split}: {counted(patients[split], unit)}, {counted(sum(by_class.values()), 'patches')}: "
        f"{', '.join(_cells(by_class, patients_by_class[split], unit, show_class=True))}"
        for split, by_class in patches.items()
    ]


def splits_markdown(
    patches: Counts,
    patients: Mapping[str, int],
    patients_by_class: Counts,
    unit: str,
    *,
    verdict: str,
    warnings: Sequence[str],
    skipped: Sequence[str],
) -> str:
    """Return a table with one row per split, with the warnings and the skipped slides or images.

    Args:
        patches: number of patches by split and class.
        patients: number of patients by split.
        patients_by_class: number of patients by split and class.
        unit: word for patients: 'patients', or 'slides' or 'images' if none are known.
        verdict: the first sentence; '' for none.
        warnings, skipped: one text each.
    """
    classes = next(iter(patches.values())).keys()
    rows = [["Split", unit.capitalize(), "Patches", *classes], ["---"] * (3 + len(classes))]
    for split, by_class in patches.items():
        cells = _cells(by_class, patients_by_class[split], unit)
        rows.append([split, f"{patients[split]:,}", f"{sum(by_class.values()):,}", *cells])
    lines = [f"{verdict}.\n"] if verdict else []
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    for title, texts in (("Warnings", warnings), ("Skipped", skipped)):
        if texts:
            lines += ["", f"**{title}**", "", *(f"- {text}" for text in texts)]
    return "\n".join(lines) + "\n"


def _cells(
    patches: Mapping[str, int], patients: Mapping[str, int], unit: str, *, show_class: bool = False
) -> list[str]:
    return [
        f"{f'{name} ' if show_class else ''}{count:,} ({counted(patients[name], unit)})"
        for name, count in patches.items()
    ]
