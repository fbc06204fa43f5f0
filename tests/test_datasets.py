"""Data on disk: what is read, what is refused and with which words, and what is made."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from skdnn.datasets import load_catvnoncat, load_hdf5, make_photo_patches

PIXELS = np.random.RandomState(0).randint(256, size=(5, 4, 3, 2)).astype(np.uint8)
LABELS = np.array([0, 1, 1, 0, 1])
N_TRAIN, N_TEST, SIZE = 31, 20, 40


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["images"] = PIXELS
        file["labels"] = LABELS
        file["column"] = LABELS[:, np.newaxis]
        file["two_columns"] = np.stack([LABELS, LABELS], axis=1)
        file["fewer"] = LABELS[:3]
        file["single"] = PIXELS.astype(np.float32)
        file["double"] = PIXELS.astype(np.float64)
        file["half"] = PIXELS.astype(np.float16)
        file["line"] = np.arange(5.0)
        file["none_yet"] = np.empty((0, 2, 3))
        file["number"] = 7
        file["nothing"] = h5py.Empty("f8")
        file["complex"] = np.ones((5, 2), complex)
        file["bytes"] = np.array([b"no", b"yes", b"yes", b"no", b"yes"])
        file.create_dataset("text", data=["no", "yes", "ja", "né", ""], dtype=h5py.string_dtype())
        file["latin"] = np.array(["né".encode("latin-1")] * 5)
        file["inner/images"] = PIXELS[:, :2]
        file["structured"] = np.zeros(5, [("a", "f8")])
    return path


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches") / "new" / "folder"
    return make_photo_patches(folder, n_train=N_TRAIN, n_test=N_TEST, size=SIZE)


def contents(folder, part):
    with h5py.File(folder / f"{part}_catvnoncat.h5") as file:
        return {key: file[key][()] for key in file}


def coverage(origins, size):
    """Count, for each pixel of both photographs, the tiles that hold it."""
    counts = np.zeros((2, 427, 640), int)
    for image, row, column in origins:
        counts[image, row : row + size, column : column + size] += 1
    return counts


def photograph_at(origins, size):
    images = load_sample_images().images
    return np.stack([images[i][r : r + size, c : c + size] for i, r, c in origins])


def schema(path):
    with h5py.File(path) as file:
        return {
            key: (file[key].shape, file[key].dtype.kind, file[key].dtype.itemsize)
            for key in file
            if key != "list_classes" and not key.endswith("origin")
        }


# ---------------------------------------------------------------------- load_hdf5: what is read


def test_values_are_those_that_h5py_reads(path):
    X, y = load_hdf5(path, x="images", y="labels", flatten=False)
    np.testing.assert_array_equal(X, PIXELS, strict=True)
    np.testing.assert_array_equal(y, LABELS, strict=True)


def test_without_y_the_features_come_alone(path):
    np.testing.assert_array_equal(load_hdf5(path, x="line", flatten=False), np.arange(5.0))


def test_flatten_makes_a_row_of_each_sample_in_c_order(path):
    X = load_hdf5(path, x="images")
    np.testing.assert_array_equal(X, PIXELS.reshape(5, 24), strict=True)


def test_flatten_makes_a_column_of_one_number_a_sample(path):
    assert load_hdf5(path, x="line").shape == (5, 1)


def test_flatten_knows_the_features_of_no_samples(path):
    assert load_hdf5(path, x="none_yet").shape == (0, 6)


def test_scale_divides_exactly(path):
    X = load_hdf5(path, x="images", scale=255, flatten=False)
    np.testing.assert_array_equal(X, PIXELS / 255, strict=True)


@pytest.mark.parametrize(
    ("key", "dtype"),
    [("single", np.float32), ("double", np.float64), ("half", np.float64), ("images", np.float64)],
)
def test_scale_keeps_single_and_double_and_makes_the_rest_double(path, key, dtype):
    assert load_hdf5(path, x=key, scale=255).dtype == dtype


@pytest.mark.parametrize(
    ("key", "dtype"), [("single", np.float32), ("half", np.float16), ("images", np.uint8)]
)
def test_without_scale_the_dtype_is_kept(path, key, dtype):
    assert load_hdf5(path, x=key).dtype == dtype


def test_labels_in_one_column_become_a_vector(path):
    _, y = load_hdf5(path, x="images", y="column")
    np.testing.assert_array_equal(y, LABELS, strict=True)


def test_byte_strings_become_str(path):
    _, y = load_hdf5(path, x="images", y="bytes")
    np.testing.assert_array_equal(y, np.array(["no", "yes", "yes", "no", "yes"]), strict=True)


def test_text_of_any_length_becomes_str(path):
    _, y = load_hdf5(path, x="images", y="text")
    np.testing.assert_array_equal(y, np.array(["no", "yes", "ja", "né", ""]), strict=True)


def test_a_dataset_inside_a_group_has_a_key_with_a_slash(path):
    np.testing.assert_array_equal(load_hdf5(path, x="inner/images", flatten=False), PIXELS[:, :2])


def test_a_path_may_be_a_string(path):
    assert load_hdf5(str(path), x="images").shape == (5, 24)


# ---------------------------------------------------------------------- load_hdf5: what is refused


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5"):
        load_hdf5(tmp_path / "absent.h5", x="images")


def test_folder_instead_of_a_file_is_named(tmp_path):
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        load_hdf5(tmp_path, x="images")


@pytest.mark.parametrize("content", [b"", b"not at all HDF5"])
def test_file_of_another_format_is_named(tmp_path, content):
    (tmp_path / "other.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.txt .* is not an HDF5 file"):
        load_hdf5(tmp_path / "other.txt", x="images")


def test_file_cut_short_is_named(path):
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(OSError, match=r"data\.h5 is an HDF5 file that cannot be read"):
        load_hdf5(path, x="images")


@pytest.mark.parametrize("keys", [{"x": "pictures"}, {"x": "images", "y": "pictures"}])
def test_missing_key_names_the_keys_that_exist(path, keys):
    with pytest.raises(KeyError, match=r"data\.h5 .*'pictures'.*'images', 'inner/images', 'lab"):
        load_hdf5(path, **keys)


def test_message_about_a_missing_key_is_not_quoted(path):
    with pytest.raises(KeyError) as caught:
        load_hdf5(path, x="pictures")
    assert str(caught.value).startswith(f"{path} has no dataset x='pictures'; it has ['bytes'")


def test_key_of_a_group_is_refused(path):
    with pytest.raises(ValueError, match=r"data\.h5: x='inner' is a group.*'inner/images'"):
        load_hdf5(path, x="inner")


def test_key_that_is_no_string_is_refused(path):
    with pytest.raises(TypeError, match=r"x must be the key of a dataset of .*data\.h5.* got 3"):
        load_hdf5(path, x=3)


@pytest.mark.parametrize("key", ["bytes", "text", "complex", "structured"])
def test_features_that_are_not_numbers_are_refused(path, key):
    with pytest.raises(ValueError, match=rf"data\.h5: x='{key}' holds .*must be integers, floats"):
        load_hdf5(path, x=key)


@pytest.mark.parametrize(("key", "shape"), [("number", r"\(\)"), ("nothing", "None")])
def test_features_without_samples_axis_are_refused(path, key, shape):
    with pytest.raises(ValueError, match=rf"data\.h5: x='{key}' has the shape {shape}"):
        load_hdf5(path, x=key)


@pytest.mark.parametrize(
    ("key", "shape"), [("two_columns", r"\(5, 2\)"), ("number", r"\(\)"), ("nothing", "None")]
)
def test_labels_that_are_no_vector_are_refused(path, key, shape):
    with pytest.raises(ValueError, match=rf"data\.h5: '{key}' has the shape {shape}; labels must"):
        load_hdf5(path, x="images", y=key)


@pytest.mark.parametrize("key", ["structured", "complex"])
def test_labels_that_are_neither_numbers_nor_text_are_refused(path, key):
    with pytest.raises(ValueError, match=rf"data\.h5: '{key}' holds .*numbers or strings"):
        load_hdf5(path, x="images", y=key)


def test_labels_that_are_no_utf8_are_refused(path):
    with pytest.raises(ValueError, match=r"data\.h5: 'latin' holds bytes that are not UTF-8"):
        load_hdf5(path, x="images", y="latin")


@pytest.mark.parametrize(
    ("x", "n_x", "y", "n_y"), [("images", 5, "fewer", 3), ("fewer", 3, "labels", 5)]
)
def test_different_lengths_are_refused(path, x, n_x, y, n_y):
    with pytest.raises(ValueError, match=rf"data\.h5: x='{x}' has {n_x} .* y='{y}' has {n_y}"):
        load_hdf5(path, x=x, y=y)


@pytest.mark.parametrize("scale", [0, -255, np.inf, np.nan, "255", True, [255]])
def test_scale_that_is_no_positive_finite_number_is_refused(path, scale):
    with pytest.raises(ValueError, match="scale must be a positive finite number or None, got"):
        load_hdf5(path, x="images", scale=scale)


# ---------------------------------------------------------------------- make_photo_patches


def test_files_have_the_documented_schema(patches):
    train = contents(patches, "train")
    assert {key: (value.shape, value.dtype) for key, value in train.items()} == {
        "train_set_x": ((N_TRAIN, SIZE, SIZE, 3), np.dtype(np.uint8)),
        "train_set_y": ((N_TRAIN,), np.dtype(np.int64)),
        "train_set_origin": ((N_TRAIN, 3), np.dtype(np.int64)),
        "list_classes": ((2,), np.dtype("S6")),
    }


def test_default_schema_is_that_of_the_cat_files(catvnoncat, tmp_path):
    made = make_photo_patches(tmp_path)
    names = ["train_catvnoncat.h5", "test_catvnoncat.h5"]
    assert [schema(made / name) for name in names] == [schema(catvnoncat / name) for name in names]


@pytest.mark.parametrize(("part", "counts"), [("train", [16, 15]), ("test", [10, 10])])
def test_classes_are_balanced(patches, part, counts):
    assert np.bincount(contents(patches, part)[f"{part}_set_y"]).tolist() == counts


def test_classes_are_shuffled(patches):
    changes = np.abs(np.diff(contents(patches, "train")["train_set_y"]))
    assert 5 < changes.sum() < N_TRAIN - 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_tiles_are_what_the_photograph_shows_at_their_origin(patches, part):
    data = contents(patches, part)
    expected = photograph_at(data[f"{part}_set_origin"], SIZE)
    np.testing.assert_array_equal(data[f"{part}_set_x"], expected, strict=True)


def test_labels_name_the_photograph(patches):
    data = contents(patches, "train")
    names = [Path(name).stem for name in load_sample_images().filenames]
    photographs = [names[i] for i in data["train_set_origin"][:, 0]]
    assert [data["list_classes"][y].decode() for y in data["train_set_y"]] == photographs


@pytest.mark.parametrize("size", [16, 64, 160])
def test_training_and_test_tiles_share_no_pixel(tmp_path, size):
    folder = make_photo_patches(tmp_path, n_train=400, n_test=200, size=size)
    train = coverage(contents(folder, "train")["train_set_origin"], size)
    test = coverage(contents(folder, "test")["test_set_origin"], size)
    assert not np.any((train > 0) & (test > 0))


def test_no_two_tiles_are_the_same(tmp_path):
    folder = make_photo_patches(tmp_path, n_test=2 * 268, size=160)
    origins = contents(folder, "test")["test_set_origin"]
    assert len(np.unique(origins, axis=0)) == 2 * 268


def test_same_random_state_makes_the_same_files(patches, tmp_path):
    again = make_photo_patches(tmp_path, n_train=N_TRAIN, n_test=N_TEST, size=SIZE, random_state=0)
    names = ["train_catvnoncat.h5", "test_catvnoncat.h5"]
    assert [(again / n).read_bytes() for n in names] == [(patches / n).read_bytes() for n in names]


def test_other_random_state_cuts_elsewhere(patches, tmp_path):
    other = make_photo_patches(tmp_path, n_train=N_TRAIN, n_test=N_TEST, size=SIZE, random_state=1)
    origins = [contents(folder, "test")["test_set_origin"] for folder in (patches, other)]
    assert not np.array_equal(*origins)


def test_folder_is_returned_as_a_path(tmp_path):
    folder = make_photo_patches(str(tmp_path / "new"), n_train=2, n_test=2, size=4)
    assert folder == tmp_path / "new"


def test_nothing_but_the_two_files_is_left(patches):
    assert sorted(p.name for p in patches.iterdir()) == [
        "test_catvnoncat.h5",
        "train_catvnoncat.h5",
    ]


def test_failed_write_leaves_the_old_files(tmp_path, monkeypatch):
    make_photo_patches(tmp_path, n_train=2, n_test=2, size=4)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(h5py.File, "__setitem__", fail)
    with pytest.raises(OSError, match="disk full"):
        make_photo_patches(tmp_path, n_train=4, n_test=4, size=4)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["n_train", "n_test", "size"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "3", True, None])
def test_numbers_that_are_no_positive_integers_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, got {value!r}"):
        make_photo_patches(tmp_path, **{name: value})


def test_tiles_too_large_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"size=161 is too large: .* at most 160 pixels"):
        make_photo_patches(tmp_path, size=161)


def test_too_many_tiles_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"n_test=537 is too many: with size=160 .* 536 different"):
        make_photo_patches(tmp_path, n_test=537, size=160)


def test_refused_parameters_leave_no_folder(tmp_path):
    with pytest.raises(ValueError, match="size=161"):
        make_photo_patches(tmp_path / "new", size=161)
    assert not (tmp_path / "new").exists()


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(NotADirectoryError, match="taken is a file"):
        make_photo_patches(tmp_path / "taken")


def test_missing_pillow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match="the extra 'plot'"):
        make_photo_patches(tmp_path)


# ---------------------------------------------------------------------- load_catvnoncat


@pytest.mark.parametrize("part", ["train", "test"])
def test_images_are_rows_of_pixels_divided_by_255(patches, part):
    stored = contents(patches, part)[f"{part}_set_x"]
    X = load_catvnoncat(patches)[f"X_{part}"]
    np.testing.assert_array_equal(X, stored.reshape(len(stored), -1) / 255, strict=True)


@pytest.mark.parametrize("part", ["train", "test"])
def test_labels_are_those_of_the_file(patches, part):
    stored = contents(patches, part)[f"{part}_set_y"]
    np.testing.assert_array_equal(load_catvnoncat(patches)[f"y_{part}"], stored, strict=True)


def test_image_shape_gives_the_images_back(patches):
    data = load_catvnoncat(patches)
    images = data.X_test.reshape(-1, *data.image_shape)
    np.testing.assert_array_equal(images, contents(patches, "test")["test_set_x"] / 255)


def test_target_names_are_strings(patches):
    assert load_catvnoncat(patches).target_names == ["flower", "china"]


def test_description_counts_the_images(patches):
    assert f"{N_TRAIN} training and {N_TEST} test images" in load_catvnoncat(patches).DESCR


@pytest.mark.parametrize("name", ["train_catvnoncat.h5", "test_catvnoncat.h5"])
def test_missing_file_of_the_set_says_how_to_make_one(tmp_path, name):
    folder = make_photo_patches(tmp_path, n_train=2, n_test=2, size=4)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"no file .*{name}\. .*make_photo_patches"):
        load_catvnoncat(folder)


def test_images_of_two_shapes_are_refused(patches, tmp_path):
    other = make_photo_patches(tmp_path, n_train=2, n_test=2, size=4)
    (other / "train_catvnoncat.h5").write_bytes((patches / "train_catvnoncat.h5").read_bytes())
    with pytest.raises(ValueError, match=r"shape \(40, 40, 3\), .*\(4, 4, 3\); they must be"):
        load_catvnoncat(other)


def test_cat_set_is_read_whole(catvnoncat):
    data = load_catvnoncat(catvnoncat)
    found = [data.X_train.shape, data.X_test.shape, data.image_shape, data.target_names]
    assert found == [(209, 12288), (50, 12288), (64, 64, 3), ["non-cat", "cat"]]
