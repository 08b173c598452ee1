"""Contracts: the decorators leave the function alone, and options are read from the signature."""

from typing import Literal

import pytest

from reference_impls.core.contracts import (
    Contract,
    Option,
    contract_of,
    inference,
    layer,
    model,
    options_of,
    run_options,
)
from reference_impls.quantization.gptq import gptq


def test_decorators_mark_and_do_not_wrap():
    def plain(weight, inputs):
        return weight

    assert layer(plain) is plain
    assert contract_of(plain) == Contract("layer", statistics="full")
    assert contract_of(layer(statistics="none")(plain)).statistics == "none"
    assert contract_of(model(alone={"weight_bits": 8})(plain)).alone == {"weight_bits": 8}
    assert contract_of(inference(target="vision")(plain)).target == "vision"


def test_function_without_contract_is_refused():
    with pytest.raises(TypeError, match="has no contract"):
        contract_of(len)
    with pytest.raises(ValueError, match="allowed are none, diagonal, full"):
        layer(statistics="some")


def test_options_are_the_keyword_only_parameters_without_the_reserved():
    def method(weight, inputs, *, bits: int = 4, kind: Literal["a", "b"] | None = None, rank: int, keep=None,
               generator=None):  # fmt: skip
        return weight

    options = options_of(method)
    assert list(options) == ["bits", "kind", "rank"]
    assert options["bits"] == Option("bits", int, 4, None) and not options["bits"].required
    assert options["kind"].choices == ("a", "b")
    assert options["rank"].required
    assert options_of(gptq)["damping"].default == 0.01


def test_a_run_takes_the_options_of_the_driver_too():
    added = {"activation_bits", "activation_granularity", "sequential"}
    assert set(run_options(gptq)) == set(options_of(gptq)) | added
    assert run_options(gptq)["sequential"].choices == ("block", "group")

    @model
    def rewrite(view, calibration, *, alpha: float = 0.5):
        return None

    assert list(run_options(rewrite)) == ["alpha"]

    @layer
    def doubled(weight, inputs, *, sequential: str = "row"):
        return weight

    with pytest.raises(TypeError, match="options that belong to its driver"):
        run_options(doubled)


def test_option_without_type_is_refused():
    def method(weight, *, bits=4):
        return weight

    with pytest.raises(TypeError, match="option bits of .* has no type"):
        options_of(method)
