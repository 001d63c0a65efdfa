"""Which part of the videos a process takes: disjoint, complete, and as the scheduler says."""

import pytest

from vasal_jax.commands.shards import Shard
from vasal_jax.errors import InputError

SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_MAX": "9",
    "SLURM_ARRAY_TASK_STEP": "2",
    "SLURM_ARRAY_TASK_COUNT": "4",
}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
def test_shards_are_disjoint_complete_and_of_like_size(count):
    videos = [f"{number}.mp4" for number in range(11)]
    parts = [Shard(number, count).of(videos) for number in range(1, count + 1)]
    assert sorted(video for part in parts for video in part) == sorted(videos)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("3/16", {}, (3, 16)),
        ("3/16", SLURM, (3, 16)),
        ("auto", SLURM, (3, 4)),
        ("auto/4", SLURM, (3, 4)),
        ("auto/16", {"JOB_COMPLETION_INDEX": "0"}, (1, 16)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "1", "AWS_BATCH_JOB_ARRAY_SIZE": "2"}, (2, 2)),
        ("auto", {"CLOUD_RUN_TASK_INDEX": "4", "CLOUD_RUN_TASK_COUNT": "9"}, (5, 9)),
    ],
)
def test_what_is_said_and_what_a_scheduler_says(text, environment, expected):
    assert Shard.parse(text, environment) == Shard(*expected)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("3", {}, "expected one such as 3/16"),
        ("3/x", {}, "expected one such as 3/16"),
        ("0/16", {}, "expected 1 to N"),
        ("17/16", {}, "expected 1 to N"),
        ("1/0", {}, "expected 1 to N"),
        ("auto", {}, "found no array of tasks"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "say it, as in --shard auto/16"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "4"}, "expected 1 to N"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "first"}, "expected a number in JOB_COMPLETION_INDEX"),
        ("auto/5", SLURM, "has 4 tasks"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_COUNT": "3"}, "have gaps"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_ID": "4"}, "have gaps"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_STEP": "0"}, "expected a number in SLURM_ARRAY_TASK_STEP"),
    ],
)
def test_mistakes(text, environment, message):
    with pytest.raises(InputError, match=message):
        Shard.parse(text, environment)
