"""The protocols: what is drawn, and what stays the same."""

from dataclasses import replace

import pytest
import torch

from reference_impls.bench.protocol import LANGUAGE, PROTOCOLS, Text


def letters(text: str) -> torch.Tensor:
    return torch.tensor(list(text[:3000].encode()), dtype=torch.int64)


def test_labels_are_unique():
    labels = [protocol.label for protocol in PROTOCOLS]
    assert len(set(labels)) == len(labels) and "language-v1" in labels


def test_test_windows_are_as_many_as_asked_and_do_not_overlap():
    protocol = replace(LANGUAGE, test_windows=7)
    text = Text(protocol, lambda t: torch.arange(1000), 100)
    assert text.test.shape == (7 * len(protocol.domains), 100)
    starts = text.test[:7, 0]
    assert (starts.diff() >= 100).all() and text.test[6, -1] == 999


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="a window needs 4000"):
        Text(LANGUAGE, letters, 4000)


def test_the_hash_is_that_of_the_texts():
    one, two = (Text(replace(LANGUAGE, domains=d), letters, 16).hash for d in (("austen",), ("bible",)))
    again = Text(replace(LANGUAGE, domains=("austen",)), letters, 32).hash
    assert one == again != two


def test_drawn_windows_depend_on_the_seed_only_and_are_shared_out_over_domains():
    protocol = replace(LANGUAGE, domains=("austen", "bible", "wordnet"))
    text = Text(protocol, letters, 20)
    text.calibration = [torch.arange(start, start + 500) for start in (0, 1000, 2000)]
    drawn = text.draw(8, seed=1)
    assert drawn.shape == (8, 20)
    assert torch.equal(drawn, text.draw(8, seed=1))
    assert not torch.equal(drawn, text.draw(8, seed=2))
    assert (drawn[:, 0] // 1000).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert (drawn.diff(dim=1) == 1).all()
