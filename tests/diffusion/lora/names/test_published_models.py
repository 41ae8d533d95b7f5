"""Every module of every published model is known, by all its names."""

from __future__ import annotations

from collections import defaultdict

import pytest

from loragraph.diffusion.lora import names
from loragraph.tests.diffusion.lora.names.published import MODELS, shapes

every_model = pytest.mark.parametrize("model", MODELS)


@every_model
def test_every_module_is_known_by_its_diffusers_name_and_a_flattened_name_is_undone(model: str) -> None:
    table = names.get(MODELS[model][0]).diffusers
    found = {name: (table.match(name), table.match(name.replace(".", "_"), flat=True)) for name in shapes(model)}
    wrong = {
        name for name, matches in found.items() if any(match is None or match.targets != (name,) for match in matches)
    }
    assert not wrong
    assert len({name.replace(".", "_") for name in found}) == len(found)


@every_model
def test_the_authors_names_lead_there_and_back_whole_or_flattened(model: str) -> None:
    table = names.get(MODELS[model][0]).table("original")
    for name in shapes(model):
        found = table.find(name)
        assert found is not None, name
        assert found.targets[found.part] == name
        for match in (table.match(found.name), table.match(found.name.replace(".", "_"), flat=True)):
            assert match is not None and match.targets == found.targets


@every_model
def test_no_two_modules_share_a_row_of_the_authors_weights(model: str) -> None:
    table = names.get(MODELS[model][0]).table("original")
    parts: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for name, shape in shapes(model).items():
        found = table.find(name)
        assert found is not None
        parts[found.name][name] = shape
    for name, targets in parts.items():
        match = table.match(name)
        assert match is not None and set(match.targets) == set(targets)
        out = sum(shape[0] for shape in targets.values())
        inside = next(iter(targets.values()))[1] if len(next(iter(targets.values()))) > 1 else 1
        pieces = [names.ranges(match, out, inside)[match.targets.index(target)] for target in targets]
        for piece, shape in zip(pieces, targets.values(), strict=True):
            assert sum(last - first for first, last in piece) == shape[0]
        assert sorted(row for piece in pieces for first, last in piece for row in range(first, last)) == list(
            range(out)
        )


@every_model
def test_the_family_is_recognised_from_all_modules(model: str) -> None:
    family = names.get(MODELS[model][0])
    assert (
        names.recognise({f"{family.component}.{name}": shape for name, shape in shapes(model).items()}) == family.name
    )
    assert names.recognise(dict(shapes(model))) == family.name


@every_model
@pytest.mark.parametrize("layers", [("to_q",), ("to_q", "to_k", "to_v", "to_out.0")])
def test_the_family_is_recognised_from_what_trainers_change_by_default(model: str, layers: tuple[str, ...]) -> None:
    changed = {name: shape for name, shape in shapes(model).items() if name.endswith(tuple(f".{x}" for x in layers))}
    if layers == ("to_q",) and MODELS[model][0] == "sd2":
        changed |= {name: shape for name, shape in shapes(model).items() if name.endswith("attn2.to_k")}
    assert names.recognise(changed) == MODELS[model][0]


@every_model
@pytest.mark.parametrize("style", ["kohya", "comfyui"])
def test_trainers_and_comfyui_have_a_name_for_every_module(model: str, style: str) -> None:
    family = names.get(MODELS[model][0])
    table = family.table(getattr(family, style))
    flat = set()
    for name in shapes(model):
        found = table.find(name)
        assert found is not None
        flat.add(found.name.replace(".", "_"))
    matched = [match for name in flat if (match := table.match(name, flat=True))]
    assert {target for match in matched for target in match.targets} == set(shapes(model))
