"""Files that are damaged, forged or from elsewhere: refused with their fault, and never run."""

import h5py
import numpy as np
import pytest

from skdnn.container.container import open_container, sign, write_container
from skdnn.persistence import ModelFileError, load_model
from tests.model_files import HEADER_BYTES, described, forged, write_text
from tests.processes import run_script


def test_mutants_are_refused_or_harmless():
    done = run_script("fuzz_files", "--mutations", "400", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def refusal(path):
    """Return the one line of the error that loading raises."""
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_missing_file_is_what_python_calls_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        load_model(tmp_path / "model.h5")


def test_other_files_are_told_apart(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"")
    assert refusal(path).startswith("not a file of skdnn")
    path.write_bytes(b"\x80\x04pickle")
    assert refusal(path).startswith("not a file of skdnn")
    with h5py.File(path, "w") as file:
        file["x"] = [1]
    assert refusal(path).startswith("an HDF5 file, but not one of skdnn")


@pytest.mark.parametrize("position", [0, 20, 40, 100, 300, 511, 512, 513, 2000, -1])
def test_one_bit_is_enough(position, saved):
    content = bytearray(saved.read_bytes())
    content[position] ^= 1
    saved.write_bytes(content)
    assert refusal(saved)


def test_a_changed_number_is_damage(saved):
    with h5py.File(saved, "r+") as file:
        file["layers/1/weights"][0, 0] = 0.125
    assert refusal(saved).startswith("damaged: its contents do not have the SHA-256")


def test_a_cut_file_is_named_so(saved):
    saved.write_bytes(saved.read_bytes()[:-1])
    assert refusal(saved).startswith("cut off: it has")


def test_a_file_with_more_at_its_end_is_not_read_to_it(saved):
    whole = saved.read_bytes()
    saved.write_bytes(whole + b"\0")
    expected = f"damaged: it has {len(whole) + 1} bytes, and must have {len(whole)}."
    assert refusal(saved) == expected


@pytest.mark.parametrize("version", [3, 7])
def test_newer_format_asks_for_an_upgrade(version, saved):
    newer = f"format {version}\n".encode()
    saved.write_bytes(saved.read_bytes().replace(b"format 1\n", newer))
    told = f"of format {version}, and this skdnn reads formats up to 2: upgrade skdnn."
    assert refusal(saved) == told


@pytest.mark.parametrize(
    ("header", "attribute", "told"),
    [
        (1, 2, "attribute 'format_version' is 2, and the header says 1."),
        (2, 1, "attribute 'format_version' is 1, and the header says 2."),
        (2, 2, "format 2 is not one of a model."),
        (0, 0, "format 0 is not one of a model."),
    ],
)
def test_formats_that_no_model_has_are_refused(header, attribute, told, saved):
    with h5py.File(saved, "r+") as file:
        file.attrs.modify("format_version", np.int64(attribute))
    content = saved.read_bytes()[HEADER_BYTES:]
    saved.write_bytes(sign(content, header) + content)
    assert refusal(saved) == told


def test_a_checkpoint_is_not_a_model(tmp_path):
    path = tmp_path / "checkpoint.h5"
    write_container(path, kind="checkpoint", attributes={"epoch": 3}, arrays={"a/b": np.ones(2)})
    assert refusal(path) == "holds a checkpoint, not a model."


@pytest.mark.parametrize("array", [np.float64(1), np.ones((1, 1, 1)), np.array([1j])])
def test_a_checkpoint_refuses_other_arrays(array, tmp_path):
    with pytest.raises(ValueError, match=r"'a/b' has .* stored"):
        write_container(tmp_path / "c.h5", kind="checkpoint", attributes={}, arrays={"a/b": array})
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_refuses_texts_that_hdf5_cannot_hold(tmp_path):
    attributes = {"long": "x" * 70_000}
    with pytest.raises(ValueError, match="'long' takes 70002 bytes as JSON"):
        write_container(tmp_path / "c.h5", kind="checkpoint", attributes=attributes, arrays={})


def test_a_checkpoint_comes_back(tmp_path):
    path = tmp_path / "checkpoint.h5"
    arrays = {"a/b": np.ones((2, 3)), "a/c": np.array(["x", "yz"]), "d": np.array([], np.int32)}
    attributes = {"epoch": 3, "a/why": ["x", None, 0.5], "d/unit": "s"}
    write_container(path, kind="checkpoint", attributes=attributes, arrays=arrays)
    found = open_container(path)
    assert found.kind == "checkpoint"
    assert described(found.attributes) == described(attributes)
    assert described(found.arrays) == described(arrays)


def view_of_another_file():
    layout = h5py.VirtualLayout((3,), "f8")
    layout[...] = h5py.VirtualSource("other.h5", "/x", (3,))
    return layout


# Each makes a file that must be refused for the reason that stands with it.
FORGERIES = {
    "soft link": (
        lambda file: file.__setitem__("layers/4", h5py.SoftLink("/layers/1")),
        "'layers/4' is a soft, external or other link",
    ),
    "external link": (
        lambda file: file.__setitem__("extra", h5py.ExternalLink("other.h5", "/x")),
        "'extra' is a soft, external or other link",
    ),
    "circle": (
        lambda file: file["layers"].__setitem__("circle", file["layers"]),
        "'layers' has several hard links",
    ),
    "virtual": (
        lambda file: file.create_virtual_dataset("extra", view_of_another_file()),
        "'extra' is chunked, compact or virtual",
    ),
    "external storage": (
        lambda file: file.create_dataset("extra", (3,), "f8", external=[("o", 0, 24)]),
        "'extra' is stored in another file",
    ),
    "compression": (
        lambda file: file.create_dataset("extra", data=np.ones(9), compression="gzip"),
        "'extra' is chunked, compact or virtual",
    ),
    "huge": (
        lambda file: file.create_dataset("extra", (10**15,), "f8"),
        "'extra' claims the shape (1000000000000000,) and 8000000000000000 bytes",
    ),
    "variable length": (
        lambda file: file.create_dataset("extra", (3,), h5py.string_dtype()),
        "'extra' is of a type that is not allowed",
    ),
    "references": (
        lambda file: file.create_dataset("extra", (3,), h5py.ref_dtype),
        "'extra' is of a type that is not allowed",
    ),
    "compound": (
        lambda file: file.create_dataset("extra", (3,), [("a", "f8"), ("b", "i4")]),
        "'extra' is of a type that is not allowed",
    ),
    "named type": (
        lambda file: file.__setitem__("extra", np.dtype("f8")),
        "'extra' is neither a group nor a dataset",
    ),
    "unknown dataset": (
        lambda file: file.__setitem__("layers/1/pickle", [1.0]),
        "has the unknown entries 'layers/1/pickle'",
    ),
    "unknown group": (
        lambda file: file.create_group("extra"),
        "'extra' is a group with nothing in it",
    ),
    "unknown attribute": (
        lambda file: write_text(file["curves"], "extra", "1"),
        "has the unknown entries 'curves/extra'",
    ),
    "attribute of a variable length": (
        lambda file: file.attrs.__setitem__("parameters", "{}"),
        "attribute 'parameters' must be one fixed-length UTF-8 string",
    ),
    "crowd of attributes": (
        lambda file: [write_text(file["curves"], str(i), "1") for i in range(1001)],
        "'curves' has 1001 attributes; 1000 are allowed",
    ),
    "attribute with the path of another": (
        lambda file: write_text(file, "layers/3/units", "1"),
        "attribute 'layers/3/units' of '/' has a slash in its name",
    ),
    "no JSON": (
        lambda file: write_text(file, "parameters", "{'a': 1}"),
        "attribute 'parameters' must be JSON text",
    ),
    "unknown parameter": (
        lambda file: write_text(file, "parameters", '{"evil": 1}'),
        "attribute 'parameters' has the unknown parameters ['evil']",
    ),
    "invalid parameter": (
        lambda file: write_text(
            file, "parameters", file.attrs["parameters"].decode().replace('"adam"', '"madam"')
        ),
        "The 'solver' parameter of DeepBinaryClassifier must be",
    ),
    "missing weights": (
        lambda file: file.__delitem__("layers/2/weights"),
        "lacks 'layers/2/weights'",
    ),
    "missing names": (
        lambda file: file["curves"].__delitem__("validation_scores"),
        "the curves do not match: 3 losses, 3 learning rates, 3 validation losses and 0 scores",
    ),
    "infinite weights": (
        lambda file: file["layers/1/weights"].__setitem__((0, 0), np.inf),
        "'layers/1/weights' has entries that are not finite",
    ),
    "one class": (
        lambda file: file["classes"].__setitem__(0, True),
        "'classes' must be two different labels in order",
    ),
    "generator out of bounds": (
        lambda file: write_text(file["training_state/generator"], "position", "625"),
        "attribute 'training_state/generator/position' must be from 0 to 624",
    ),
}


@pytest.mark.parametrize("case", FORGERIES)
def test_forgery_is_refused_by_name(case, saved):
    forge, reason = FORGERIES[case]
    with forged(saved) as file:
        forge(file)
    assert refusal(saved).startswith(reason)


# Of a group or an array: an attribute, what its text becomes in part or, without a part, as a whole
VALUES = [
    ("layers/3", "units", "", "true", "attribute 'layers/3/units' is true, and must be 1"),
    ("layers/3", "units", "", "1.0", "attribute 'layers/3/units' is 1.0, and must be 1"),
    ("/", "class", "", '"Pipeline"', "attribute 'class' is "),
    ("/", "fitted", '_iter_": 3}', '_iter_": 0}', "attribute 'fitted' has 'best_iter_' as 0"),
    ("/", "fitted", '_iter_": 3}', '_iter_": 4}', "attribute 'fitted' has 'best_iter_' as 4"),
    ("/", "fitted", '"n_iter_": 3', '"n_iter_": true', "attribute 'fitted' has 'n_iter_' as True"),
    ("/", "fitted", '"t_": 108', '"t_": -1', "attribute 'fitted' has 't_' as -1"),
    ("/", "fitted", '"n_iter_": 3', '"n_iter_": NaN', "attribute 'fitted' must be JSON text"),
    ("/", "lengths", '"curves/loss": 3', '"curves/loss": 4', "attribute 'lengths' is "),
    ("layers", "negative_slope", "", "1.0", "attribute 'layers/negative_slope' is 1.0: not in"),
    ("layers", "negative_slope", "", "true", "attribute 'layers/negative_slope' is True: not in"),
    ("layers/1", "activation", "", '"exec"', "attribute 'layers/1/activation' is 'exec'"),
    (
        "training_state", "counters", '"n_plateaus": 0', '"n_plateaus": false',
        "attribute 'training_state/counters' must be numbers from 0 on",
    ),
    (
        "training_state", "plateau", '"n_epochs_without": 0', '"n_epochs_without": 0.0',
        "attribute 'training_state/plateau' must have one number",
    ),
    ("training_state", "rule", "", '"Momentum"', "lacks 'training_state/moments/velocity/1/w"),
    ("training_state", "seen", "", "[1, 0.0]", "attribute 'training_state/seen' must be"),
    ("training_state", "seen", "", "[0, 1.0]", "attribute 'training_state/seen' must be"),
    ("training_state", "seen", "", "[true, 1.0]", "attribute 'training_state/seen' must be"),
    ("training_state/generator", "has_gauss", "", "2", "attributes 'training_state/generator/has"),
    ("training_state/generator", "position", "", "-1", "attribute 'training_state/generator/pos"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name", "part", "new", "reason"), VALUES)
def test_each_value_of_a_model_is_checked(owner, name, part, new, reason, saved):
    with forged(saved) as file:
        text = file[owner].attrs[name].decode() if part else ""
        assert part in text
        write_text(file[owner], name, text.replace(part, new) if part else new)
    assert refusal(saved).startswith(reason)


def as_bytes_of(values):
    """Return what stores numbers as the booleans that they are not."""

    def store(file, name):
        space = file[name].id.get_space()
        stored = file[name].id.get_type()
        del file[name]
        made = h5py.h5d.create(file.id, name.encode(), stored, space)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(values, "i1"), stored)

    return store


def with_array(array):
    def store(file, name):
        del file[name]
        file.create_dataset(name, data=array)

    return store


ARRAYS = {
    "two for a boolean": ("classes", as_bytes_of([0, 2]), "'classes' has booleans other than 0"),
    "held-out rows that are numbers": (
        "training_state/held_out", with_array(np.zeros(40, "i1")), "'training_state/held_out' must",
    ),
    "generator of zeros": (
        "training_state/generator", with_array(np.zeros(624, "u4")), "'training_state/generator' m",
    ),
    "weights of another dtype": (
        "layers/2/weights", with_array(np.ones((4, 3), "f4")), "'layers/2/weights' is float32",
    ),
    "infinite moments": (
        "training_state/moments/first_sum/1/biases", with_array(np.array([0, 0, np.inf, 0])),
        "'training_state/moments/first_sum/1/biases' has entries that are not finite",
    ),
    "classes in another order": (
        "classes", with_array(np.array([True, False])), "'classes' must be two different labels",
    ),
    "curve of another dtype": (
        "curves/loss", with_array(np.ones(3, "f4")), "'curves/loss' is float32 of shape (3,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_each_array_of_a_model_is_checked(case, saved):
    name, store, reason = ARRAYS[case]
    with forged(saved) as file:
        attributes = dict(file[name].attrs)
        store(file, name)
        for key, value in attributes.items():
            write_text(file[name], key, value.decode())
    assert refusal(saved).startswith(reason)


def test_more_scores_than_losses_are_refused(saved):
    with forged(saved) as file:
        for name in ("curves/validation_loss", "curves/validation_scores"):
            with_array(np.ones(4))(file, name)
        text = file.attrs["lengths"].decode()
        for name in ("loss", "scores"):
            text = text.replace(f'validation_{name}": 3', f'validation_{name}": 4')
        write_text(file, "lengths", text)
    assert refusal(saved).startswith("the curves do not match: 3 losses, 3 learning rates, 4 val")
