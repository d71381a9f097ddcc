"""docs/images/report.png: three views of the report. `make docs` writes it, where a Chromium is installed.

Wants the demo to have run.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from tests.helpers import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1100  # pixels
ONLY = "header, section:not(#{0}), #{0} > :not(#{0}-2, #{0}-2 ~ *) {{ display: none }}"  # from its second dataset on
VIEWS = (("", 560), (ONLY.format("charts"), 600), (ONLY.format("pictures"), 470))  # styles, pixels that are shown
GAP, COLOURS = 10, 96
OUT = ROOT / "docs/images/report.png"


def view(browser: str, page: Path, style: str, height: int) -> Image.Image:
    """What a window shows of the page with some more style."""
    styled, shot = page.with_name("styled.html"), page.with_name("shot.png")
    styled.write_text(page.read_text().replace("</style>", f"{style}</style>", 1))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={page.parent}"]
    options += [f"--window-size={WIDTH},{height}", f"--screenshot={shot}"]
    subprocess.run([browser, *options, styled.as_uri()], check=True, capture_output=True)
    return Image.open(shot).convert("RGB")


def write(page: Path, browser: str) -> None:
    """The views below each other."""
    shots = [view(browser, page, *one) for one in VIEWS]
    sheet = Image.new("RGB", (WIDTH, sum(shot.height + GAP for shot in shots) - GAP), "#8a929b")
    top = 0
    for shot in shots:
        sheet.paste(shot, (0, top))
        top += shot.height + GAP
    sheet.quantize(COLOURS).save(OUT, optimize=True)


def main() -> None:
    """Write report and picture."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        print(f"{OUT.name} stays as it is: none of {', '.join(BROWSERS)} is installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        subprocess.run(["zsad", "report", "--out", str(page)], check=True, cwd=ROOT)
        write(page, browser)


if __name__ == "__main__":
    main()
