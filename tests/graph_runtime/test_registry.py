import types
from importlib.metadata import EntryPoint

import pytest

from loragraph.graph_runtime import DocumentError, NodeDefinitionError, Registry, node
from loragraph.graph_runtime import registry as registry_module

from . import kinds


def test_a_module_gives_its_nodes():
    registry = Registry()
    registry.collect(kinds)
    assert registry.names() == sorted(["ApplyLoRA", "Both", "LoadBase", "Make", "Merge", "RandomOne", "Read", "Save"])
    assert [each.name for each in registry.all()] == registry.names()
    assert registry.get("Make") is kinds.make
    registry.collect(kinds)
    assert len(registry) == 8


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(DocumentError, match='Did you mean "Merge"'):
        kinds.registry().get("merg")
    assert kinds.registry().find("merg") is None
    assert kinds.registry().find(3) is None


def test_two_nodes_cannot_share_a_name():
    @node(category="x", name="Make")
    def another() -> None: ...

    with pytest.raises(NodeDefinitionError, match="two nodes are named Make"):
        kinds.registry().register(another)
    with pytest.raises(NodeDefinitionError, match="put @node"):
        Registry().register(len)  # type: ignore[arg-type]


def test_a_package_that_fails_costs_no_other(monkeypatch):
    points = [
        EntryPoint("broken", "loragraph_no_such_package", registry_module.GROUP),
        EntryPoint("good", kinds.__name__, registry_module.GROUP),
    ]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    registry = Registry.installed()
    assert "Make" in registry
    assert list(registry.failures) == ["broken (loragraph_no_such_package)"]
    with pytest.raises(DocumentError, match="could not be loaded: broken"):
        registry.get("Alien")


def test_private_names_are_left_alone():
    module = types.ModuleType("m")
    module._hidden = kinds.make  # type: ignore[attr-defined]
    registry = Registry()
    registry.collect(module)
    assert len(registry) == 0
