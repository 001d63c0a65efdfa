"""Metrics against pysaliency, against numbers worked out by hand, and against what must hold for any map.

Tolerance against pysaliency, which computes in float64: 1e-6 of max(1, the result).
"""

from types import SimpleNamespace

import cv2
import jax
import numpy as np
import pysaliency
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pysaliency import metrics as referee

from vasal_jax import metrics

H, W, K = 24, 31, 9
YES = np.ones(K, bool)

cc, kl, nss, information_gain = map(jax.jit, (metrics.cc, metrics.kl, metrics.nss, metrics.information_gain))
sim = jax.jit(metrics.sim, static_argnames="min_max")
auc_judd = jax.jit(metrics.auc_judd, static_argnames="thresholds")
auc_borji = jax.jit(metrics.auc_borji, static_argnames="draws")
shuffled_auc, score = jax.jit(metrics.shuffled_auc), jax.jit(metrics.score)


def drawn(name: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.random((H, W))
    bump = np.exp(-((np.mgrid[:H, :W].T - rng.uniform(5, 20, 2)) ** 2).sum(-1).T / 20)
    hot = np.zeros((H, W))
    hot[rng.integers(H), rng.integers(W)] = 7
    maps = {
        "noise": noise,
        "bump": bump,
        "negative": noise - 0.7,
        "ties": np.floor(4 * noise),
        "mostly zero": np.where(noise < 0.9, 0, noise),
        "one pixel": hot,
        "tiny": 1e-30 * noise,
        "huge": 1e33 * noise,
        "offset": 1000 + noise,
        "border": np.pad(noise[1:-1, 1:-1], 1, constant_values=2),
        "constant": np.full((H, W), 0.3),
        "zero": np.zeros((H, W)),
    }
    return maps[name].astype(np.float32)


MAPS = ("noise", "bump", "negative", "ties", "mostly zero", "one pixel", "tiny", "huge", "offset", "border")
FLAT = ("constant", "zero")
POINTS = {
    "several": np.random.default_rng(3).integers(0, (W, H), (K, 2)),
    "one": np.array([[12, 9]]),
    "corners": np.array([[0, 0], [W - 1, 0], [0, H - 1], [W - 1, H - 1]]),
    "repeated": np.array([[5, 5], [5, 5], [5, 5], [6, 7], [20, 3]]),
}


def padded(points: np.ndarray, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """The points after some outside the map and before masked ones, neither of which may count."""
    outside = np.array([[-1, 4], [4, -1], [W, 2], [2, H], [10**6, 0]])
    points = np.concatenate([outside, points])
    mask = np.arange(count) < len(points)
    return np.concatenate([points, np.full((count - len(points), 2), 3)]), mask


@pytest.fixture
def judge(monkeypatch):
    """pysaliency's models of one frame: saliency map model, density model, stimuli, fixations."""
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # the name pysaliency knows; NumPy 2.4 dropped it

    class Map(pysaliency.SaliencyMapModel):
        def __init__(self, values):
            super().__init__(caching=False)
            self.values = np.asarray(values, float)

        def _saliency_map(self, stimulus):
            return self.values

    class Density(pysaliency.Model):
        def __init__(self, values):
            super().__init__(caching=False)
            with np.errstate(divide="ignore"):
                self.values = np.log(referee.convert_saliency_map_to_density(np.asarray(values, float)))

        def _log_density(self, stimulus):
            return self.values

    def fixations(points):
        return pysaliency.Fixations.create_without_history(*points.T, np.zeros(len(points), int))

    stimuli = pysaliency.Stimuli([np.zeros((H, W, 3), np.uint8)])
    return SimpleNamespace(map=Map, density=Density, fixations=fixations, stimuli=stimuli)


def agree(found, expected):
    assert found.dtype == np.float32
    assert np.isfinite(expected)
    assert abs(float(found) - expected) <= 1e-6 * max(1, abs(expected)), (float(found), expected)


@pytest.mark.parametrize("density", ["noise", "bump", "mostly zero", "one pixel", "tiny"])
@pytest.mark.parametrize("prediction", MAPS)
def test_map_metrics_equal_pysaliency(prediction, density):
    p, q = drawn(prediction, 1), drawn(density, 2)
    p64, q64 = p.astype(float), q.astype(float)
    agree(cc(p, q), referee.CC(p64, q64))
    agree(sim(p, q), referee.SIM(p64, q64))
    agree(kl(p, q), referee.MIT_KLDiv(p64, q64))


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("prediction", MAPS + FLAT)
def test_point_metrics_equal_pysaliency(judge, prediction, points):
    p, points = drawn(prediction, 1), POINTS[points]
    ours, theirs, model = padded(points), judge.fixations(points), judge.map(p)
    agree(nss(p, *ours), referee.NSS(p.astype(float), *points.T).mean())
    unfixated = {"nonfixations": "unfixated", "average": "image"}
    agree(auc_judd(p, *ours), model.AUC(judge.stimuli, theirs, **unfixated))
    # Its first threshold is the maximum + 1, which in a huge map is no higher; areas do not see the scale.
    scaled = judge.map(np.ldexp(p.astype(float), -np.frexp(np.abs(p).max())[1]))
    agree(auc_judd(p, *ours, "fixations"), scaled.AUC_Judd(judge.stimuli, theirs, jitter=False))
    others = np.random.default_rng(8).integers(0, (W, H), (40, 2))
    shuffled = model.AUC(judge.stimuli, theirs, nonfixations=judge.fixations(others), average="image")
    agree(shuffled_auc(p, *ours, *padded(others, 50)), shuffled)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("prediction", ["noise", "bump", "tiny", "huge", "offset", "border", "constant"])
def test_information_gain_equals_pysaliency(judge, prediction, points):
    """Where no density is near the MIT benchmark's eps, which pysaliency's information gain does not have."""
    p, baseline, points = drawn(prediction, 1) + drawn(prediction, 1).max() / 8, drawn("noise", 5) + 0.1, POINTS[points]
    found = information_gain(p, baseline, *padded(points))
    theirs = judge.stimuli, judge.fixations(points), judge.density(baseline)
    agree(found, judge.density(p).information_gain(*theirs))


def test_conventions_that_differ_from_pysaliency():
    constant, bump = drawn("constant"), drawn("bump")
    # A constant prediction scores 0 on both sides. Beside a constant density pysaliency divides by zero.
    assert cc(constant, bump) == referee.CC(constant, bump) == 0
    assert cc(bump, constant) == cc(constant, constant) == 0
    # A prediction that is 0 at a fixation costs -inf there, here no more than the eps allows: 52 bits below 1.
    points = np.array([[0, 0]]), np.ones(1, bool)
    agree(information_gain(drawn("one pixel"), constant, *points), np.log2(2.2204e-16) - np.log2(1 / (H * W)))
    # A density that is zero everywhere is no truth; pysaliency takes it for uniform.
    assert referee.SIM(constant.astype(float), np.zeros((H, W))) == pytest.approx(1)
    assert np.isnan(sim(constant, np.zeros((H, W))))


def at(*points):
    return np.array(points), np.ones(len(points), bool)


def test_by_hand():
    p, q = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 3], [2, 4]])
    assert cc(p, q) == pytest.approx(0.8)  # (2.25 - 0.25 - 0.25 + 2.25) / 5
    p, q = np.array([[2.0, 3], [4, 2]]), np.array([[0.0, 0], [1, 1]])
    assert sim(p, q) == pytest.approx(4 / 11 + 2 / 11)
    assert sim(p, q, min_max=True) == pytest.approx(0.5)  # 0 1 2 0 of 3, and 0 0 1 1 of 2
    assert kl(np.ones((2, 2)), q) == pytest.approx(np.log(2))
    assert kl(1 - q, q) == pytest.approx(np.log(0.5) - np.log(2.2204e-16))
    p = np.array([[0.0, 0], [0, 4]])  # mean 1, deviation sqrt(3)
    assert nss(p, *at((1, 1))) == pytest.approx(3**0.5)
    assert nss(p, *at((1, 1), (0, 0))) == pytest.approx(3**-0.5)
    p = np.array([[2.0, 1], [1, 0]])
    assert information_gain(p, np.ones((2, 2)), *at((0, 0), (1, 0))) == pytest.approx(0.5)  # 1 and 0 bits
    p = np.array([[1.0, 2, 3, 4]])
    assert auc_judd(p, *at((2, 0))) == pytest.approx(2 / 3)
    assert auc_judd(p, *at((3, 0), (1, 0))) == pytest.approx(3 / 4)
    assert auc_judd(p, *at((3, 0), (1, 0)), "fixations") == pytest.approx(3.5 / 4)  # 3 counts as 2
    assert shuffled_auc(p, *at((2, 0)), *at((0, 0), (2, 0), (3, 0))) == pytest.approx(1.5 / 3)
    with pytest.raises(ValueError, match="thresholds"):
        auc_judd(p, *at((2, 0)), "some")


def test_auc_borji_is_the_area_over_uniform_pixels():
    p = np.arange(100.0).reshape(10, 10)
    points = at((3, 9), (7, 4))  # 93 and 47 pixels below, one tied
    expected, draws = (93.5 + 47.5) / 200, 200_000
    found = auc_borji(p, *points, 1, draws=draws)
    assert found == pytest.approx(expected, abs=5 * 0.5 / draws**0.5)
    assert auc_borji(p, *points, 1, draws=50) != auc_borji(p, *points, 2, draws=50)


SCORES = {
    "CC": lambda p, q, points, others: cc(p, q),
    "SIM": lambda p, q, points, others: sim(p, q),
    "SIM-MIT": lambda p, q, points, others: sim(p, q, min_max=True),
    "KL": lambda p, q, points, others: kl(p, q),
    "NSS": lambda p, q, points, others: nss(p, *points),
    "AUC-J": lambda p, q, points, others: auc_judd(p, *points),
    "AUC-B": lambda p, q, points, others: auc_borji(p, *points, np.full(np.shape(p)[:-2], 5)),
    "sAUC": lambda p, q, points, others: shuffled_auc(p, *points, *others),
    "IG": lambda p, q, points, others: information_gain(p, np.ones((H, W)), *points),
}
AREAS = {name: SCORES[name] for name in ("AUC-J", "AUC-B", "sAUC")} | {
    "AUC-J at fixations": lambda p, q, points, others: auc_judd(p, *points, "fixations")
}


@jax.jit
def areas(*arguments):
    return {name: score(*arguments) for name, score in AREAS.items()}


moments = jax.jit(lambda p, q, points: (nss(p, *points), cc(p, q)))
grey = arrays.arrays(np.uint8, (H, W), elements=st.integers(0, 255), fill=st.integers(0, 255))
spots = st.lists(st.tuples(st.integers(0, W - 1), st.integers(0, H - 1)), min_size=K, max_size=K).map(np.array)


@settings(max_examples=50, deadline=None)
@given(grey, spots, st.integers(1, 15), st.integers(-(2**15), 2**15), st.integers(-60, 60))
def test_nss_and_cc_do_not_see_scale_and_offset(p, points, a, b, exponent):
    q = drawn("bump")
    affine = np.ldexp(a * p.astype(np.float32) + b, exponent)  # exact, so that the map is the same one
    before, after = (moments(x, q, (points, YES)) for x in (p.astype(np.float32), affine))
    np.testing.assert_allclose(before, after, rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(grey, spots, spots, st.integers(0, 2**32))
def test_areas_do_not_see_a_monotone_map(p, points, others, seed):
    bits = np.random.default_rng(seed).integers(0, 2**31 - 2**23, 300, np.uint32)  # any number, however small or large
    levels = np.r_[-np.inf, np.unique(np.r_[-bits[:128].view(np.float32), bits[128:].view(np.float32)])]
    both = (points, YES), (others, YES)
    before, after = (areas(x, p, *both) for x in (p.astype(np.float32), levels.astype(np.float32)[p]))
    assert before == after  # to the bit
    assert all(0 <= area <= 1 for area in after.values())
    inverted = areas(255 - p.astype(np.float32), p, *both)
    for name in SCORES.keys() & AREAS.keys():
        assert before[name] + inverted[name] == pytest.approx(1, abs=1e-6)


def test_perfect_and_inverted_maps():
    points = POINTS["several"]
    perfect = np.zeros((H, W), np.float32)
    perfect[points[:, 1], points[:, 0]] = 1
    others = np.argwhere(perfect.T == 0)[:50], np.ones(50, bool)
    for thresholds in ("all", "fixations"):
        assert auc_judd(perfect, points, YES, thresholds) == 1
    assert shuffled_auc(perfect, points, YES, *others) == 1
    assert auc_judd(-perfect, points, YES) == shuffled_auc(-perfect, points, YES, *others) == 0
    assert nss(perfect, points, YES) == pytest.approx((H * W / K - 1) ** 0.5)
    assert nss(-perfect, points, YES) == pytest.approx(-((H * W / K - 1) ** 0.5))
    for name in MAPS:
        q = drawn(name)
        assert cc(q, q) == pytest.approx(1, abs=2e-6)  # three float32 sums, each rounded
        assert cc(-q, q) == pytest.approx(-1, abs=2e-6)
        assert sim(q, q) == pytest.approx(1, abs=1e-6)
        assert kl(q, q) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_constant_predictions_score_chance(name):
    chance = {"CC": 0, "NSS": 0, "IG": 0, "AUC-J": 0.5, "AUC-B": 0.5, "sAUC": 0.5}
    q, points = drawn("bump"), (POINTS["several"], YES)
    found = {SCORES[name](np.full((H, W), value), q, points, points).item() for value in (0, -3, 1e-33, 1e33)}
    expected = chance.get(name, SCORES[name](np.ones((H, W)), q, points, points).item())
    assert sorted(found) == pytest.approx([expected] * len(found), abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_frames_without_truth_are_nan(name):
    p, zero, points, nobody = drawn("noise"), drawn("zero"), (POINTS["several"], YES), (POINTS["several"], ~YES)
    assert np.isnan(SCORES[name](p, zero, nobody, points))
    assert np.isfinite(SCORES[name](p, drawn("bump"), points, points))
    p[3, 4] = np.nan
    assert np.isnan(SCORES[name](p, drawn("bump"), points, points))


def test_areas_without_negatives_are_nan():
    points = POINTS["several"], YES
    assert np.isnan(shuffled_auc(drawn("noise"), *points, points[0], ~YES))
    assert np.isnan(auc_judd(np.ones((1, 1)), *at((0, 0))))


def test_areas_tell_subnormal_numbers_apart_and_take_infinity():
    p = np.array([[1e-45, 3e-45, -np.inf, np.inf]], np.float32)
    assert auc_judd(p, *at((1, 0))) == pytest.approx(2 / 3)
    assert auc_judd(p, *at((2, 0))) == 0
    assert auc_judd(p, *at((3, 0))) == 1


def test_batched_equals_one_by_one():
    rng = np.random.default_rng(4)
    names = [*MAPS, *FLAT]
    lead = (2, len(names) // 2)
    p = np.stack([drawn(name, 1) for name in names]).reshape(*lead, H, W)
    q = np.stack([drawn(name, 2) for name in names[::-1]]).reshape(*lead, H, W)
    points, others = (rng.integers(-1, (W + 1, H + 1), (*lead, size, 2)) for size in (K, 20))
    mask, others_mask = (rng.random(x.shape[:-1]) < 0.7 for x in (points, others))
    mask[0, 0] = False
    baseline, seeds = drawn("bump"), np.arange(len(names)).reshape(lead)
    together = score(p, q, points, mask, others, others_mask, baseline, seeds)
    for i in np.ndindex(lead):
        frame = (x[i] for x in (p, q, points, mask, others, others_mask))
        alone = score(*frame, baseline, seeds[i])
        assert together.keys() == alone.keys() == SCORES.keys()
        for name in alone:
            np.testing.assert_allclose(together[name][i], alone[name], rtol=1e-6, atol=1e-6, err_msg=f"{name} {i}")


@pytest.mark.parametrize("size", [(360, 640), (33, 32), (61, 47)])
def test_resized_equals_opencv_when_enlarging(size):
    p = np.random.default_rng(0).standard_normal((2, 32, 32)).astype(np.float32)
    found = metrics.resized(p, size)
    expected = [cv2.resize(x, size[::-1], interpolation=cv2.INTER_LINEAR) for x in p]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_resized_skips_no_pixel_when_shrinking():
    hot = np.eye(64, dtype=np.float32).reshape(64, 8, 8)
    weights = np.asarray(metrics.resized(hot, (3, 3))).sum((-2, -1))
    assert (weights > 0).all()
    assert metrics.resized(np.full((8, 8), 2.0), (3, 5)) == pytest.approx(2)


def test_negatives_are_drawn_without_replacement():
    pool = np.stack([np.arange(50), np.arange(50) + 100], -1)
    points, mask = metrics.choose_negatives(pool, 20, seed=1)
    assert points.dtype == np.int32
    assert mask.all()
    assert len(np.unique(points, axis=0)) == 20
    assert set(map(tuple, points)) <= set(map(tuple, pool))
    np.testing.assert_array_equal(points, metrics.choose_negatives(pool, 20, seed=1)[0])
    assert not np.array_equal(points, metrics.choose_negatives(pool, 20, seed=2)[0])
    points, mask = metrics.choose_negatives(pool[:3], 5, seed=1)
    assert mask.tolist() == [True] * 3 + [False] * 2
    assert sorted(map(tuple, points[mask])) == list(map(tuple, pool[:3]))
    assert not metrics.choose_negatives(np.zeros((0, 2), int), 5, seed=1)[1].any()


@pytest.mark.parametrize("name", SCORES)
def test_nan_in_one_map_survives_compilation_in_a_batch(name):
    points = np.tile(np.array([[[1, 1], [5, 2]]]), (12, 1, 1)), np.ones((12, 2), bool)
    p = np.random.default_rng(0).random((12, H, W), np.float32)
    p[3] = np.nan
    q = np.random.default_rng(1).random((12, H, W), np.float32)
    scores = np.asarray(jax.jit(SCORES[name])(p, q, points, points))
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3]
