"""Tests finding and reading gin files, and the errors for wrong ones."""

from __future__ import annotations

import gin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapress.sweeps.gin.bindings import ConfigError, load
from lambdapress.sweeps.gin.files import GIN_CONFIGS, description, find, packaged
from lambdapress.sweeps.gin.isolation import isolated
from lambdapress.sweeps.gin.parse import read, read_file, read_overrides
from lambdapress.sweeps.gin.type_checks import check_types
from lambdapress.sweeps.plan import grid  # noqa: F401  gin knows `sweep` once it is imported, …
from lambdapress.sweeps.trial import settings  # noqa: F401  … and `trial`


@pytest.fixture(autouse=True)
def nothing_leaks():
    with isolated():
        yield


def loaded(text: str) -> str:
    source = read(text, "x.gin:{line}")
    config = load(source)
    check_types(source.bindings)
    return config


@pytest.mark.parametrize("name", ["sweeps/digits.gin", "sweeps/digits", "digits.gin", "digits"])
def test_a_sweep_of_the_package_is_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find(name) == GIN_CONFIGS / "sweeps" / "digits.gin"


def test_a_file_as_given_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.gin").write_text("# mine\n")
    assert find("digits").resolve() == tmp_path / "digits.gin"


def test_a_missing_file_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"'diggits\.gin'.*did you mean.*digits\.gin.*sweeps/lenets\.gin"):
        find("diggits.gin")


def test_every_file_of_the_package_says_what_it_is_and_names_something_that_exists():
    for kind in ("tasks", "algorithms", "sweeps"):
        for path in packaged(kind).values():
            assert description(path), path
            read_file(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("digit.epochs = 3", r"^x\.gin:1: nothing is called 'digit' \(did you mean 'digits'\?.*power_law"),
        ("\n\ndigits.epoch = 3", r"^x\.gin:3: 'digits' has no parameter 'epoch' \(did you mean 'epochs'\?"),
        ("digits.epochs = 'five'", r"^x\.gin:1: digits\.epochs = 'five' has the wrong type; it takes int"),
        ("digits.epochs = 2.5", "wrong type; it takes int"),
        ("digits.epochs = True", r"digits\.epochs = True has the wrong type; it takes int"),
        ("epr.log_step = False", r"epr\.log_step = False has the wrong type; it takes float"),
        (
            "sweep.lmbdas = [0.1, True]",
            r"^x\.gin:1: sweep\.lmbdas = \[0\.1, True\].*item 1 is a boolean",
        ),
        ("sweep.lmbdas = (True,)", r"sweep\.lmbdas = \(True,\) has the wrong type.*is a boolean"),
        ("sweep.lmbdas = {'epr': [True]}", r"sweep\.lmbdas = .*item 0 of value of key 'epr' is a boolean"),
        ("sweep.seeds = [False]", r"sweep\.seeds = \[False\].*item 0 of list is a boolean"),
        (
            "S = [0, True]\nsweep.seeds = %S",
            r"^x\.gin:2: sweep\.seeds = \[0, True\].*item 1 of list is a boolean",
        ),
        ("trial.deterministic = 1", r"trial\.deterministic = 1 has the wrong type; it takes bool"),
        ("digits.learning_rate = nan", "'nan' Values are numbers"),
        ("digits.epochs = %gin.REQUIRED", "%gin.REQUIRED has no value; give one"),
        ("sweep.tasks = @digits", r"sweep\.tasks has @digits; .* given by name, in quotes: 'digits'"),
        ("sweep.algorithms = [@epr()]", r"sweep\.algorithms has @epr\(\); .* in quotes: 'epr'"),
        ("N = 'x'\ndigits.epochs = %N", r"^x\.gin:2: digits\.epochs = 'x' has the wrong type"),
        ("digits.epochs = %N", r"^x\.gin:1: %N has no value; add `N = …`"),
        ("digits.epochs = @Epochs()", r"^x\.gin:1: nothing is called 'Epochs'"),
        ("digits.epochs = [@Epochs()]", r"^x\.gin:1: nothing is called 'Epochs'"),
        ("trial.rules = [('conv', 3)]", r"trial\.rules.*wrong type"),
        ("trial.rules = [('conv', 'epr'), 'dense']", r"trial\.rules.*wrong type"),
        ("digits.learning_rate = 1e999", r"^x\.gin:1: inf cannot be written"),
        ("digits.epochs 3", r"^x\.gin:1: Couldn't parse statement"),
        ("digits.epochs = 1\ndigits.epochs = [1,\n", r"^x\.gin:\d: .*bracket"),
        ("digits.epochs = 'abc\n", r"^x\.gin:1: "),
        ("digits:\n  epochs = 1\nepr2:\n  x = 1\n", r"^x\.gin:3: nothing is called 'epr2'"),
        (
            "import no_such_module_here",
            r"^x\.gin:1: `import no_such_module_here` failed: ModuleNotFoundError",
        ),
        ("from __gin__ import dynamic_registration", r"^x\.gin:1: .*dynamic registration"),
        ("include 'no_such.gin'", r"^x\.gin:1: There is no gin file 'no_such\.gin'"),
    ],
)
def test_what_is_refused_and_how(text, message):
    with pytest.raises(ConfigError, match=message) as refused:
        loaded(text)
    assert "\n" not in str(refused.value)


def test_an_int_is_a_float_too():
    assert "digits.learning_rate = 1" in loaded("digits.learning_rate = 1")


def test_overrides_name_themselves_in_errors():
    with pytest.raises(ConfigError, match=r"^--gin 'digts\.epochs = 3': nothing is called 'digts'"):
        read_overrides(["digts.epochs = 3"])


def test_includes_are_read_in_place_and_located(tmp_path):
    inner = tmp_path / "inner.gin"
    inner.write_text("digits.epochs = 1\ndigits.batch_size = 2\n")
    (tmp_path / "outer.gin").write_text(f"digits.epochs = 7\ninclude '{inner}'\ndigits.batch_size = 8\n")
    text = load(read_file(tmp_path / "outer.gin"))
    assert "digits.epochs = 1\n" in text and "digits.batch_size = 8\n" in text
    inner.write_text("\ndigits.epoch = 1\n")
    with pytest.raises(ConfigError, match=rf"^{inner}:2: "):
        read_file(tmp_path / "outer.gin")


def test_files_that_include_each_other_are_refused(tmp_path):
    one, other = tmp_path / "one.gin", tmp_path / "other.gin"
    one.write_text(f"include '{other}'\n")
    other.write_text(f"include '{one}'\n")
    with pytest.raises(ConfigError, match="include each other"):
        read_file(one)


bindings = st.dictionaries(
    st.sampled_from(["epochs", "batch_size", "steps_per_execution"]), st.integers(1, 9)
)


@given(bindings, st.randoms())
def test_canonical_text_does_not_depend_on_order_or_layout(bound, random):
    statements = [f"digits.{name} = {value}" for name, value in bound.items()]
    text = loaded("\n".join(statements))
    random.shuffle(statements)
    blocks = "".join(f"digits:\n  {statement.partition('.')[2]}  # why\n\n" for statement in statements)
    assert loaded(blocks) == text
    assert loaded(text) == text


def test_imports_travel_with_the_canonical_text():
    assert loaded("import json.decoder\ndigits.epochs = 1").startswith("import json.decoder\n")


def test_the_callers_gin_config_comes_back():
    gin.bind_parameter("digits.epochs", 77)
    before = gin.config_str()
    gin.finalize()
    with pytest.raises(ZeroDivisionError), isolated():
        assert gin.config_str().strip() == ""
        gin.bind_parameter("digits.epochs", 1)
        gin.bind_parameter("power_law.alpha", 1.0)
        raise ZeroDivisionError
    assert gin.config_str() == before
    assert gin.config_is_locked()
    assert gin.query_parameter("digits.epochs") == 77


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "a.gin").write_bytes("\ufeffdigits.epochs = 3\n".encode())
    assert [binding.value for binding in read_file(tmp_path / "a.gin").bindings] == [3]


def test_what_is_included_is_looked_for_beside_the_file_that_includes_it(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sweep.gin").write_text("include 'digits.gin'\n")
    (tmp_path / "mine" / "digits.gin").write_text("digits.epochs = 7\n")
    monkeypatch.chdir(tmp_path)
    assert [binding.value for binding in read_file("mine/sweep.gin").bindings] == [7]


def test_a_constant_of_a_module_counts_by_its_value(tmp_path, monkeypatch):
    (tmp_path / "own_constants.py").write_text("import gin\ngin.constant('own_constants.EPOCHS', 4)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "digits.epochs = 4" in loaded("import own_constants\ndigits.epochs = %own_constants.EPOCHS")
