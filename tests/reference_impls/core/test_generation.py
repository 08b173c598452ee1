"""Sampling follows the model's distribution, a mixture's where there are two, and its generator alone."""

import pytest
import torch
from torch import nn

from reference_impls.core.generation import next_token, sample
from tests.reference_impls.drawn import seeded


class Table(nn.Module):
    """Looks one token back: logits (b, n, v) are rows of a table (v, v)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.table = 2 * torch.randn(5, 5, generator=torch.Generator().manual_seed(seed))

    def forward(self, ids):
        return self.table[ids]


@pytest.mark.parametrize("temperature, weight", [(1.0, 0.0), (0.5, 0.0), (1.0, 0.3)])
def test_frequencies_are_the_mixtures(temperature, weight):
    one, two = Table(1), Table(2)
    start = torch.full((20000, 1), 3)
    drawn = sample(one, start, 2, temperature=temperature, other=two, weight=weight, generator=seeded())
    assert drawn.shape == (20000, 3) and (drawn[:, 0] == 3).all()
    rows = [(model.table / temperature).softmax(-1) for model in (one, two)]
    mixed = (1 - weight) * rows[0] + weight * rows[1]
    for place, expected in ((1, mixed[3]), (2, mixed[3] @ mixed)):
        found = torch.bincount(drawn[:, place], minlength=5) / 20000
        assert (found - expected).abs().max() < 0.015


def test_same_generator_same_text_and_zero_temperature_is_the_likeliest(decoder, ids):
    one, same, other = (sample(decoder, ids[:, :4], 6, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    torch.manual_seed(1)
    assert torch.equal(one, sample(decoder, ids[:, :4], 6, generator=seeded(0)))
    greedy = sample(decoder, ids[:, :4], 3, temperature=0)
    for place in range(4, 7):
        assert torch.equal(greedy[:, place], next_token(decoder, greedy[:, :place]).argmax(-1))
    assert torch.equal(sample(decoder, ids, 0), ids)


def test_refusals(decoder, ids):
    for options, message in (({"temperature": -1}, "temperature is -1"), ({"weight": 0.5}, "without another model"),
                             ({"weight": 2.0, "other": decoder}, "weight is 2.0")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            sample(decoder, ids, 1, **options)
    with pytest.raises(ValueError, match="hold no token"):
        sample(decoder, ids[:, :0], 1)
