"""docs/images/report.png: the report's first screen. `make docs` writes it, where a Chromium is installed.

Wants the demo to have run.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from tests.helpers import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE = (1100, 1500)  # pixels
COLOURS = 48
OUT = ROOT / "docs/images/report.png"


def screenshot(browser: str, page: Path, out: Path, folder: Path) -> None:
    """The page's first screen, as PNG."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}"]
    size = f"--window-size={SIZE[0]},{SIZE[1]}"
    subprocess.run([browser, *options, size, f"--screenshot={out}", page.as_uri()], check=True, capture_output=True)


def main() -> None:
    """Write report and picture."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        print(f"{OUT.name} stays as it is: none of {', '.join(BROWSERS)} is installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "report.html", Path(folder) / "report.png"
        subprocess.run(["zsad", "report", "--out", str(page)], check=True, cwd=ROOT)
        screenshot(browser, page, shot, Path(folder))
        Image.open(shot).convert("RGB").quantize(COLOURS).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
