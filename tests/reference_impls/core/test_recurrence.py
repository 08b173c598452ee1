"""The linear recurrence is the loop that defines it, in both forms, and so are its gradients."""

import pytest
import torch
from torch import Tensor

from reference_impls.core.recurrence import recurrence
from tests.reference_impls.drawn import draw


def loop(a: Tensor, u: Tensor, h: Tensor) -> Tensor:
    states = []
    for t in range(u.shape[1]):
        h = a[:, t] * h + u[:, t]
        states.append(h)
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("form", ["recurrent", "parallel"])
@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
def test_both_forms_and_their_gradients_are_those_of_the_loop(form, n):
    a, u, h = (x.requires_grad_() for x in (draw(0, 2, n, 3, 4), draw(1, 2, n, 3, 4), draw(2, 2, 3, 4)))
    states, expected = recurrence(a, u, h, form), loop(a, u, h)
    torch.testing.assert_close(states, expected, atol=1e-12, rtol=0)
    weight = draw(3, 2, n, 3, 4)
    ours = torch.autograd.grad((states * weight).sum(), (a, u, h))
    theirs = torch.autograd.grad((expected * weight).sum(), (a, u, h))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-11, rtol=0)


@pytest.mark.parametrize("form", ["recurrent", "parallel"])
def test_nothing_before_is_zero_and_pieces_can_be_joined(form):
    a, u = draw(0, 2, 9, 3), draw(1, 2, 9, 3)
    whole = recurrence(a, u, form=form)
    torch.testing.assert_close(whole, loop(a, u, torch.zeros(2, 3, dtype=torch.float64)), atol=1e-12, rtol=0)
    first = recurrence(a[:, :4], u[:, :4], form=form)
    second = recurrence(a[:, 4:], u[:, 4:], first[:, -1], form)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-12, rtol=0)
