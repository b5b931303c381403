"""Tests registries: classes by name, with gin."""

from __future__ import annotations

import dataclasses
import importlib.metadata

import gin
import pytest

from lambdapress.framework import algorithms
from lambdapress.framework.messages import near_misses
from lambdapress.framework.registry import PluginError, Registry, UnknownNameError


@pytest.fixture
def shapes(request):
    """Makes a registry of its own, whose classes have a gin name that nothing else has."""
    registry: Registry = Registry(f"shape_of_{request.node.name}")

    @registry.register("round_one")
    @dataclasses.dataclass(frozen=True)
    class RoundOne:
        """A circle.

        More of it.
        """

        radius: float = 1.0

    return registry


def test_an_unknown_name_lists_what_there_is_and_what_is_near():
    with pytest.raises(
        UnknownNameError, match=r"Unknown algorithm 'powerlaw' .*did you mean 'power_law'"
    ) as info:
        algorithms.get("powerlaw")
    assert isinstance(info.value, ValueError)
    for name in algorithms.names():
        assert name in str(info.value)


def test_an_empty_registry_says_so():
    with pytest.raises(UnknownNameError, match="available: none"):
        Registry("nothing at all").get("x")


def test_names_are_sorted_and_summaries_are_first_lines(shapes):
    assert shapes.names() == ["round_one"]
    assert shapes.summary("round_one") == "A circle."
    assert algorithms.names() == sorted(algorithms.names())


@pytest.mark.parametrize("name", algorithms.names())
def test_every_algorithm_knows_its_name_and_says_what_it_is(name):
    assert algorithms.get(name).name == name
    assert algorithms.summary(name).endswith(".")
    assert dataclasses.fields(algorithms.get(name)) is not None
    assert hash(algorithms.build(name)) == hash(algorithms.build(name))


def test_gin_binds_arguments_of_build_and_not_of_the_class():
    gin.parse_config("power_law.alpha = 0.5")
    cls = algorithms.get("power_law")
    assert algorithms.build("power_law").alpha == 0.5
    assert algorithms.build("power_law", alpha=2.0).alpha == 2.0
    assert cls().alpha == 0.01
    assert type(algorithms.build("power_law")) is cls


def test_a_name_is_given_once(shapes):
    class Other:
        pass

    with pytest.raises(ValueError, match="round_one.*registered already.*choose another name"):
        shapes.register("round_one")(Other)


def test_the_same_class_may_register_again(shapes):
    """Registers a class again, as when a notebook's cell runs twice."""
    again = dataclasses.make_dataclass("RoundOne", [])
    again.__qualname__ = shapes.get("round_one").__qualname__
    again.__module__ = shapes.get("round_one").__module__
    assert shapes.register("round_one")(again) is again


def test_plug_ins_come_by_entry_point(monkeypatch):
    registry: Registry = Registry("plug")

    class Point:
        @staticmethod
        def load():
            registry._classes["offered"] = dict

    def entry_points(group):
        return {"lambdapress.plugs": [Point]}[group]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert registry.names() == ["offered"]
    assert registry.get("offered") is dict


def test_a_broken_plug_in_is_named(monkeypatch):
    registry: Registry = Registry("plug")
    point = importlib.metadata.EntryPoint("mine", "no_such_module", "lambdapress.plugs")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: {"lambdapress.plugs": [point]}[group]
    )
    with pytest.raises(
        PluginError, match="'mine' of the group 'lambdapress.plugs', no_such_module, fails: Mod"
    ):
        registry.names()


def test_a_class_of_another_module_does_not_take_a_name_by_being_called_alike(shapes):
    other = dataclasses.make_dataclass("RoundOne", [])
    other.__qualname__ = shapes.get("round_one").__qualname__
    other.__module__ = "somewhere.else"
    with pytest.raises(ValueError, match="is registered already.*choose another name for somewhere.else"):
        shapes.register("round_one")(other)


def test_near_misses_are_best_first():
    assert near_misses("dense/kernl", ["conv/kernel", "dense/kernel", "x"])[0] == "dense/kernel"
