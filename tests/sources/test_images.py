from __future__ import annotations

import io
import shutil

import numpy as np
import pytest

from hannah_hw.errors import DataError
from hannah_hw.scoring import load_data
from tests.sources.made import write_images

image = pytest.importorskip("PIL.Image")


def raw(data):
    """The pixels of all parts as they were before normalisation, sorted by their first ones."""
    both = np.concatenate([data.x_train, data.x_val, data.x_test])
    shape = (1, -1, 1, 1)
    return np.rint((both * np.reshape(data.std, shape) + np.reshape(data.mean, shape)) * 255)


def test_a_folder_by_class_is_read_as_it_is(tmp_path):
    made = write_images(tmp_path / "photos", {"cat": 20, "dog": 12})
    data = load_data(tmp_path / "photos")
    assert data.class_names == ("cat", "dog")
    assert data.input_shape == (1, 12, 10)
    assert data.counts() == {"train": [14, 8], "validation": [3, 2], "test": [3, 2]}
    theirs = np.concatenate([made["cat"], made["dog"]])
    ours = raw(data)[:, 0]
    assert sorted(map(bytes, ours.astype(np.uint8))) == sorted(map(bytes, theirs))
    assert data.reading["size"] == "12 x 10 pixels, as the files have it"


def test_parts_that_the_folder_has_are_kept(tmp_path):
    for seed, (part, count) in enumerate({"train": 9, "Validation": 4, "test": 5}.items()):
        write_images(tmp_path / "set" / part, {"a": count, "b": count}, seed=seed)
    (tmp_path / "set" / "_drafts").mkdir()
    (tmp_path / "set" / "train" / "a" / "notes.txt").write_text("mine")
    data = load_data(tmp_path / "set")
    assert data.counts() == {"train": [9, 9], "validation": [4, 4], "test": [5, 5]}
    assert data.reading["ignored_files"] == 1


def test_colour_and_sizes(tmp_path):
    write_images(tmp_path / "s", {"a": 8, "b": 8}, size=(300, 200))
    red = np.zeros((60, 120, 3), np.uint8)
    red[:, 40:80, 0] = 200
    image.fromarray(red).save(tmp_path / "s" / "a" / "red.png")
    image.fromarray(np.full((90, 60, 3), (10, 20, 150), np.uint8)).save(tmp_path / "s" / "b" / "blue.JPEG")
    data = load_data({"path": str(tmp_path / "s"), "kind": "images", "size": [30, 20]})
    assert data.input_shape == (3, 30, 20)
    assert (
        "resized with a bilinear filter (crop) from 3 sizes, most often 300 x 200 (16 files)"
        in data.reading["size"]
    )
    assert any(abs(p.mean((1, 2)) - (10, 20, 150)).max() < 4 for p in raw(data))
    # The middle third of the wide image is red; a crop to 2:3 keeps it alone.
    assert any(pixels[0].min() > 170 and pixels[1:].max() < 20 for pixels in raw(data))
    stretched = load_data({"path": str(tmp_path / "s"), "kind": "images", "size": [30, 20], "fit": "stretch"})
    assert any(abs(pixels[0].mean() - 200 / 3) < 8 and pixels[1:].max() < 40 for pixels in raw(stretched))
    grey = load_data({"path": str(tmp_path / "s"), "kind": "images", "colour": "grey"})
    assert grey.input_shape == (1, 64, 64)
    assert "choose another with 'size'" in grey.reading["size"]


def test_sixteen_bits_and_turned_photos(tmp_path):
    write_images(tmp_path / "s", {"a": 6, "b": 6}, size=(4, 6))
    deep = np.full((4, 6), 257 * 99, np.uint16)
    image.fromarray(deep).save(tmp_path / "s" / "b" / "deep.png")
    turned = image.fromarray(np.arange(24, dtype=np.uint8).reshape(6, 4))
    exif = image.Exif()
    exif[0x0112] = 6  # show it turned by 90 degrees to the right
    turned.save(tmp_path / "s" / "a" / "turned.png", exif=exif)
    pixels = raw(load_data({"path": str(tmp_path / "s"), "kind": "images", "size": [4, 6]}))[:, 0]
    assert any((p == 99).all() for p in pixels)
    expected = np.rot90(np.arange(24).reshape(6, 4), -1)
    assert any(np.array_equal(p, expected) for p in pixels)


def test_the_order_of_the_system_does_not_matter_and_changes_are_seen(tmp_path):
    write_images(tmp_path / "one", {"a": 9, "b": 9})
    made = write_images(tmp_path / "two", {"b": 0, "a": 0})
    assert sorted(made) == ["a", "b"]
    for file in sorted((tmp_path / "one").rglob("*.png"), reverse=True):
        (tmp_path / "two" / file.parent.name / file.name).write_bytes(file.read_bytes())
    one, two = load_data(tmp_path / "one"), load_data(tmp_path / "two")
    np.testing.assert_array_equal(one.x_train, two.x_train)
    assert one.sha256 == two.sha256
    assert load_data(tmp_path / "one") is one
    (tmp_path / "one" / "a" / "000.png").unlink()
    assert len(load_data(tmp_path / "one").y_train) + 1 == len(one.y_train)


def test_broken_files_are_named(tmp_path):
    write_images(tmp_path / "s", {"a": 6, "b": 6}, size=(40, 40))
    victim = tmp_path / "s" / "b" / "002.png"
    whole = victim.read_bytes()
    for content, said in (
        (b"no image", "no PNG or JPEG image"),
        (whole[: len(whole) // 2], "damaged"),
        (b"", "no PNG"),
    ):
        victim.write_bytes(content)
        with pytest.raises(DataError, match=rf"b/002\.png: .*{said}"):
            load_data(tmp_path / "s")


def test_damaged_tags_are_named_and_odd_ones_say_nothing(tmp_path, recwarn):
    write_images(tmp_path / "s", {"a": 6, "b": 6}, size=(4, 6))
    content = io.BytesIO()
    exif = image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a long description"
    image.new("L", (6, 4)).save(content, "JPEG", exif=exif)
    odd = content.getvalue()
    place = odd.index(b"\x01\x0e\x00\x02")
    # The description lies behind the end of the file.
    (tmp_path / "s" / "a" / "odd.jpg").write_bytes(odd[: place + 8] + b"\xff" * 4 + odd[place + 12 :])
    assert sum(map(sum, load_data(tmp_path / "s").counts().values())) == 13
    assert not [str(warning.message) for warning in recwarn]
    # A text as the tag of a number.
    (tmp_path / "s" / "a" / "odd.jpg").write_bytes(odd[:place] + b"\x01\x07" + odd[place + 2 :])
    with pytest.raises(DataError, match=r"a/odd\.jpg: the image is damaged"):
        load_data(tmp_path / "s")


def test_links_to_folders_are_not_followed(tmp_path):
    write_images(tmp_path / "s", {"a": 4, "b": 4})
    write_images(tmp_path / "elsewhere", {"c": 4})
    (tmp_path / "s" / "c").symlink_to(tmp_path / "elsewhere" / "c")
    (tmp_path / "s" / "b" / "deeper").symlink_to(tmp_path / "elsewhere")
    data = load_data(tmp_path / "s")
    assert data.class_names == ("a", "b")
    assert sum(map(sum, data.counts().values())) == 8
    shutil.rmtree(tmp_path / "s" / "b")
    with pytest.raises(DataError, match=r"1 folders hold files .* links to folders are not followed"):
        load_data(tmp_path / "s")


def test_folders_that_are_no_data_are_explained(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no such file"):
        load_data({"path": str(tmp_path / "none"), "kind": "images"})
    write_images(tmp_path / "one", {"a": 3})
    with pytest.raises(DataError, match=r"1 folders hold files with .*needed are at least two"):
        load_data(tmp_path / "one")
    write_images(tmp_path / "few", {"a": 9, "rare": 2})
    with pytest.raises(DataError, match="class rare has 2 samples"):
        load_data(tmp_path / "few")
    write_images(tmp_path / "odd" / "train", {"a": 4, "b": 4})
    write_images(tmp_path / "odd" / "test", {"a": 4, "c": 4})
    with pytest.raises(DataError, match="the class 'c' has no training files"):
        load_data(tmp_path / "odd")
    (tmp_path / "one" / "a" / "x.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"several kinds .*3 of images, 1 of audio"):
        load_data(tmp_path / "one")
    with pytest.raises(DataError, match=r"unknown field 'sise'.*did you mean 'size'"):
        load_data({"path": str(tmp_path / "few"), "kind": "images", "sise": [1, 1]})
    monkeypatch.setattr("hannah_hw.sources.images.MAX_PIXELS", 100)
    with pytest.raises(DataError, match="more than the limit of 100"):
        load_data(tmp_path / "few")
