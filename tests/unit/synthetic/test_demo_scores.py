"""The demo can tell a good prompt learner from a bad one: bounds on the committed results, means over the targets."""

import io

import pandas as pd
import pytest

from tests.conftest import shipped

LEARNED = ["anomalyclip", "cops", "faprompt", "bayes_pfl"]


@pytest.fixture(scope="module")
def means() -> pd.DataFrame:
    board = pd.read_csv(io.StringIO(shipped("metrics/leaderboard.csv")))
    return board[board["dataset"] != "demo_source"].groupby("learner").mean(numeric_only=True)


def test_hand_written_prompts_are_above_chance_and_leave_room(means: pd.DataFrame) -> None:
    assert 0.65 < means.loc["clip_zero", "image_auroc"] < 0.88
    assert means.loc["clip_zero", "pixel_auroc"] > 0.7


def test_every_learned_prompt_beats_the_hand_written_ones(means: pd.DataFrame) -> None:
    for metric in ("image_auroc", "pixel_auroc"):
        assert (means.loc[LEARNED, metric] > means.loc["clip_zero", metric]).all(), metric


def test_the_best_learned_prompts_are_far_above_and_not_perfect(means: pd.DataFrame) -> None:
    best = means.loc[LEARNED].max()
    assert means.loc["clip_zero", "image_auroc"] + 0.08 < best["image_auroc"] < 0.98
    assert best["pixel_auroc"] > 0.9
    assert best["pixel_aupro"] > 0.7
