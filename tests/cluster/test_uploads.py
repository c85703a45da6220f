"""`histoforge pipelines` and `histoforge submit` against a server that holds requests against the published models."""

import json

import pytest
from command_line import call
from request_models import BadRequest, check
from tiny_pipeline import in_kubernetes, write_pipeline

from histoforge import __version__
from histoforge.cluster.packages import open_package
from histoforge.cluster.run_parameters import run_parameters
from histoforge.core.errors import SettingsError


def test_pipelines_are_uploaded_once_as_versions_of_this_program(kubeflow, capsys):
    done = call(capsys, "pipelines", "upload", "selective-augmentation")
    assert (done.code, done.out) == (0, f"selective-augmentation {__version__} uploaded\n"), done.err
    (version,) = kubeflow.versions.values()
    assert version["display_name"] == __version__
    assert version["name"] == f"selective-augmentation-{__version__}"
    assert "schemaVersion" in next(iter(kubeflow.packages.values()))
    changes = len(kubeflow.changes())
    again = call(capsys, "pipelines", "upload", "selective-augmentation")
    assert (again.code, again.out) == (0, f"selective-augmentation {__version__} already uploaded\n")
    assert len(kubeflow.changes()) == changes
    assert kubeflow.refused == []


def test_a_version_never_changes_and_a_new_one_goes_beside_it(kubeflow, capsys, tmp_path):
    path = write_pipeline(tmp_path)
    assert call(capsys, "pipelines", "upload", path).code == 0
    path.write_text(path.read_text().replace("for tests", "for other tests"))
    refused = call(capsys, "pipelines", "upload", path)
    assert refused.code == 2
    assert "already exists with different content" in refused.err
    assert call(capsys, "pipelines", "upload", path, "--version", "mine-2").code == 0
    assert sorted(version["display_name"] for version in kubeflow.versions.values()) == sorted([__version__, "mine-2"])
    assert len(kubeflow.pipelines) == 1


def test_a_run_is_started_with_the_profile_and_followed(kubeflow, capsys, tmp_path):
    path = write_pipeline(tmp_path)
    call(capsys, "pipelines", "upload", path)
    options = ("--source", "s3://b/slides", "--set", "rounds=2", "--set", "train_generator.epochs=7")
    done = call(capsys, "submit", path, *options, "--profile", "small", "--every", "0")
    assert done.code == 0, done.err
    (run,) = kubeflow.runs.values()
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["source"], parameters["rounds"]) == ("s3://b/slides", 2)
    assert (parameters["cpu"], parameters["gpu_count"]) == ("4", "0")
    assert parameters["overrides"] == {"train_generator.epochs": 7}
    assert run["run_id"] in done.out
    assert done.err.splitlines() == ["Cut patches: running", "Cut patches: succeeded", "the run succeeded"]
    assert kubeflow.refused == []


@pytest.mark.parametrize(("failing", "code"), [(3, 0), (100, 2)])
def test_a_server_that_fails_for_a_while_ends_nothing(kubeflow, capsys, tmp_path, failing, code):
    kubeflow.failing = failing
    path = write_pipeline(tmp_path)
    call(capsys, "pipelines", "upload", path)
    done = call(capsys, "submit", path, "--source", "s3://b/slides", "--every", "0")
    assert done.code == code
    assert ("returned 503 (try again)" in done.err and "continues." in done.err) is bool(code)


def test_a_run_may_be_left_alone(kubeflow, capsys, tmp_path):
    path = write_pipeline(tmp_path)
    call(capsys, "pipelines", "upload", path)
    assert call(capsys, "submit", path, "--source", "s3://b/slides", "--no-follow").code == 0
    assert not [request for request in kubeflow.asked if "GET /apis/v2beta1/runs" in request]


WRONG = {
    "--profile huge": "There is no profile 'huge'",
    "--profile smal": "did you mean 'small'?",
    "--set gpu_count=9 --profile gpu": "a node of its pool has 8",
    "--set rounds=many": "a whole number",
    "--set train_generator.epoks=3": "epoks",
    "--preset quik": "There is no preset 'quik'",
    "--set secret_key=x": "secret_key",
    "--set train_generator.method=histogan --set source=s3://key:word@b/x": "seems to contain a secret",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_invalid_input_is_one_sentence_before_any_request(kubeflow, capsys, tmp_path, arguments):
    path = write_pipeline(tmp_path)
    path.write_text(
        path.read_text().replace("  rounds:", "  preset: {parameterType: STRING, isOptional: true}\n      rounds:")
    )
    done = call(capsys, "submit", path, "--source", "s3://b/slides", *arguments.split())
    assert done.code == 2
    assert WRONG[arguments] in done.err, done.err
    assert len(done.err.splitlines()) == 1
    assert kubeflow.asked == []


def test_each_method_of_a_benchmark_is_held_against_its_own_settings():
    package = open_package("generator_benchmark")
    given = {"source": "s3://b/slides", "overrides": {"generator_maps": 8}}
    assert run_parameters(package, "", {**given, "methods": ["dcgan", "sngan"]})["overrides"] == given["overrides"]
    with pytest.raises(SettingsError, match="the method 'ddpm' has no parameter 'generator_maps'"):
        run_parameters(package, "", {**given, "methods": ["dcgan", "ddpm"]})
    with pytest.raises(SettingsError, match="no method 'dcgn'"):
        run_parameters(package, "", {**given, "methods": ["dcgn"]})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("networks", ["medvitgan"], "add 'vitgan'"),
        ("backbones", ["resnet34"], "at least two"),
        ("overrides", {"train_generator.vitgan.confidence": 1.0}, "confidence"),
        ("patch_size", "65", "65x65 px"),
    ],
)
def test_networks_and_backbones_are_held_against_their_own_settings(name, value, sentence):
    package = open_package("unified")
    given = {"source": "s3://b/slides", "preset": "quickstart", "patch_size": "64"}
    assert run_parameters(package, "", given)["preset"] == "quickstart"
    with pytest.raises(SettingsError, match=sentence):
        run_parameters(package, "", {**given, name: value})


def test_the_levels_of_pathup_are_checked_before_a_run_starts():
    package = open_package("pathup")
    given = {"source": "s3://b/slides", "preset": "quickstart", "patch_size": "64"}
    assert run_parameters(package, "", given)["preset"] == "quickstart"
    with pytest.raises(SettingsError, match="'overview_shrink' is 0"):
        run_parameters(package, "", {**given, "overrides": {"preprocess.overview_shrink": 0}})


def test_a_missing_parameter_is_named(kubeflow, capsys, tmp_path):
    done = call(capsys, "submit", write_pipeline(tmp_path))
    assert (done.code, done.err) == (2, "The pipeline 'tiny' needs the parameter 'source': where slides lie.\n")


def test_a_pipeline_that_is_not_there(kubeflow, capsys, tmp_path):
    done = call(capsys, "submit", write_pipeline(tmp_path), "--source", "s3://b/slides")
    assert done.code == 2
    assert "Kubeflow has no pipeline 'tiny'" in done.err
    assert kubeflow.changes() == []
    other = call(capsys, "submit", "selective-augmentatoin", "--source", "x")
    assert "did you mean 'selective-augmentation'?" in other.err


def test_the_token_comes_from_the_environment_and_is_never_shown(kubeflow, capsys, tmp_path, monkeypatch):
    kubeflow.token = "quite-secret"
    refused = call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    assert (refused.code, "KFP_EXISTING_TOKEN" in refused.err) == (2, True)
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "quite-secret")
    done = call(capsys, "pipelines", "upload", tmp_path / "tiny.yaml")
    assert done.code == 0, done.err
    assert "quite-secret" not in done.out + done.err


def test_a_server_that_does_not_answer_or_is_none(kubeflow, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://127.0.0.1:9")
    done = call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "127.0.0.1:9 does not respond" in done.err
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    done = call(capsys, "pipelines", "upload", tmp_path / "tiny.yaml")
    assert "set KF_PIPELINES_ENDPOINT" in done.err


def test_a_page_to_log_in_is_recognised(kubeflow, capsys, tmp_path):
    kubeflow.login = "<html>Log in to Your Account</html>"
    done = call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    assert (done.code, "may be a login page" in done.err) == (2, True)


@pytest.mark.parametrize(
    "body",
    [{"name": "x", "cron": "1"}, {"display_name": 3}, {"mode": "ON"}, {"trigger": {"cron_schedule": {"zone": "UTC"}}}],
)
def test_the_double_rejects_fields_that_the_published_models_lack(body):
    with pytest.raises(BadRequest):
        check(body, "V2beta1RecurringRun")


@pytest.mark.parametrize(("label", "code"), [("gpus", 0), ("others", 2)])
def test_a_version_without_the_queue_of_the_profile_is_not_run(kubeflow, capsys, tmp_path, label, code):
    path = write_pipeline(tmp_path)
    labels = {"podMetadata": {"labels": {"kueue.x-k8s.io/queue-name": label}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-x": labels}}}}}
    path.write_text(f"{path.read_text()}---\n{json.dumps(platform)}\n")
    call(capsys, "pipelines", "upload", path)
    (tmp_path / "mine.yaml").write_text("queue: gpus\n")
    options = ("--source", "s3://b/slides", "--profile", tmp_path / "mine.yaml", "--no-follow")
    done = call(capsys, "submit", path, *options)
    assert (done.code, "was compiled without the queue 'gpus'" in done.err) == (code, bool(code)), done.err


@pytest.mark.parametrize(
    ("profile", "compiled", "sentence"),
    [
        ("image_pull_secrets: [registry]", {"imagePullSecret": [{"secretName": "registry"}]}, ""),
        ("image_pull_secrets: [registry]", {}, "without the pull secret 'registry'"),
        ("ca_config_map: authority", {"configMapAsVolume": [{"configMapName": "authority"}]}, ""),
        ("ca_config_map: authority", {}, "without the config map 'authority'"),
        ("ca_secret: authority", {}, "without the secret 'authority'"),
        ("environment_from: {site: {proxy: HTTPS_PROXY}}", {}, "without the config map 'site'"),
    ],
)
def test_a_version_compiled_without_settings_of_the_profile_is_not_run(
    kubeflow, capsys, tmp_path, profile, compiled, sentence
):
    path = write_pipeline(tmp_path)
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-x": compiled}}}}}
    path.write_text(f"{path.read_text()}---\n{json.dumps(platform)}\n")
    call(capsys, "pipelines", "upload", path)
    (tmp_path / "mine.yaml").write_text(profile)
    options = ("--source", "s3://b/slides", "--profile", tmp_path / "mine.yaml", "--no-follow")
    done = call(capsys, "submit", path, *options)
    assert (done.code, sentence in done.err) == (2 if sentence else 0, True), done.err


@pytest.mark.parametrize(
    ("profile", "root", "sentence"),
    [
        ("queue: gpus\ngpu_count: 1\n", "s3://b/out", ""),
        ("queue: gpu\ngpu_count: 1\n", "", "There is no queue 'gpu' in the namespace 'kubeflow'"),
        ("queue: gpus\ngpu_count: 4\n", "", "the queue 'gpus' has at most 2"),
        ("queue: gpus\n", "gs://b/out", "lacks the provider 'gs'"),
    ],
)
def test_queue_pool_and_launcher_are_checked(kubeflow, capsys, tmp_path, monkeypatch, profile, root, sentence):
    path = write_pipeline(tmp_path)
    text = path.read_text().replace("  rounds:", "  gpu_type: {parameterType: STRING, isOptional: true}\n      rounds:")
    path.write_text(text)
    call(capsys, "pipelines", "upload", path)
    in_kubernetes(kubeflow, tmp_path, monkeypatch)
    (tmp_path / "mine.yaml").write_text(profile)
    options = ("--source", "s3://b/slides", "--profile", tmp_path / "mine.yaml", "--pipeline-root", root, "--no-follow")
    done = call(capsys, "submit", path, *options)
    assert (done.code, sentence in done.err) == (2 if sentence else 0, True), done.err
    assert bool(kubeflow.runs) is not bool(sentence)
