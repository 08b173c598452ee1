"""What each protocol and each model of the bench is called, and in a plain sentence what it can and cannot show."""

from __future__ import annotations

# By the protocol's name, in the order of the page.
PROTOCOLS = {
    "language": "A trained language model is compressed, or run in another way, and reads the same held-out text as "
    "before. This shows what a method costs in quality at a stored size; it says nothing about the speed of tuned "
    "kernels.",
    "language-large": "The same on fewer windows of text, for a model that is slower to run. "
    "Its numbers stand beside those of the small model and cannot be compared with them.",
    "compression-training": "A method that trains while it compresses gets 120 steps on text of the kinds that the "
    "model knows. This shows what a little training makes up for, not where the long training of the papers ends.",
    "compression-adaptation": "A trained model is compressed and fitted to Python code at once, within 120 steps. "
    "This shows both effects together; which of the two a number comes from it cannot show.",
    "adaptation": "A trained model is fitted to Python code, a kind of text new to it, within 120 steps. "
    "This shows how far few trained weights reach in so short a time, not where long training would end.",
    "distillation": "Small students learn from the same teacher for 300 steps. "
    "This shows who learns faster at the start; differences after long training, or at scale, it cannot show.",
    "small-training": "Small models of different design are trained from the start, alike, for 300 steps. "
    "This shows that a design learns and what it costs in weights; how designs compare at scale it cannot show.",
    "rationales": "A small model learns to calculate from few examples, with and without an explanation of each. "
    "This shows whether explanations help; here a rule writes them and is never wrong, as no language model is.",
    "decoding": "Text is continued with fewer calls of the large model, which is to leave the distribution of the text "
    "as it is. This shows the calls that are saved; the time it cannot show, since both models are tiny.",
    "digits": "A small vision Transformer reads handwritten digits of 17 tokens. "
    "This shows how accuracy falls as tokens or bits go; for gains in time the images are too small.",
}  # fmt: skip

# By the model's name as the protocol holds it.
MODELS = {
    "s": "S is the bundled model of under a million weights: it shows which method does better at 2 to 3 bits or with "
    "60 to 70 % of the weights removed, and has no activation outliers, so that nothing can be learnt about those.",
    "s-outliers": "S rewritten without changing what it computes, so that a few channels are large: it shows that a "
    "method copes with outliers; methods that smooth them win here by construction, since they undo the rewrite.",
    "smollm2": "SmolLM2-135M has outliers of its own and is a model that people use; its weights had been rounded to 4 "
    "bits in groups of 32 before we got them, so rounding to that very grid costs nothing and is not shown.",
}  # fmt: skip

# What a heading calls them.
TITLES = {
    "language": "Language modelling", "language-large": "Language modelling, short,",
    "compression-training": "Compressed while training", "compression-adaptation": "Compressed and adapted at once",
    "adaptation": "Adaptation to code", "distillation": "Distillation", "small-training": "Small models from the start",
    "rationales": "Learning from rationales", "decoding": "Decoding", "digits": "Images of digits",
}  # fmt: skip
NAMES = {"s": "S", "s-outliers": "S with outliers", "smollm2": "SmolLM2-135M"}

# Runs that entries are compared with and that are no entries themselves.
BASELINES = {"full-fine-tuning": "Full fine-tuning"}

# What a run without any method is, where it is not the uncompressed model.
DENSE = {"rationales": "untrained student"}

# Protocols in which what the model is like decides what can be seen.
COMPRESSING = ("language", "language-large", "compression-training", "compression-adaptation")


def protocol(name: str) -> str:
    """The sentence on a protocol; empty for one that is not known here."""
    return PROTOCOLS.get(name, "")


def model(name: str, of_protocol: str) -> str:
    """The sentence on a model where the protocol compresses it; empty for a model that is not known here."""
    return MODELS.get(name, "") if of_protocol in COMPRESSING else ""


def dense(name: str) -> str:
    """What the run without a method is called in this protocol."""
    return DENSE.get(name, "uncompressed")


def title(name: str, version: int, model_name: str) -> str:
    """Language modelling on S; later versions say so. A model that the protocol trains itself is not named."""
    words = TITLES.get(name) or name.replace("-", " ").capitalize()
    later = f" (version {version})" if version > 1 else ""
    return words + later + (f" on {NAMES[model_name]}" if model_name in NAMES else "")


def place(name: str, model_name: str) -> tuple[int, int, str, str]:
    """Where a protocol on a model stands on the page; what is not known here comes last, by name."""
    names, models = list(PROTOCOLS), list(MODELS)
    return (
        names.index(name) if name in PROTOCOLS else len(names),
        models.index(model_name) if model_name in MODELS else len(models), name, model_name,
    )  # fmt: skip
