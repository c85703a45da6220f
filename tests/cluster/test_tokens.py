"""Tokens and cookies for Kubeflow: line ends are taken off, and what no header can carry is refused unseen."""

import pytest
from command_line import call
from tiny_pipeline import write_pipeline

TOKEN = "test-token-of-the-api-server.0123456789"


@pytest.mark.parametrize("name", ["KFP_EXISTING_TOKEN", "KFP_COOKIES"])
def test_a_line_end_after_a_token_does_not_matter(capsys, kubeflow, monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, f"{TOKEN}\n")
    assert call(capsys, "pipelines", "upload", write_pipeline(tmp_path)).code == 0


@pytest.mark.parametrize("name", ["KFP_EXISTING_TOKEN", "KFP_COOKIES"])
def test_a_token_that_no_header_can_carry_is_refused_in_a_sentence(capsys, kubeflow, monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, f"{TOKEN}\n{TOKEN}")
    ended = call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"{name} contains a character that is not allowed in an HTTP header" in ended.err
    assert "test-token" not in ended.err + ended.out


def test_a_broken_projected_token_is_refused_in_a_sentence(capsys, kubeflow, monkeypatch, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n\n{TOKEN}\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    ended = call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "contains a character that is not allowed in an HTTP header" in ended.err
    assert "test-token" not in ended.err + ended.out
