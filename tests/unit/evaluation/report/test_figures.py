"""SVG in the page: themed colours, nothing of matplotlib's own around it."""

import re

from zsad.evaluation.report.figures import INK, colour, dash, drawing


def test_it_follows_the_theme_and_brings_no_baggage() -> None:
    with drawing("a chart <of> things", 2, 1) as chart:
        chart.axes.plot([0, 1], [0, 1], color=colour(3))
        chart.axes.text(0, 0, "<b>", color=INK)
    svg = str(chart.svg)
    assert "var(--s3)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#000[01]|<style|<metadata|xmlns|DOCTYPE|font:", svg)
    assert 'aria-label="a chart &lt;of&gt; things"' in svg
    assert "&lt;b&gt;" in svg


def test_learners_beyond_the_colours_are_dashed() -> None:
    assert colour(12) == colour(2)
    assert dash(12) != dash(2)
