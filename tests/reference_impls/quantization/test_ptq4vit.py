"""PTQ4ViT: every product has rounded operands, twin ranges where values call for them, steps chosen by the metric."""

import copy

import pytest
import torch
from torch.nn import functional as F

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.storage import load_model_storage
from reference_impls.core.vision_transformer import LabelledImages, VisionConfig, VisionTransformer
from reference_impls.quantization.ptq4vit import (
    LEAST_GELU,
    Product,
    Rounding,
    insert_products,
    ptq4vit,
    twin_gelu,
    twin_softmax,
    uniform,
)
from tests.reference_impls.drawn import seeded

SMALL = VisionConfig(image_size=4, patch_size=2, width=12, depth=1, heads=2, mlp_width=20, classes=4)
FAST = {"images": 6, "candidates": 8, "rounds": 1}


def model():
    torch.manual_seed(0)
    made = VisionTransformer(SMALL).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=seeded(parameter.numel())))
    return made


def data(count=12):
    images = torch.randn(count, 1, 4, 4, generator=seeded(1))
    return LabelledImages(images, torch.zeros(count, dtype=torch.long))


def test_products_without_rounding_are_the_model():
    plain, ours = model(), model()
    products = insert_products(ours, 8, True)
    assert len(products) == 1 + SMALL.depth * (3 + 2 + 1 + 2) + 1
    torch.testing.assert_close(ours(data().images), plain(data().images), atol=1e-6, rtol=1e-5)


def test_eight_bits_are_close_and_fewer_are_further():
    plain, images = model(), data().images
    errors = [(ptq4vit(model(), bits=bits, calibration=data(), **FAST)(images) - plain(images)).norm()
              for bits in (8, 6, 4)]  # fmt: skip
    assert errors[0] < 0.05 * plain(images).norm()
    assert errors[0] < errors[1] / 2 < errors[2] / 4


def test_twin_of_gelu_with_equal_steps_is_the_uniform_quantizer():
    bits, codes = 5, 16
    X = F.gelu(3 * torch.randn(500, generator=seeded(0)))
    step = LEAST_GELU / codes
    torch.testing.assert_close(twin_gelu(X, step, bits), uniform(X, step, bits), atol=1e-6, rtol=0)


def test_twin_of_softmax_with_equal_steps_is_one_unsigned_range():
    bits, codes = 5, 16
    X = torch.rand(500, generator=seeded(0))
    torch.testing.assert_close(twin_softmax(X, 1 / codes, bits), (X * codes).round().clamp(0, codes - 1) / codes)


@pytest.mark.parametrize("bits", [4, 6])
def test_twin_ranges_hold_their_codes_and_errors(bits):
    codes = 2 ** (bits - 1)
    P = torch.rand(4000, generator=seeded(0)) ** 6
    split = 2.0**-4
    rounded = twin_softmax(P, split / codes, bits)
    low = P < split
    assert rounded[low].unique().numel() <= codes and rounded[~low].unique().numel() <= codes
    inside = low & (P < split * (1 - 1 / codes))
    assert (rounded - P)[inside].abs().max() <= split / codes / 2 + 1e-7
    assert (rounded - P)[~low & (P < 1 - 1 / codes)].abs().max() <= 0.5 / codes + 1e-7
    G = F.gelu(3 * torch.randn(4000, generator=seeded(1)))
    rounded = twin_gelu(G, 0.3, bits)
    assert (rounded - G)[G < 0].abs().max() <= LEAST_GELU / codes / 2 + 1e-6
    assert rounded[G < 0].unique().numel() <= codes + 1 and rounded[G >= 0].unique().numel() <= codes
    assert float(F.gelu(torch.linspace(-2, 0, 10001)).min()) == pytest.approx(-LEAST_GELU, abs=1e-6)


def test_twin_ranges_beat_one_range_on_the_values_that_they_are_made_for():
    P = (3 * torch.randn(64, 17, generator=seeded(0))).softmax(-1)
    grids = [2.0**-i / 8 for i in range(20)]
    twin = min(float((twin_softmax(P, step, 4) - P).square().sum()) for step in grids)
    one = min(float((uniform(P, step, 4) - P).square().sum()) for step in torch.linspace(0.01, 0.16, 60).tolist())
    assert twin < one / 1.5


def test_the_step_with_the_least_weighted_error_is_taken():
    """Here only the row with the largest input matters to the loss, so the metric takes a larger step than without."""
    A, W = torch.randn(9, 5, generator=seeded(0)), torch.nn.Parameter(torch.randn(3, 5, generator=seeded(1)))
    A[4] *= 3
    options = [Rounding(uniform, float(step), 3) for step in torch.linspace(0.1, 3, 30)]
    weights = torch.full((9, 3), 0.01)
    weights[4] = torch.tensor([5.0, 1.0, -2.0])
    A.requires_grad_(True)
    chosen = {}
    for metric in ("hessian", "mse"):
        product = Product(F.linear, (lambda X, n: options, lambda X, n: [Rounding()]), W)
        (product(A) * weights).sum().backward()
        with torch.no_grad():
            product.search(metric, 30, 2)
            scale = weights if metric == "hessian" else 1.0
            errors = [(scale * (F.linear(o(A), W) - F.linear(A, W))).square().sum() for o in options]
        chosen[metric] = product.roundings[0].step
        assert product.roundings[0] is options[int(torch.stack(errors).argmin())]
        assert torch.equal(product(A), F.linear(product.roundings[0](A), W))
    assert chosen["hessian"] > chosen["mse"]


def test_operands_take_turns():
    """With a second round the first operand's step answers to the second one's."""
    A, W = torch.randn(9, 5, generator=seeded(0)), torch.nn.Parameter(torch.randn(3, 5, generator=seeded(1)))
    options = [Rounding(uniform, float(step), 3) for step in torch.linspace(0.05, 1.0, 40)]
    errors = []
    for rounds in (1, 2, 3):
        product = Product(F.linear, (lambda X, n: options, lambda X, n: options), W)
        product(A.clone().requires_grad_(True)).sum().backward()
        with torch.no_grad():
            product.search("mse", 40, rounds)
            errors.append(float((product(A) - F.linear(A, W)).square().sum()))
    assert errors[0] >= errors[1] >= errors[2] and errors[2] < errors[0]


def test_needs_no_labels_and_the_first_images_alone():
    one, two, three = (copy.deepcopy(data()) for _ in range(3))
    two = LabelledImages(two.images, two.labels + 1)
    three = LabelledImages(torch.cat([three.images[:6], 9 * three.images[6:]]), three.labels)
    outputs = [ptq4vit(model(), bits=4, calibration=given, **FAST)(data().images) for given in (one, two, three)]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


def test_storage_holds_the_weights_that_run(tmp_path):
    plain, ours = model(), ptq4vit(model(), bits=4, calibration=data(), **FAST)
    weights = {name: m for name, m in ours.named_modules() if isinstance(m, Product) and m.weight is not None}
    assert ours.storage.linears.keys() == weights.keys() and len(weights) == 1 + 6 + 1
    for name, product in weights.items():
        stored = ours.storage.linears[name].dense()
        torch.testing.assert_close(stored, product.roundings[1](product.weight.detach()).flatten(1), atol=1e-6, rtol=0)
    numbers = sum(p.numel() for p in plain.parameters())
    matrices = sum(m.weight.numel() for m in weights.values())
    rows = sum(m.weight.shape[0] for m in weights.values())
    assert ours.storage.nbytes() == matrices / 2 + 2 * rows + 2 * (numbers - matrices)
    ours.storage.save(tmp_path)
    assert load_model_storage(tmp_path).nbytes() == ours.storage.nbytes()


def test_contract_and_refusals():
    assert (contract_of(ptq4vit).kind, contract_of(ptq4vit).target) == ("inference", "vision")
    assert list(options_of(ptq4vit)) == ["bits", "twin", "metric", "images", "candidates", "rounds"]
    for options, message in (({"bits": 2}, "bits is 2"), ({"bits": 9}, "bits is 9"), ({"metric": "l1"}, "'l1'"),
                             ({"images": 0}, "rounds are 0"), ({"rounds": 0}, "at least")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            ptq4vit(model(), calibration=data(), **(FAST | options))
