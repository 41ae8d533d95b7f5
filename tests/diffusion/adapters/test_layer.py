"""One layer with changes of every form gives what a layer with changed weights gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from loragraph.diffusion.adapters.layer import Acting, Layer
from loragraph.diffusion.errors import LoraMismatch
from loragraph.diffusion.lora.delta import Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.model import Change, Magnitude
from loragraph.tests.diffusion.adapters.forms import KINDS, random_change, really


def linear(bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(6, 8, bias=bias).requires_grad_(False)


def convolution(kernel: int = 3, **settings: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(6, 8, kernel, padding=kernel // 2, **settings).requires_grad_(False)


def inputs(module: nn.Module) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 5, 6) if isinstance(module, nn.Linear) else torch.randn(2, 6, 7, 7)


def check(module: nn.Module, *acting: tuple[Change, float]) -> None:
    x = inputs(module)
    bare = module(x)
    wanted = really(module, acting)(x.double())
    before = module.weight.clone()
    layer = Layer("transformer.one", module)
    for index, (change, _) in enumerate(acting):
        layer.add(str(index), change, {})
    plan = [Acting(strength, layer.changes[str(index)]) for index, (_, strength) in enumerate(acting)]
    layer.follow([plan], None)
    assert (module(x) - wanted).abs().max() < 2e-5 * max(1.0, float(wanted.abs().max()))
    layer.follow([()], None)
    assert torch.equal(module(x), bare) and torch.equal(module.weight, before) and not module._forward_hooks


@pytest.mark.parametrize("strength", [1.0, -0.6])
@pytest.mark.parametrize("kind", [*KINDS, "set"])
def test_every_form_on_a_linear_layer(kind: str, strength: float) -> None:
    module = linear()
    check(module, (random_change(kind, module), strength))


@pytest.mark.parametrize("kind", [*KINDS, "tucker", "set"])
@pytest.mark.parametrize("module", [convolution(), convolution(stride=2), convolution(1), convolution(dilation=2)])
def test_every_form_on_a_convolution(kind: str, module: nn.Module) -> None:
    check(module, (random_change(kind, module), 0.7))


def test_a_convolution_in_groups_and_one_over_time() -> None:
    grouped = convolution(groups=2)
    down, up = torch.randn(2, 3, 3, 3), torch.randn(8, 2, 1, 1)
    check(grouped, (Change(LowRank(down, up, 3.0)), 0.7))
    torch.manual_seed(0)
    deep = nn.Conv3d(6, 8, (1, 3, 3), padding=(0, 1, 1)).requires_grad_(False)
    layer = Layer("transformer.one", deep)
    change = random_change("lora", deep)
    layer.add("a", change, {})
    layer.follow([[Acting(0.5, layer.changes["a"])]], None)
    x = torch.randn(1, 6, 3, 5, 5)
    assert torch.allclose(deep(x).double(), really(deep, [(change, 0.5)])(x.double()), atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("last", ["dora_out", "dora_in", "set"])
def test_what_depends_on_the_weight_sees_the_adapters_before_it(last: str, bias: bool) -> None:
    """As baking them one after the other would; PEFT takes the norm of the bare weight."""
    module = linear(bias)
    first, second = random_change("biased", module, 1), random_change(last, module, 3)
    third = random_change("lora", module, 5)
    check(module, (first, 0.8), (second, 0.5), (third, -1.0))
    check(module, (second, 0.5), (first, 0.8), (second, 1.5))


@settings(max_examples=40, deadline=None)
@given(
    stack=some.lists(
        some.tuples(some.sampled_from(KINDS), some.floats(-2, 2, width=16), some.integers(1, 4)), min_size=1, max_size=3
    ),
    on_convolution=some.booleans(),
)
def test_any_stack_is_the_sequence_of_its_changes(stack: list[tuple[str, float, int]], on_convolution: bool) -> None:
    module = convolution() if on_convolution else linear()
    changes = [random_change(kind, module, index, rank) for index, (kind, _, rank) in enumerate(stack)]
    check(module, *zip(changes, (strength for _, strength, _ in stack), strict=True))


def test_some_rows_of_a_kronecker_product() -> None:
    """What a fused weight is split into: rows of it, in another order where halves are swapped."""
    torch.manual_seed(0)
    whole = Kronecker(1.0, w1=torch.randn(2, 2), w2=torch.randn(8, 3))
    module = linear()
    for ranges in ([(4, 12)], [(8, 12), (0, 4)]):
        part = whole.rows(ranges)
        check(module, (Change(part), 0.7))


def test_a_layer_takes_what_is_written_for_a_1x1_convolution_and_the_other_way_round() -> None:
    module, one = linear(), convolution(1)
    flat = LowRank(torch.randn(3, 6), torch.randn(8, 3), 1.0)
    square = LowRank(flat.down[..., None, None], flat.up[..., None, None], 1.0)
    mixed = LowRank(flat.down, square.up, 1.0)
    layers = [Layer("a", module), Layer("b", one)]
    made = []
    for index, delta in enumerate((flat, square, mixed)):
        for layer in layers:
            layer.add(str(index), Change(delta), {})
            layer.follow([[Acting(1.0, layer.changes[str(index)])]], None)
        made.append((module(inputs(module)), one(inputs(one))))
    assert all(torch.equal(a, made[0][0]) and torch.equal(b, made[0][1]) for a, b in made)


@pytest.mark.parametrize("kind", ["loha", "lokr", "full"])
def test_a_kernel_that_the_file_does_not_tell_is_the_weight_s(kind: str) -> None:
    module = convolution()
    change = random_change(kind, module)
    delta = change.delta
    if isinstance(delta, Hadamard):
        flat = Hadamard(delta.w1_a, delta.w1_b, delta.w2_a, delta.w2_b, delta.alpha)
    elif isinstance(delta, Kronecker):
        flat = Kronecker(delta.alpha, w1_a=delta.w1_a, w1_b=delta.w1_b, w2_a=delta.w2_a, w2_b=delta.w2_b)
    else:
        assert isinstance(delta, Full)
        flat = Full(delta.diff.flatten(1))
    wanted = really(module, [(change, 1.0)])(inputs(module).double())
    layer = Layer("unet.conv", module)
    layer.add("a", Change(flat), {})
    layer.follow([[Acting(1.0, layer.changes["a"])]], None)
    assert torch.allclose(module(inputs(module)).double(), wanted, atol=1e-4)


@pytest.mark.parametrize("module", [nn.LayerNorm(6), nn.RMSNorm(6), nn.Embedding(6, 6)])
def test_norms_and_embeddings_are_changed_too(module: nn.Module) -> None:
    module.requires_grad_(False)
    x = torch.tensor([[0, 3], [5, 5]]) if isinstance(module, nn.Embedding) else torch.randn(2, 6)
    bare, weight = module(x), torch.randn_like(module.weight)
    layer = Layer("transformer.norm", module)
    bias = torch.randn(6) if isinstance(module, nn.LayerNorm) else None
    layer.add("diff", Change(Full(weight), bias=bias), {})
    layer.add("set", Change(set_weight=weight), {})
    layer.follow([[Acting(0.5, layer.changes["diff"])]], None)
    moved = module(x)
    layer.follow([[Acting(1.0, layer.changes["set"])]], None)
    placed = module(x)
    layer.follow([()], None)
    assert torch.equal(module(x), bare)
    with torch.no_grad():
        module.weight += 0.5 * weight
        if bias is not None:
            module.bias += 0.5 * bias
        assert torch.allclose(module(x), moved, atol=1e-6)
        module.weight.copy_(weight)
        if bias is not None:
            module.bias -= 0.5 * bias
        assert torch.allclose(module(x), placed, atol=1e-6)


def test_groups_of_rows_get_what_is_theirs() -> None:
    module = linear()
    changes = [random_change(kind, module, seed) for kind, seed in (("lora", 0), ("dora_out", 1), ("loha", 2))]
    layer = Layer("transformer.one", module)
    for index, change in enumerate(changes):
        layer.add(str(index), change, {})
    first, second, third = (layer.changes[str(index)] for index in range(3))
    rows = [torch.tensor([0, 3]), torch.tensor([1]), torch.tensor([2])]
    layer.follow([[Acting(1.0, first), Acting(0.5, second)], [Acting(1.0, third)], []], lambda count: rows)
    x = torch.randn(4, 5, 6)
    found = module(x).double()
    x = x.double()
    assert torch.allclose(found[rows[0]], really(module, [(changes[0], 1.0), (changes[1], 0.5)])(x[rows[0]]), atol=1e-5)
    assert torch.allclose(found[rows[1]], really(module, [(changes[2], 1.0)])(x[rows[1]]), atol=1e-5)
    assert torch.allclose(found[rows[2]], really(module, [])(x[rows[2]]), atol=1e-6)


def test_a_half_precision_layer_answers_in_its_dtype() -> None:
    module = linear().bfloat16()
    change = random_change("dora_out", module)
    layer = Layer("transformer.one", module)
    layer.add("a", change, {})
    assert layer.changes["a"].delta.down.dtype == torch.bfloat16  # type: ignore[union-attr]
    layer.follow([[Acting(1.0, layer.changes["a"])]], None)
    found = module(inputs(module).bfloat16())
    assert found.dtype == torch.bfloat16
    wanted = really(module, [(change, 1.0)])(inputs(module).double())
    assert (found - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_gradients_flow_through_to_what_lies_before() -> None:
    module = linear()
    layer = Layer("transformer.one", module)
    for index, kind in enumerate(("lora", "loha", "dora_in")):
        layer.add(str(index), random_change(kind, module, index), {})
    layer.follow([[Acting(0.5, change) for change in layer.changes.values()]], None)
    x = inputs(module).requires_grad_()
    module(x).square().sum().backward()
    with torch.no_grad():
        step = torch.zeros_like(x)
        step[0, 0, 0] = 1e-2
        slope = (module(x + step).square().sum() - module(x - step).square().sum()) / 2e-2
    assert x.grad is not None and abs(float(slope - x.grad[0, 0, 0])) < 1e-2 * float(x.grad.abs().max())
    assert not any(value.requires_grad for value in module.parameters())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(LowRank(torch.ones(1, 7), torch.ones(8, 1), 1.0)), r"\[8, 7\] in the LoRA, \[8, 6\] in the base"),
        (Change(LowRank(torch.ones(1, 9), torch.ones(8, 1), 1.0), widens=True), "control"),
    ],
)
def test_a_change_for_another_layer_is_refused(change: Change, words: str) -> None:
    layer = Layer("transformer.one", linear())
    with pytest.raises(LoraMismatch, match=words):
        layer.add("a", change, {})
    assert not layer.changes


def test_a_dora_needs_weights_that_are_there() -> None:
    module = nn.Linear(6, 8, device="meta")
    layer = Layer("transformer.one", module)
    change = Change(LowRank(torch.ones(1, 6), torch.ones(8, 1), 1.0), Magnitude(torch.ones(8)))
    layer.add("a", change, {})
    with pytest.raises(LoraMismatch, match=r"one is not in memory .*DoRA"):
        layer.weight([Acting(1.0, change)])
