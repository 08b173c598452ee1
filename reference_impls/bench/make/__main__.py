"""Command line that makes the bundled texts, tokenizer and models again from Debian packages and scikit-learn."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

STEPS = ("text", "tokenizer", "language", "digits")


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen steps in order; return 0, or 1 where a Debian package is missing."""
    parser = argparse.ArgumentParser(prog="python -m reference_impls.bench.make", description=__doc__)
    parser.add_argument("steps", nargs="+", choices=(*STEPS, "all"), help="what to make, in this order")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir()) / "compression-zoo-make",
        help="folder for unpacked packages and training logs (default: %(default)s)",
    )
    parser.add_argument("--download", action="store_true", help="fetch the Debian packages with apt-get download")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    wanted = STEPS if "all" in options.steps else [step for step in STEPS if step in options.steps]

    from reference_impls.bench.make.sources import MissingSource

    try:
        for step in wanted:
            if step == "text":
                from reference_impls.bench.make.text import make_text

                make_text(options.scratch, options.download)
            elif step == "tokenizer":
                from reference_impls.bench.make.tokenizer import make_tokenizer

                make_tokenizer(options.scratch, options.download)
            elif step == "language":
                from reference_impls.bench.make.language import make_language

                make_language(options.scratch, options.download)
            else:
                from reference_impls.bench.make.digits import make_digits

                make_digits()
    except MissingSource as error:
        print(f"cannot make {step}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
