"""The nearest-patch memory."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import ImageFeatures
from zsad.common.errors import UserError
from zsad.learners.few_shot import Support
from zsad.learners.lookup import build_config
from zsad.learners.patch_memory import PatchMemory, rotated
from zsad.learners.shared.memory import coreset, distance, reweighted

NAMES = ["bottle"] * 6


@pytest.fixture(scope="module")
def adapted(clip, pictures):
    """adapted(indices of the support, **settings) → learner."""

    def make(indices, **settings):
        learner = PatchMemory(build_config("patch_memory", settings, "few_shot.x"), clip, shots=len(indices))
        encode = lambda images: clip.image.encode(images, learner.support_spec)  # noqa: E731
        assert list(learner.adapt(Support(pictures[indices], "bottle", "bottle", encode, 0))) == []
        return learner

    return make


@pytest.fixture(scope="module")
def scored(clip, pictures, adapted):
    """scored(indices of the support, **settings) → what it says of the first six pictures."""

    def make(indices, **settings):
        learner = adapted(indices, **settings)
        return learner.score(clip.image.encode(pictures[:6], learner.spec), NAMES)

    return make


def units(count, width=24, seed=0):
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("settings", [{}, {"layers": [2, 4]}, {"layers": [2, 4], "merge": "concat"}, {"rotations": 3}])
def test_a_remembered_picture_is_normal_everywhere(scored, settings):
    found = scored([2, 0, 11], **settings)
    assert found.map_logits[[0, 2]].sigmoid().max() < 1e-6
    assert found.score[[0, 2]].max() < 1e-6
    assert found.score[[1, 3, 4, 5]].min() > 0.01


def test_layers_have_memories_of_their_own_or_one_together(clip, pictures, adapted, scored):
    apart, alone = scored([7], layers=[1, 3]), [scored([7], layers=[layer]) for layer in (1, 3)]
    mean = torch.stack([one.map_logits.sigmoid() for one in alone]).mean(0)
    torch.testing.assert_close(apart.map_logits.sigmoid(), mean)
    together = adapted([7], layers=[1, 3], merge="concat")
    tokens = clip.image.encode(pictures[:6], together.spec)
    cosines = [F.normalize(tokens.layer(k), dim=-1) @ adapted([7], layers=[k]).memory[0].T for k in (1, 3)]
    expected = (1 - torch.stack(cosines).mean(0).amax(-1)) / 2  # both layers' nearest is the same patch
    found = together.score(tokens, NAMES).map_logits.sigmoid().flatten(1)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-6)


def test_image_scores(scored):
    largest, top = scored([8], image_score="largest"), scored([8], top=0.05)
    distances = largest.map_logits.sigmoid().flatten(1)
    torch.testing.assert_close(largest.score, distances.amax(1))
    count = -(-distances.shape[1] // 20)
    torch.testing.assert_close(top.score, distances.topk(count).values.mean(1))
    weighed = scored([8], image_score="reweighted", neighbours=3)
    euclidean = largest.score.sqrt()  # half the distance of unit vectors whose cosine distance is the square
    assert ((weighed.score > 0.5 * euclidean) & (weighed.score < euclidean)).all()


def test_a_neighbourhood_is_a_mean_without_what_lies_outside(clip, adapted):
    learner = adapted([0], neighbourhood=3)
    grid = clip.grid
    tokens = torch.randn(1, grid**2, clip.image.positional_embedding.shape[1])
    square = tokens.view(grid, grid, -1)
    corner, inner = square[:2, :2].mean((0, 1)), square[1:4, 2:5].mean((0, 1))
    (found,) = learner._patches(ImageFeatures({"tokens": tokens}))
    torch.testing.assert_close(found[0, 0], F.normalize(corner, dim=0))
    torch.testing.assert_close(found[0, 2 * grid + 3], F.normalize(inner, dim=0))


def test_the_coreset_covers_the_memory_and_starts_far_out():
    """Against the selection written out: every pair of distances, no blocks."""
    memory = units(60)
    pairs = (memory[:, None].double() - memory[None].double()).norm(dim=-1)
    wanted = [int(pairs.norm(dim=1).argmax())]
    while len(wanted) < 12:
        wanted.append(int(pairs[:, wanted].amin(1).argmax()))
    assert coreset(memory, 12).tolist() == wanted
    reach = [float(pairs[:, wanted[:count]].amin(1).max()) for count in (3, 6, 12)]
    assert all(a > b for a, b in itertools.pairwise(reach))


def test_a_coreset_is_kept_of_each_memory(adapted):
    whole, part = adapted([5, 9]).memory, adapted([5, 9], coreset=0.1).memory
    assert part.shape == (1, whole.shape[1] // 10, whole.shape[2])
    assert all((whole[0] == row).all(1).any() for row in part[0])


def test_the_weight_of_a_rare_normal_patch():
    """By hand, from cosines: the nearest vector at d, its b = 2 neighbours itself and one at d' of the patch."""
    memory, query = units(7, seed=1), units(1, seed=2)[0]
    to_all = (query[None].double() - memory.double()).norm(dim=-1)
    nearest = int(to_all.argmin())
    second = int((memory.double() - memory[nearest].double()).norm(dim=-1).argsort()[1])
    d, other = to_all[nearest], to_all[second]
    weight = 1 - d.exp() / (d.exp() + other.exp())
    torch.testing.assert_close(reweighted(query, memory, 2), weight * d / 2, rtol=1e-6, atol=1e-6)
    assert reweighted(query, memory, 50) > 0  # a memory smaller than b


def test_half_a_squared_distance_is_the_cosine_distance():
    query, memory = units(5, seed=3), units(9, seed=4)
    squared = ((query[:, None] - memory[None]) ** 2).sum(-1).amin(1)  # as AnomalyDINO searches
    torch.testing.assert_close(distance(query[None], memory)[0].float(), squared / 4)


def test_quarter_turns_are_exact_within_the_picture(pictures):
    small = pictures[:2]
    turned = rotated(small, 0.25)
    expected = torch.rot90(small, 1, (2, 3)).roll(1, dims=2)  # OpenCV turns about a corner of the middle pixel
    torch.testing.assert_close(turned[..., 1:, 1:], expected[..., 1:, 1:], rtol=0, atol=1e-4)
    assert rotated(small, 0) is small


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"neighbourhood": 2}, "odd"),
        ({"layers": [1, 2], "image_score": "reweighted"}, "merge: concat"),
        ({"coreset": 0.0}, "coreset"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, told):
    with pytest.raises(UserError, match=told):
        build_config("patch_memory", settings, "few_shot.x")


def test_a_block_that_the_tower_lacks_is_refused(adapted):
    with pytest.raises(UserError, match=r"layers \[1, 99\]: the image tower has blocks 1 to 4"):
        adapted([0], layers=[1, 99])
