"""`inspect` of the scores of a generator and of a leaderboard."""

import sys
from pathlib import Path

import pytest
from command_line import call

from histoforge.core.files import write_json
from histoforge.evaluation.leaderboard_file import AnswerRecord, leaderboard_results
from histoforge.reports.text.leaderboard_answer import leaderboard_answer

sys.path.append(str(Path(__file__).resolve().parents[1] / "reports"))
from made_up_images import DRAWN, make_images
from made_up_scores import make_leaderboard, make_scores


def test_scores_are_shown_with_their_data(capsys, tmp_path):
    scores = make_scores("rleo:policy", 2)
    write_json(tmp_path / "scores.json", scores.model_dump(mode="json"))
    text = call(capsys, "inspect", tmp_path).out
    for phrase in ("scores of a generator", "rleo:policy", scores.judge, "metrics.fid", "path lengths.ppl"):
        assert phrase in text


def test_scores_of_large_images_are_shown_with_their_seams(capsys, tmp_path):
    scores = make_images("tracking", DRAWN["tracking"], seams=1.25)
    write_json(tmp_path / "image_scores.json", scores.model_dump(mode="json"))
    text = call(capsys, "inspect", tmp_path).out
    for phrase in ("scores of large images", "tracking", scores.judge, "metrics.tile.fid.mean", "1024x1024 px", "1.26"):
        assert phrase in text


@pytest.mark.parametrize("name", ["leaderboard.json", "leaderboard.html", ""])
def test_a_leaderboard_is_shown_as_a_table(capsys, tmp_path, name):
    findings = make_leaderboard({"dcgan": 1.0, "lsgan": 1.2}, seeds=2)
    results = leaderboard_results(findings, AnswerRecord(**vars(leaderboard_answer(findings))))
    write_json(tmp_path / "leaderboard.json", results.as_json())
    (tmp_path / "leaderboard.html").write_text("<p>")
    text = call(capsys, "inspect", tmp_path / name).out
    assert leaderboard_answer(findings).headline in text
    for phrase in ("precision", "dcgan", "lsgan", "900 patches of 12 patients"):
        assert phrase in text
