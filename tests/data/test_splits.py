"""Splits: every video in exactly one, by rule or by list."""

import re
from types import SimpleNamespace

import pytest

from data.splits import DEFAULT, parse_splits, read_list
from vasal_jax.errors import InputError


def records(*ids):
    return [SimpleNamespace(id=str(video)) for video in ids]


def test_default_rule_divides_all_ids():
    splits = parse_splits()
    videos = records(*range(1, 344))
    chosen = {name: [int(r.id) for r in splits.select(videos, name)] for name in ("training", "validation", "test")}
    assert chosen["test"] == list(range(281, 344))
    assert chosen["validation"] == list(range(220, 281))
    assert chosen["training"] == list(range(1, 220))
    assert splits.name == DEFAULT
    assert splits.description == "test=281-343; validation=220-280; training=all others"


def test_numbers_ranges_and_padding():
    splits = parse_splits("test=3,7-8,011")
    assert {video for video in map(str, range(20)) if splits.split_of(video) == "test"} == {"3", "7", "8", "11"}
    assert splits.split_of("007") == "test"
    assert splits.split_of("DIEM_video") == "training"


def test_list_files(tmp_path):
    (tmp_path / "my test.txt").write_text("077\n\n 5\r\n")
    (tmp_path / "train.txt").write_text("clip one 120 25\nclip_two 80 29.97\n1 \n")
    splits = parse_splits(f"test='{tmp_path}/my test.txt' training={tmp_path}/train.txt validation=9")
    found = {video: splits.split_of(video) for video in ("77", "05", "clip one", "clip_two", "001", "9", "100")}
    assert found == {
        "77": "test", "05": "test", "clip one": "training", "clip_two": "training", "001": "training",
        "9": "validation", "100": "unused",
    }  # fmt: skip
    assert "test=my test.txt (2 videos, sha256 " in splits.description
    assert str(tmp_path) not in splits.description
    assert "all others" not in splits.description


def test_description_tells_lists_of_one_name_apart(tmp_path):
    descriptions = set()
    for content in ("1\n2\n", "2\n1\n", "1\n3\n"):
        (tmp_path / "test.txt").write_text(content)
        descriptions.add(parse_splits(f"test={tmp_path}/test.txt").description)
    assert len(descriptions) == 2  # order does not matter, content does


def test_no_video_in_two_splits(tmp_path):
    with pytest.raises(InputError, match=r"found 3 in test and validation \(280, 281, 282\)"):
        parse_splits("test=280-300 validation=200-282")
    (tmp_path / "list.txt").write_text("0300\n")
    with pytest.raises(InputError, match=r"found 1 in test and training \(300\)"):
        parse_splits(f"test=300 training={tmp_path}/list.txt")


@pytest.mark.parametrize(
    "text",
    ["test", "test=", "tests=1", "test=1 test=2", "test=5-3", "test=1,,2", "test=-3", "test=1-2-3", "test=1-99999999",
     "test=0-2000000", "test='1", "test=no_such_file.txt"],
)  # fmt: skip
def test_bad_rules(text):
    with pytest.raises(InputError) as caught:
        parse_splits(text)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value) or "quotation" in str(caught.value)


def test_empty_splits_and_unknown_names():
    splits = parse_splits()
    with pytest.raises(InputError, match="no usable video is in it"):
        splits.select(records(1, 2), "test")
    with pytest.raises(InputError, match="found 'train'"):
        splits.select(records(1, 2), "train")


@pytest.mark.parametrize(
    ("content", "match"), [(b"", "found none"), (b"1\n01\n", "'01' twice"), (b"\xff\xfe1", "not text")]
)
def test_bad_lists(tmp_path, content, match):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=rf"list\.txt: .*{match}"):
        read_list(tmp_path / "list.txt")


def listed(tmp_path, text: str):
    (tmp_path / "list.txt").write_text(text)
    return read_list(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("clip", ("clip", None, None)),
        ("077", ("077", None, None)),
        ("clip 312", ("clip", 312, None)),
        ("clip\t312  29.97", ("clip", 312, 29.97)),
        ("clip 312.0 25", ("clip", 312, 25.0)),
        ("clip,312,25", ("clip", 312, 25.0)),
        ("clip , 312", ("clip", 312, None)),
        ("77 312 25", ("77", 312, 25.0)),
        ("a  b 312 25", ("a  b", 312, 25.0)),
        ("a b", ("a b", None, None)),
        ("clip#2", ("clip#2", None, None)),
        ("clip 312 25  # the long one", ("clip", 312, 25.0)),
        ("BBC_wildlife_serpent_1280x704 312 25.", ("BBC_wildlife_serpent_1280x704", 312, 25.0)),
    ],
)
def test_lines_of_a_list(tmp_path, line, expected):
    assert listed(tmp_path, f"# fold 1\n\n{line}\n") == [expected]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("clip 312.5 25", "'312.5' frames"),
        ("clip 0 25", "'0' frames"),
        ("clip -3", "'-3' frames"),
        ("clip 312 0", "'0' frames a second"),
        ("clip 312 1e9", "'1e9' frames a second"),
        ("clip 1e400", "'1e400' in 'clip 1e400'"),
        ("clip 312 25 7", "'clip 312 25 7'"),
        ("clip,312,25,7", "'clip,312,25,7'"),
        ("video,frames,fps", "'frames' in 'video,frames,fps'"),
        ("clip,,25", "'' in 'clip,,25'"),
        (",312", "',312'"),
        ("281,282,283", "'281,282,283', which may be several videos"),
    ],
)
def test_lines_that_are_none_are_named(tmp_path, line, found):
    with pytest.raises(InputError, match=rf"list\.txt: line 2: expected <video>, .* found {re.escape(found)}"):
        listed(tmp_path, f"first 10 25\n{line}\nlast\n")


def test_a_video_that_is_listed_twice_is_named_with_its_line(tmp_path):
    with pytest.raises(InputError, match=r"list\.txt: line 3: expected each video once, found '077' twice"):
        listed(tmp_path, "77\n\n077 312\n")
