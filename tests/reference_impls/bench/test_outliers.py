"""The outlier variant: another inside, the same outside."""

import pytest
import torch

from reference_impls.bench import models
from reference_impls.bench.measure import forward_of, language_metrics
from reference_impls.bench.outliers import CHANNELS, FACTOR, add_outliers
from reference_impls.bench.protocol import LANGUAGE, Text
from reference_impls.core.model_view import ModelView

from .conftest import tiny


def test_perplexity_of_s_is_unchanged_to_three_decimals():
    plain, outliers = models.load("s"), models.load("s-outliers")
    windows = Text(LANGUAGE, plain.encode, 256).test[::8]
    perplexity = [
        language_metrics(forward_of(m.model), windows, torch.device("cpu"), 2048, None)["perplexity"]
        for m in (plain, outliers)
    ]
    assert perplexity[0] == pytest.approx(perplexity[1], abs=5e-4)
    assert outliers.hash.startswith(plain.hash) and outliers.hash != plain.hash


def test_chosen_channels_stand_out_by_the_factor():
    model = tiny("llama").eval()
    ids = torch.arange(40)[None]
    inputs = {}

    def gather(key):
        view = ModelView(model)
        hook = view.blocks[0].linears["self_attn.q_proj"].module.register_forward_pre_hook(
            lambda _, arguments: inputs.__setitem__(key, arguments[0].detach().clone())
        )
        view.logits(ids)
        hook.remove()

    gather("before")
    add_outliers(model)
    gather("after")
    ratio = (inputs["after"].abs().amax((0, 1)) / inputs["before"].abs().amax((0, 1))).round()
    assert sorted(ratio.tolist()) == [1.0] * (32 - CHANNELS) + [float(FACTOR)] * CHANNELS


def test_more_channels_than_there_are_is_refused():
    with pytest.raises(ValueError, match="channels is 33; the model has 32"):
        add_outliers(tiny("llama"), channels=33)
