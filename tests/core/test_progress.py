"""Progress in a log file, as lines."""

from histoforge.core.progress import Progress, track


def test_the_last_unit_is_always_shown(capsys):
    with Progress("tiling", total=2, unit="slides") as progress:
        progress.advance(2, patches=180)
    assert "tiling: 2/2 slides (100%" in capsys.readouterr().err


def test_nested_progress_is_silent(capsys):
    with Progress("training", total=1, unit="steps") as progress:
        list(track(range(3), "features", total=3))
        progress.advance()
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "features" not in shown


def test_progress_after_a_nested_one_is_shown(capsys):
    with Progress("training", total=1):
        list(track(range(3), "features", total=3))
    list(track(range(3), "features", total=3))
    assert capsys.readouterr().err.count("features: 3/3") == 1


def test_a_line_estimates_the_remaining_time(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("histoforge.core.progress.time.monotonic", lambda: now[0])
    with Progress("training", total=100, unit="steps", done=20) as progress:
        now[0] += 80
        progress.advance(2, loss=0.5)
        now[0] += 40
        progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 22/100 steps (22%, 80 s, 52 min left) loss 0.5"  # 40 s a step, 78 to go
    assert lines[1] == "training: 23/100 steps (23%, 120 s, 51 min left) loss 0.5"
