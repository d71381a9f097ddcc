"""Pictures of MLflow's pages for docs/registry.md: starts `mlflow ui` in this repository and looks at it.

Wants the demo to have run, and what is no package of ours: `pip install playwright`, and Chromium on the path.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.helpers import ROOT
from zsad.tracking.connection import open_store
from zsad.tracking.views import address, view_of

OUT = ROOT / "docs/images"
SIZE = {"width": 1400, "height": 640}
PATIENCE = 120  # seconds until the server answers
DRAWN = 8_000  # ms until a page has drawn its charts
COLOURS = 128


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Address of a running `mlflow ui`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(["mlflow", "ui", "--port", str(port), "--workers", "1"], start_new_session=True)
    url, deadline = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=10).close()
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def look(url: str, pages: dict[str, str], out: Path) -> None:
    """Write a picture of each page (name → address after the server's own) to `out`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(url)
        page.get_by_role("button", name="Close").last.click()  # the assistant, which would cover a quarter
        for name, place in pages.items():
            page.goto(url + place)
            page.get_by_text(re.compile(r"^[1-9]\d*\s*matching runs")).wait_for(timeout=PATIENCE * 1000)
            page.wait_for_timeout(DRAWN)
            path = out / f"mlflow_{name}.png"
            page.screenshot(path=path)
            with Image.open(path) as picture:
                picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
        browser.close()


def main() -> None:
    """The leaderboard, and its charts."""
    with open_store() as store:
        pages = {
            "leaderboard": address(store.comparison, view_of("all")),
            "charts": address(store.comparison, view_of("all"), charts=True),
        }
    with served() as url:
        look(url, pages, OUT)


if __name__ == "__main__":
    main()
