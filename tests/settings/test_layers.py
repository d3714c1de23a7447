"""``TunerConfig``, and ``TunerSettings``, which makes one of flags, keywords, environment and files."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lit_autotune import ConfigError, TunerConfig
from lit_autotune.settings.layers import TunerSettings

GUIDE = {
    "use_batch_size_tuning": False,
    "batch_size_mode": "power",
    "batch_size_init_val": 2,
    "batch_size_max_trials": 25,
    "use_learning_rate_tuning": False,
    "lr_min": 1e-8,
    "lr_max": 1.0,
    "lr_num_training": 100,
    "lr_plot_path": None,
    "update_model_lr": True,
    "verbose": True,
    "is_debug": False,
}
"""The documented fields and their defaults."""


def write_file(text, name="autotune.toml"):
    """Write a configuration file to the current folder."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def test_defaults():
    """Fields and defaults are the documented ones."""
    assert {name: getattr(TunerConfig(), name) for name in GUIDE} == GUIDE


def test_defaults_change_nothing():
    """Fields beyond the documented ones leave a plain config's meaning alone."""
    assert (TunerConfig().batch_size_max, TunerConfig().batch_size_attribute, TunerConfig().lr_attribute) == (None,) * 3
    assert (TunerConfig().lr_suggester, TunerConfig().options) == ("consensus", {})


def test_options_are_not_shared():
    """Each config has an options table of its own."""
    TunerConfig().options["steepest"] = {}
    assert TunerConfig().options == {}


REFUSED = [
    ("batch_size_init_val", 0),
    ("batch_size_max_trials", 0),
    ("batch_size_max", 0),
    ("batch_size_steps_per_trial", 2),
    ("batch_size_margin", 1.0),
    ("batch_size_margin", -0.1),
    ("lr_min", 0.0),
    ("lr_min", -1e-3),
    ("lr_min", 1.0),
    ("lr_max", 1e-8),
    ("lr_max", float("inf")),
    ("lr_max", float("nan")),
    ("lr_num_training", 9),
    ("lr_num_training", "many"),
    ("use_batch_size_tuning", "maybe"),
    ("options", {"steepest": 1}),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_values_that_make_no_sense(name, value):
    """They are refused when a config is made."""
    with pytest.raises(ValidationError, match=name):
        TunerConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_refused_assignment_changes_nothing(name, value):
    """They are refused on assignment, too, and the config stays as it was."""
    config = TunerConfig(batch_size_init_val=8, lr_min=1e-6, lr_max=0.1)
    before = config.model_copy(deep=True)
    with pytest.raises(ValidationError, match=name):
        setattr(config, name, value)
    assert config == before


def test_assignment():
    """Fields can be changed, and are converted like those of the constructor."""
    config = TunerConfig()
    config.lr_min, config.lr_max, config.lr_plot_path = 1e-6, "0.1", "plots/lr.png"
    assert (config.lr_min, config.lr_max, config.lr_plot_path) == (1e-6, 0.1, Path("plots/lr.png"))


def test_unknown_field():
    """A misspelt field is refused in the constructor and on assignment, with the one that was probably meant."""
    with pytest.raises(ValueError, match=r"'lr_mim'; did you mean 'lr_min'"):
        TunerConfig(lr_mim=1e-6)
    with pytest.raises(ValueError, match=r"'verbos'; did you mean 'verbose'"):
        TunerConfig().verbos = True


def test_config_reads_no_surroundings(monkeypatch):
    """A plain config knows neither files nor the environment."""
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MIN", "1e-5")
    write_file("[tuner_config]\nlr_min = 1e-4")
    assert TunerConfig().lr_min == 1e-8


def test_settings_without_anything():
    """With nothing given all comes from the defaults, and says so."""
    settings = TunerSettings.load()
    assert settings.config == TunerConfig()
    assert set(settings.sources) == set(TunerConfig.model_fields)
    assert set(settings.sources.values()) == {"default"}
    assert (settings.warnings, settings.document, settings.path) == ([], {}, None)


def test_flag_beats_keyword():
    """A command-line flag comes first."""
    settings = TunerSettings.load(flags={"lr_min": 1e-2}, lr_min=1e-3)
    assert (settings.config.lr_min, settings.sources["lr_min"]) == (1e-2, "--lr-min")


def test_keyword_beats_environment(monkeypatch):
    """A keyword comes before the environment."""
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MIN", "1e-4")
    settings = TunerSettings.load(lr_min=1e-3)
    assert (settings.config.lr_min, settings.sources["lr_min"]) == (1e-3, "keyword")


def test_environment_beats_file(monkeypatch):
    """The environment comes before the file."""
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MIN", "1e-4")
    write_file("[tuner_config]\nlr_min = 1e-5")
    settings = TunerSettings.load()
    assert (settings.config.lr_min, settings.sources["lr_min"]) == (1e-4, "LIT_AUTOTUNE_LR_MIN")


def test_file_beats_default():
    """The file comes before the default, for each field on its own."""
    write_file("seed = 1\n[tuner_config]\nlr_min = 1e-5")
    settings = TunerSettings.load()
    assert (settings.config.lr_min, settings.sources["lr_min"]) == (1e-5, "autotune.toml")
    assert (settings.config.lr_max, settings.sources["lr_max"]) == (1.0, "default")
    assert (settings.path, settings.document["seed"]) == (Path("autotune.toml"), 1)


@pytest.mark.parametrize(
    ("source", "load"),
    [
        ("--batch-size-init-val", lambda: TunerSettings.load(flags={"batch_size_init_val": 0})),
        ("keyword", lambda: TunerSettings.load(batch_size_init_val=0)),
        ("LIT_AUTOTUNE_BATCH_SIZE_INIT_VAL", TunerSettings.load),
        ("my.toml", lambda: TunerSettings.load(config_file="my.toml")),
    ],
)
def test_refusal_names_the_source(source, load, monkeypatch):
    """An error says where the value comes from, which field it is and what it is, in one line."""
    write_file("[tuner_config]\nbatch_size_init_val = 0", "my.toml")
    if source.startswith("LIT"):
        monkeypatch.setenv(source, "0")
    with pytest.raises(ConfigError, match=rf"^{source}: tuner_config\.batch_size_init_val = '?0'?: .+") as caught:
        load()
    assert "\n" not in str(caught.value)


def test_refusal_of_two_fields_names_both_sources(monkeypatch):
    """A range whose ends come from two places names both."""
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MAX", "1e-6")
    with pytest.raises(ConfigError, match=r"^LIT_AUTOTUNE_LR_MAX, keyword: lr_min \(0\.001\) must be below lr_max"):
        TunerSettings.load(lr_min=1e-3)


@pytest.mark.parametrize("arguments", [{"flags": {"lr_mim": 1}}, {"lr_mim": 1}, {"config_file": "my.toml"}])
def test_unknown_field_in_a_layer(arguments):
    """It is refused in each layer, with the field that was probably meant."""
    write_file("[tuner_config]\nlr_mim = 1e-5", "my.toml")
    with pytest.raises(ConfigError, match=r"^(--lr-mim|keyword|my\.toml): .*lr_mim; did you mean 'lr_min'"):
        TunerSettings.load(**arguments)


def test_unknown_environment_variable(monkeypatch):
    """It cannot be refused, for it may be another program's, but is warned about."""
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MIM", "1e-5")
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MAX", "0.5")
    (warning,) = TunerSettings.load().warnings
    assert "LIT_AUTOTUNE_LR_MIM" in warning
    assert "did you mean 'LIT_AUTOTUNE_LR_MIN'" in warning


@pytest.mark.parametrize("name", ["LR_PLOT_PATH", "BATCH_SIZE_MAX", "VERBOSE", "CONFIG", "OPTIONS"])
def test_empty_environment_variable(name, monkeypatch):
    """An empty variable is as good as none."""
    monkeypatch.setenv(f"LIT_AUTOTUNE_{name}", "")
    assert TunerSettings.load() == TunerSettings(TunerConfig(), dict.fromkeys(TunerConfig.model_fields, "default"))


def test_environment_is_converted(monkeypatch):
    """Variables are texts, fields are not."""
    monkeypatch.setenv("LIT_AUTOTUNE_USE_BATCH_SIZE_TUNING", "true")
    monkeypatch.setenv("LIT_AUTOTUNE_BATCH_SIZE_MAX", "64")
    monkeypatch.setenv("LIT_AUTOTUNE_LR_PLOT_PATH", "a/b.png")
    monkeypatch.setenv("LIT_AUTOTUNE_OPTIONS", '{"steepest": {"skip": 3}}')
    config = TunerSettings.load().config
    assert (config.use_batch_size_tuning, config.batch_size_max) == (True, 64)
    assert (config.lr_plot_path, config.options) == (Path("a/b.png"), {"steepest": {"skip": 3}})


def test_environment_options_that_are_broken(monkeypatch):
    """A table that is no JSON is an error that names the variable."""
    monkeypatch.setenv("LIT_AUTOTUNE_OPTIONS", "{")
    with pytest.raises(ConfigError, match=r"(?i)^(environment|LIT_AUTOTUNE_OPTIONS): .*options"):
        TunerSettings.load()


def test_named_file_that_is_missing(monkeypatch):
    """A file that was asked for must exist, however it was asked for."""
    write_file("[tuner_config]\nlr_min = 1e-5")
    with pytest.raises(ConfigError, match=r"gone\.toml: no such"):
        TunerSettings.load(config_file="gone.toml")
    monkeypatch.setenv("LIT_AUTOTUNE_CONFIG", "lost.toml")
    with pytest.raises(ConfigError, match=r"lost\.toml: no such"):
        TunerSettings.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tuner_config\nlr_min = 1", "not valid TOML"),
        ("[tuner_cfg]\nlr_min = 1", "unknown key 'tuner_cfg'; did you mean 'tuner_config'"),
        ("tuner_config = 1", r"tuner_config must be a table, written as \[tuner_config\]"),
        ("[[tuner_config]]\nlr_min = 1", "tuner_config must be a table"),
    ],
)
def test_broken_file(text, message):
    """Broken TOML and tables that are not ours are refused, in one line with the file's name."""
    write_file(text)
    with pytest.raises(ConfigError, match=rf"^autotune\.toml: .*{message}") as caught:
        TunerSettings.load()
    assert "\n" not in str(caught.value)


def test_file_that_cannot_be_read():
    """A folder, or a file that is no text, is refused."""
    Path("folder").mkdir()
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("folder", "binary.toml"):
        with pytest.raises(ConfigError, match=rf"^{name}: cannot be read"):
            TunerSettings.load(config_file=name)


def test_first_file_wins(monkeypatch):
    """Named file, then that of the environment, then ``autotune.toml``, then ``pyproject.toml``; never two of them."""
    write_file('[project]\nname = "x"\n[tool.lit-autotune.tuner_config]\nlr_min = 1e-2\nlr_max = 0.5', "pyproject.toml")
    settings = TunerSettings.load()
    assert (settings.config.lr_min, settings.sources["lr_min"]) == (1e-2, "pyproject.toml")
    write_file("[tuner_config]\nlr_min = 1e-3")
    assert (TunerSettings.load().config.lr_min, TunerSettings.load().config.lr_max) == (1e-3, 1.0)
    write_file("[tuner_config]\nlr_min = 1e-4", "sub/env.toml")
    monkeypatch.setenv("LIT_AUTOTUNE_CONFIG", "sub/env.toml")
    assert TunerSettings.load().sources["lr_min"] == str(Path("sub/env.toml"))
    write_file("[tuner_config]\nlr_min = 1e-5", "named.toml")
    assert TunerSettings.load(config_file="named.toml").config.lr_min == 1e-5
    assert TunerSettings.load(config_file="pyproject.toml").config.lr_min == 1e-2


@pytest.mark.parametrize("text", ['[project]\nname = "x"', "[tool.ruff]\nline-length = 120"])
def test_pyproject_of_others(text):
    """A ``pyproject.toml`` without our table is no configuration file."""
    write_file(text, "pyproject.toml")
    assert TunerSettings.load().path is None


@pytest.mark.parametrize("text", ["[tool.lit-autotune.tuner_cfg]", "[tool]\nlit-autotune = 1"])
def test_pyproject_with_mistakes(text):
    """Our table in ``pyproject.toml`` is checked like a file of its own."""
    write_file(text, "pyproject.toml")
    with pytest.raises(ConfigError, match=r"^pyproject\.toml"):
        TunerSettings.load()


@pytest.mark.parametrize(("preset", "points", "trials"), [("quick", 50, 10), ("thorough", 100, 25)])
def test_presets_are_flags_for_several_values(preset, points, trials, tmp_path):
    """They go above the file and below a flag for one value; sources name them."""
    Path("my.toml").write_text("[tuner_config]\nlr_num_training = 77\nbatch_size_max_trials = 7\nlr_min = 1e-6\n")
    settings = TunerSettings.load(preset=preset, config_file="my.toml")
    config = settings.config
    assert (config.lr_num_training, config.batch_size_max_trials, config.lr_min) == (points, trials, 1e-6)
    assert settings.sources["lr_num_training"] == f"--{preset}"
    settings = TunerSettings.load(flags={"lr_num_training": 60}, preset=preset, config_file="my.toml")
    assert settings.config.lr_num_training == 60
