"""Progress in a log file: lines that say how far the work has come."""

from histoforge.core.progress import Progress, track


def test_the_last_unit_is_always_shown(capsys):
    with Progress("tiling", total=2, unit="slides") as progress:
        progress.advance(2, patches=180)
    assert "tiling: 2/2 slides (100%" in capsys.readouterr().err


def test_progress_within_progress_is_silent(capsys):
    with Progress("training", total=1, unit="steps") as progress:
        list(track(range(3), "features", total=3))
        progress.advance()
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "features" not in shown


def test_after_the_inner_one_the_next_is_shown_again(capsys):
    with Progress("training", total=1):
        list(track(range(3), "features", total=3))
    list(track(range(3), "features", total=3))
    assert capsys.readouterr().err.count("features: 3/3") == 1
