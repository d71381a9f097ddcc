"""The table of docs/backbones.md: open_clip's architectures by what keeps learners from them. See `make docs`."""

from collections import defaultdict

import open_clip

from tests.helpers import ROOT
from zsad.clip.architectures import obstacles

PAGE = ROOT / "docs/backbones.md"
BEGIN, END = "<!-- backbones -->", "<!-- /backbones -->"
SHOWN = 3  # names in a row of those that cannot be read


def by_obstacles() -> dict[str, list[str]]:
    """Names by reason; "" for those that learners can read."""
    found = defaultdict(list)
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        found["; ".join(obstacles(config))].append(name)
    return found


def table() -> str:
    """Markdown: those that run first, then reasons by how many architectures they keep out."""
    groups = by_obstacles()
    lines = ["| architectures | learners |", "|---|---|", f"| {', '.join(groups.pop(''))} | all |"]
    for why, names in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"| {', '.join(names[:SHOWN])}{more} | none: {why} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
