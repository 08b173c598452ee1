"""Makes sure that a Chromium is there for the browser tests; says loudly when it cannot (they are then skipped)."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of an installed Chromium: $CHROMIUM, then the usual names, then Playwright's own."""
    if path := os.environ.get("CHROMIUM"):
        return path
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def install() -> None:
    """Try the distribution's package first (needs root or passwordless sudo), then Playwright's download."""
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    attempts = []
    if shutil.which("apt-get"):
        attempts.append([*root, "apt-get", "update", "--quiet"])
        attempts.append([*root, "apt-get", "install", "--yes", "--quiet", "chromium"])
    attempts.append([sys.executable, "-m", "playwright", "install", "chromium"])
    for command in attempts:
        try:
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as problem:
            print(f"{' '.join(command)}: {problem}", file=sys.stderr)
        if find():
            return


def main() -> None:
    if not find():
        print("No Chromium found; installing one for the browser tests ...", file=sys.stderr)
        install()
    if path := find():
        print(f"Browser tests use {path}")
    else:
        message = "NO CHROMIUM: every browser test will be SKIPPED. Install one, or set $CHROMIUM."
        print(f"\n*** {message} ***\n", file=sys.stderr)


if __name__ == "__main__":
    main()
