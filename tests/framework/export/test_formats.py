"""Tests the table of export formats: what it says of each, and what it refuses by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lambdapress.framework import FormatError, formats
from lambdapress.framework.export.formats import all_measured, format_of, make_format
from lambdapress.framework.registry import UnknownNameError

GUIDE = Path(__file__).parents[3] / "docs" / "guidelines.md"


def test_the_guide_shows_the_table():
    rows = []
    for name in formats.names():
        cls = formats.get(name)
        options = ", ".join(f"{option}={default}" for option, default in cls.options().items())
        rows.append(f"| `{name}` | {cls.suffix or 'a folder'} | {', '.join(cls.decode_modes)} | {options} |")
    assert "\n".join(rows) in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", formats.names())
def test_every_way_to_decode_is_made_and_measured(name):
    cls = formats.get(name)
    assert {variant.decode for variant in cls.measured()} == set(cls.decode_modes)
    for decode in cls.decode_modes:
        variant = make_format(name, decode)
        assert dataclasses.asdict(variant)["decode"] == decode and variant.settings() == {}
        assert str(variant) == f"{name} {decode}" and variant.file_name.endswith(cls.suffix)
    assert len({variant.file_name for variant in all_measured()}) == len(all_measured())


def test_options_of_the_command_line_are_converted():
    texts = {"ops": "select", "fold_batch_norm": "true"}
    variant = make_format("tflite", "during", texts)
    assert variant.settings() == {"ops": "select", "fold_batch_norm": True}
    assert variant.variant == "during, ops=select, fold_batch_norm"
    assert variant.file_name == "model_during_ops-select_fold_batch_norm.tflite"
    assert make_format("tflite", None, {"fold_batch_norm": "False"}).settings() == {}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("tflite", "once"), "no tflite that decodes 'once' .*available: before, during"),
        (("tflite", None, {"opps": "select"}), "tflite has no option 'opps' .did you mean 'ops'"),
        (("tflite", None, {"ops": "all"}), "ops is one of builtin, select, auto, got 'all'"),
        (("savedmodel", None, {"fold_batch_norm": "yes"}), "fold_batch_norm takes true or false, got 'yes'"),
        (("tflite", "during", {"sparse_kernels": True}), "tflite that decodes 'before'"),
    ],
)
def test_what_there_is_not_is_refused_by_name(arguments, message):
    with pytest.raises(FormatError, match=message):
        make_format(*arguments)


def test_an_unknown_format_is_told_what_there_is(tmp_path):
    with pytest.raises(UnknownNameError, match="Unknown export format 'tflight' .did you mean 'tflite'"):
        make_format("tflight")
    assert format_of(tmp_path).name == "savedmodel"
    with pytest.raises(FormatError, match="is of no export format .savedmodel: a folder, tflite: .tflite"):
        format_of(tmp_path / "model.onnx")
