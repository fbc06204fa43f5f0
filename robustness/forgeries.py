"""What a forger may do to the HDF5 part of a model file or checkpoint, one function each.

Each takes a generator, the file open for writing, and the path of a file outside. None but
those of ``OF_TRAINING`` makes a file that is valid and holds something else: no check of the file
alone can tell that from the real one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

__all__ = ["OF_CHECKPOINTS", "OF_CONTENT", "OF_MODELS", "OF_STORAGE", "OF_TRAINING"]

HUGE = 10**15
JUNK_TEXTS = ("", "{", "nan", "Infinity", "1e999", "[" * 50_000, "9" * 5_000, "\0", '"x')
JUNK_VALUES: tuple[Any, ...] = ({"unknown": 1}, [[1]], {"numpy": "object", "value": 1}, {"dict": 0})


def names_of(file: Any, kind: type) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, kind) else None)
    return names


def pick(rng: np.random.RandomState, choices: Any) -> Any:
    return choices[rng.randint(len(choices))]


def a_dataset(rng: np.random.RandomState, file: Any) -> str:
    return pick(rng, names_of(file, h5py.Dataset))


def an_object(rng: np.random.RandomState, file: Any) -> Any:
    return file[pick(rng, ["/", *names_of(file, h5py.Group), *names_of(file, h5py.Dataset)])]


def with_attributes(rng: np.random.RandomState, file: Any) -> Any:
    every = [file, *(file[name] for name in names_of(file, (h5py.Group, h5py.Dataset)))]
    return pick(rng, [item for item in every if len(item.attrs)])


def taken_out(rng: np.random.RandomState, file: Any) -> tuple[str, np.ndarray]:
    """Remove a dataset, and return its name and what it held."""
    name = a_dataset(rng, file)
    array = file[name][()]
    del file[name]
    return name, array


def write_text(item: Any, name: str, text: str) -> None:
    encoded = text.encode()
    item.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))


# ---------------------------------------------------------------------- storage


def soft_link(rng, file, outside):
    file[pick(rng, ["extra", "curves/extra"])] = h5py.SoftLink(
        pick(rng, ["/", "nowhere", "/curves"])
    )


def soft_link_in_place(rng, file, outside):
    name, array = taken_out(rng, file)
    file["elsewhere"] = array
    file[name] = h5py.SoftLink("/elsewhere")


def external_link(rng, file, outside):
    name = pick(rng, ["extra", a_dataset(rng, file)])
    if name in file:
        del file[name]
    file[name] = h5py.ExternalLink(str(outside), "/data")


def second_hard_link(rng, file, outside):
    file["extra"] = an_object(rng, file)


def circle_of_hard_links(rng, file, outside):
    group = file[pick(rng, names_of(file, h5py.Group))]
    group["circle"] = file[pick(rng, ["/", group.name])]


def virtual_dataset(rng, file, outside):
    name, array = taken_out(rng, file)
    source = pick(rng, [str(outside), "."])
    unlimited = rng.randint(2) and array.ndim == 1
    layout = h5py.VirtualLayout(array.shape, array.dtype, (None,) if unlimited else None)
    view = h5py.VirtualSource(source, "/data", array.shape, maxshape=(None,) if unlimited else None)
    if unlimited:
        layout[: h5s.UNLIMITED] = view[: h5s.UNLIMITED]
    else:
        layout[...] = view
    file.create_virtual_dataset(name, layout)


def external_storage(rng, file, outside):
    name, array = taken_out(rng, file)
    file.create_dataset(
        name, array.shape, array.dtype, external=[(str(outside), 0, h5py.h5f.UNLIMITED)]
    )


def chunks(rng, file, outside):
    name, array = taken_out(rng, file)
    file.create_dataset(
        name, data=array, chunks=True, maxshape=pick(rng, [None, (None,) * array.ndim])
    )


def filters(rng, file, outside):
    name, array = taken_out(rng, file)
    options = [{"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}]
    file.create_dataset(name, data=array, **pick(rng, [*options, {"fletcher32": True}]))


def compact(rng, file, outside):
    name, array = taken_out(rng, file)
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_layout(h5d.COMPACT)
    kind = h5t.py_create(array.dtype, logical=True)
    made = h5d.create(file.id, b"made", kind, h5s.create_simple(array.shape), creation)
    made.write(h5s.ALL, h5s.ALL, array, kind)
    file.move("made", name)


def huge(rng, file, outside):
    name, array = taken_out(rng, file)
    shape = pick(rng, [(HUGE,), (HUGE, 5), (2**28, 2**28)])
    chunked = pick(rng, [None, (1024, *(5,) * (len(shape) - 1))])
    file.create_dataset(name, shape, array.dtype, chunks=chunked)


def never_written(rng, file, outside):
    name, array = taken_out(rng, file)
    file.create_dataset(name, array.shape, array.dtype)


def variable_length(rng, file, outside):
    name, array = taken_out(rng, file)
    dtype = pick(rng, [h5py.string_dtype(), h5py.vlen_dtype(np.float64)])
    file.create_dataset(name, array.shape, dtype)


def odd_type(rng, file, outside):
    name, array = taken_out(rng, file)
    dtypes = [
        h5py.ref_dtype, h5py.regionref_dtype, np.dtype([("a", "f8"), ("b", "i4")]), np.dtype("V7"),
        np.complex128, np.dtype(">f8"), np.longdouble, np.dtype("S3"), np.dtype(("f8", (3,))),
        h5py.enum_dtype({"NO": 0, "YES": 1}, basetype="i1"), h5py.string_dtype("ascii", 4),
        h5py.opaque_dtype(np.dtype("M8[s]")),
    ]  # fmt: skip
    dtype = pick(rng, dtypes)
    file.create_dataset(name, array.shape, dtype).id.get_type()


def named_type(rng, file, outside):
    file["extra"] = np.dtype("f8")


def no_extent(rng, file, outside):
    name, _ = taken_out(rng, file)
    file[name] = pick(rng, [h5py.Empty("f8"), 1.0])


def three_dimensions(rng, file, outside):
    name, array = taken_out(rng, file)
    file[name] = array.reshape(1, 1, -1)


def odd_boolean(rng, file, outside):
    name, _ = taken_out(rng, file)
    made = file.create_dataset(name, (2,), bool)
    made.id.write(h5s.ALL, h5s.ALL, np.array([2, -1], "i1"), made.id.get_type())


def deep_groups(rng, file, outside):
    file["/".join("g" * rng.randint(17, 500)) + "/data"] = [1.0]


def empty_group(rng, file, outside):
    file.create_group(pick(rng, ["extra", "layers/9", "curves/extra"]))


def odd_attribute(rng, file, outside):
    item = with_attributes(rng, file)
    name = pick(rng, list(item.attrs))
    value = pick(
        rng, ["variable", 3, 2.5, [1, 2], np.bytes_(b"{}"), h5py.Empty("S3"), [b"a", b"b"]]
    )
    item.attrs[name] = value


def junk_text(rng, file, outside):
    item = with_attributes(rng, file)
    write_text(item, pick(rng, list(item.attrs)), pick(rng, JUNK_TEXTS))


def reference_attribute(rng, file, outside):
    an_object(rng, file).attrs["extra"] = file.ref


# ---------------------------------------------------------------------- content


def object_removed(rng, file, outside):
    del file[pick(rng, names_of(file, (h5py.Group, h5py.Dataset)))]


def object_renamed(rng, file, outside):
    name = pick(rng, names_of(file, (h5py.Group, h5py.Dataset)))
    file.move(name, name + pick(rng, ["_", "x/y", "é"]))


def objects_swapped(rng, file, outside):
    # of different shapes: equal shapes would make a valid file
    file.move("layers/1/weights", "aside")
    file.move("layers/2/weights", "layers/1/weights")
    file.move("aside", "layers/2/weights")


def dataset_added(rng, file, outside):
    places = ["extra", "layers/4/weights", "curves/extra", "layers/1/extra", "pickle", "x/y/z"]
    file[pick(rng, places)] = rng.standard_normal(3)


def attribute_removed(rng, file, outside):
    item = with_attributes(rng, file)
    del item.attrs[pick(rng, list(item.attrs))]


def attribute_added(rng, file, outside):
    write_text(
        an_object(rng, file), pick(rng, ["extra", "a/b", "__reduce__"]), pick(rng, ["1", "{}"])
    )


def attribute_changed(rng, file, outside):
    """Put nonsense in the place of a value anywhere in a JSON attribute."""
    item = with_attributes(rng, file)
    own = ("kind", "format_version", "skdnn_version")
    names = [name for name in item.attrs if name not in own]
    name = pick(rng, names)
    value = json.loads(item.attrs[name])
    if isinstance(value, dict) and value and rng.randint(4):
        key = pick(rng, list(value))
        action = rng.randint(3)
        if action == 0:
            del value[key]
        elif action == 1:
            value[key + "x"] = value.pop(key)
        else:
            value[key] = pick(rng, JUNK_VALUES)
    else:
        value = pick(rng, JUNK_VALUES)
    write_text(item, name, json.dumps(value))


def other_kind(rng, file, outside):
    others = {b"model", b"checkpoint"} - {file.attrs["kind"]}
    write_text(file, "kind", pick(rng, [*map(bytes.decode, others), "", "Model", "x" * 1000]))


def text_for_a_terminal(rng, file, outside):
    text = pick(rng, ["\x1b[2J", "\x1b]0;title\x07", "\u202e", "\r", "\x9b31m"])
    name = pick(rng, ["kind", "skdnn_version", "extra" + text])
    write_text(file, name, text)


def other_version(rng, file, outside):
    file.attrs.create("format_version", pick(rng, [0, 2, -1, 2**62]), dtype="<i8")


def shape_changed(rng, file, outside):
    name, array = taken_out(rng, file)
    wide = np.concatenate([array.reshape(-1)] * 2)
    file[name] = pick(rng, [wide, array.reshape(1, -1), array.reshape(-1)[:0], wide.reshape(2, -1)])


def dtype_changed(rng, file, outside):
    name, array = taken_out(rng, file)
    dtypes = [d for d in ("f2", "i4", "u1", "?") if np.dtype(d) != array.dtype]
    file[name] = np.ones(array.shape, pick(rng, dtypes))


def not_finite(rng, file, outside):
    names = [name for name in names_of(file, h5py.Dataset) if name.endswith(("weights", "biases"))]
    array = file[pick(rng, names)]
    array[...] = pick(rng, [np.nan, np.inf, -np.inf])


def generator_broken(rng, file, outside):
    generator = file.get("training_state/generator")
    if generator is None:
        file["training_state/generator"] = np.zeros(624, np.uint32)
        return
    changes = {"position": [-1, 625, 2**40, True], "has_gauss": [2, -1], "gauss": [0, "x"]}
    name = pick(rng, list(changes))
    write_text(generator, name, json.dumps(pick(rng, changes[name])))


def classes_changed(rng, file, outside):
    choices = [["a", "a"], ["yes", "no"], ["a"], ["a", "b", "c"], ["far too wide a label", "x"]]
    del file["classes"]
    labels = np.strings.encode(np.array(pick(rng, choices)), "utf-8")
    file["classes"] = labels.astype(h5py.string_dtype("utf-8", labels.itemsize))
    write_text(file["classes"], "dtype", pick(rng, ['"<U3"', '"|O"', '"<U99999999"', '"<f8"']))
    if labels.size == 2 and labels[0] < labels[1]:
        write_text(file["classes"], "dtype", '"<U2"')


# ---------------------------------------------------------------------- checkpoints


def vectors_swapped(rng, file, outside):
    """Exchange vectors of different lengths, and what a name promises."""
    file.move("vectors/parameters", "aside")
    file.move("curves/loss", "vectors/parameters")
    file.move("aside", "curves/loss")


def vector_not_finite(rng, file, outside):
    names = [f"vectors/{name}" for name in file["vectors"]]
    names += [name for name in ("row_space/first_layer", "curves/loss") if name in file]
    file[pick(rng, names)][...] = pick(rng, [np.nan, np.inf, -np.inf])


def vectors_of_two_types(rng, file, outside):
    name = f"vectors/{pick(rng, [*file['vectors']])}"
    array = file[name][()]
    del file[name]
    file[name] = array.astype("f4" if array.dtype == "f8" else "f8")


def ended_otherwise(rng, file, outside):
    junk = ['"done"', "null", "true", "0", '"Converged"', "[]", "{}"]
    write_text(file, "ended", pick(rng, junk))


def best_epoch_out_of_range(rng, file, outside):
    write_text(file, "best_iter", pick(rng, ["-1", "999", "true", "1.0", '"1"', "null"]))


def rule_of_another_solver(rng, file, outside):
    rules = {"Adam", "GradientDescent", "LBFGS", "Momentum"}
    own = json.loads(file["training_state"].attrs["rule"])
    write_text(file["training_state"], "rule", json.dumps(pick(rng, sorted(rules - {own}))))


def hashes_of_nothing(rng, file, outside):
    junk = ['{"X": 1}', '{"Z": "0"}', "[]", '""', "null", '{"X": ["0"]}']
    write_text(file, "data", pick(rng, junk))


def curve_too_long(rng, file, outside):
    name = f"curves/{pick(rng, [*file['curves']])}"
    longer = np.append(file[name][()], [0.5, 0.25])
    del file[name]
    file[name] = longer


# ---------------------------------------------------------------------- checkpoints that may load


def replace_by(file, name, array):
    del file[name]
    file[name] = array


def count_arrays(file, n_more):
    write_text(file, "n_arrays", json.dumps(json.loads(file.attrs["n_arrays"]) + n_more))


def other_inputs(rng, file, outside):
    """Make vectors and matrices of a network with more inputs, or fewer."""
    n_units, more = 4, int(pick(rng, [-1, 1, 40]))
    for name in file["vectors"]:
        vector = file[f"vectors/{name}"][()]
        wide = np.resize(vector, vector.size + more * n_units)
        replace_by(file, f"vectors/{name}", wide)


def other_features(rng, file, outside):
    """Make the first layer at the start one of more features; without a row space, give it one."""
    if "row_space" not in file:
        vector = file["vectors/parameters"][()]
        first = np.zeros((int(pick(rng, [5, 6, 50])), 4), vector.dtype)
        file["row_space/first_layer"] = first
        n_inputs = (vector.size - 4 - 4) // 4
        file["row_space/coordinates"] = np.zeros((n_inputs, 4), vector.dtype)
        count_arrays(file, 2)
        return
    first = file["row_space/first_layer"][()]
    more = int(pick(rng, [1, 30]))
    replace_by(file, "row_space/first_layer", np.resize(first, (len(first) + more, 4)))


def other_precision(rng, file, outside):
    """Make vectors and matrices of the other float type."""
    for name in [n for n in names_of(file, h5py.Dataset) if n.startswith(("vectors", "row_space"))]:
        array = file[name][()]
        replace_by(file, name, array.astype("f4" if array.dtype == "f8" else "f8"))


def other_held_out_rows(rng, file, outside):
    n_rows = int(pick(rng, [0, 1, 59, 61]))
    name = "training_state/held_out"
    if name in file:
        replace_by(file, name, np.ones(n_rows, bool))
        return
    file[name] = np.ones(n_rows, bool)
    count_arrays(file, 1)


def all_held_out(rng, file, outside):
    name = "training_state/held_out"
    if name in file:
        replace_by(file, name, np.full(60, bool(rng.randint(2))))


def more_epochs_than_allowed(rng, file, outside):
    for name in file["curves"]:
        curve = file[f"curves/{name}"][()]
        if curve.size:
            replace_by(file, f"curves/{name}", np.resize(curve, 50))


def no_rates(rng, file, outside):
    replace_by(file, "curves/learning_rate", np.empty(0))


def no_validation(rng, file, outside):
    """Take the validation curves away, or put some where no rows are watched."""
    n_epochs = file["curves/loss"].size
    had_some = file["curves/validation_loss"].size > 0
    for name in ("validation_loss", "validation_score"):
        replace_by(file, f"curves/{name}", np.ones(0 if had_some else n_epochs))
    write_text(file, "best_iter", "0")
    if "best" in file["vectors"]:
        del file["vectors/best"]
        count_arrays(file, -1)


def other_counters(rng, file, outside):
    state = file["training_state"]
    counters = json.loads(state.attrs["counters"])
    for name in counters:
        counters[name] = pick(rng, [0, 10**9, 10**18, 10**400])
    write_text(state, "counters", json.dumps(counters))


def other_plateau(rng, file, outside):
    plateau = pick(
        rng,
        [
            {},
            {"best": 0.5, "reference": 0.5, "n_epochs_without": -(10**30)},
            {"best": {"float": "nan"}, "reference": {"float": "-inf"}, "n_epochs_without": 10**30},
        ],
    )
    write_text(file["training_state"], "plateau", json.dumps(plateau))


def other_parameters(rng, file, outside):
    """Change parameters to others that are allowed."""
    values = {
        "max_iter": 1, "early_stopping": True, "batch_size": 1, "tol": 1.0, "row_space": True,
        "warm_start": True, "random_state": 7, "max_grad_norm": 1e-3, "learning_rate": "cosine",
    }  # fmt: skip
    name = pick(rng, sorted(values))
    parameters = json.loads(file.attrs["parameters"])
    parameters[name] = values[name]
    write_text(file, "parameters", json.dumps(parameters))


def other_hashes(rng, file, outside):
    data = json.loads(file.attrs["data"])
    name = pick(rng, sorted(data))
    choices = [{}, {**data, name: "0"}, {k: v for k, v in data.items() if k != name}]
    write_text(file, "data", json.dumps(pick(rng, choices)))


def other_end(rng, file, outside):
    write_text(file, "ended", json.dumps(pick(rng, ["converged", "max_iter", "callback"])))


def other_watched(rng, file, outside):
    write_text(file["training_state"], "watched", pick(rng, ['"0"', "null"]))
    write_text(file["training_state"], "scoring", pick(rng, ['""', '"accuracy"', '"no score"']))


def other_coordinates(rng, file, outside):
    """Change what the row space is recognised by, to numbers whose squares overflow too."""
    if "row_space" in file:
        array = file[f"row_space/{pick(rng, ['coordinates', 'first_layer'])}"]
        size = pick(rng, [1.0, 1e30, 1e200, 1e308])
        array[...] = rng.uniform(-1, 1, array.shape) * min(size, np.finfo(array.dtype).max)


def other_numbers(rng, file, outside):
    name = f"vectors/{pick(rng, [*file['vectors']])}"
    vector = file[name][()]
    file[name][...] = rng.standard_normal(vector.shape) * pick(rng, [1.0, 1e30, -1e-30, 0.0])


Forgery = Callable[[np.random.RandomState, Any, Path], None]
OF_STORAGE: tuple[Forgery, ...] = (
    soft_link, soft_link_in_place, external_link, second_hard_link, circle_of_hard_links,
    virtual_dataset, external_storage, chunks, filters, compact, huge, never_written,
    variable_length, odd_type, named_type, no_extent, three_dimensions, odd_boolean, deep_groups,
    empty_group, odd_attribute, junk_text, reference_attribute,
)  # fmt: skip
# of anything
OF_CONTENT: tuple[Forgery, ...] = (
    object_removed, object_renamed, dataset_added, attribute_removed, attribute_added,
    attribute_changed, other_kind, text_for_a_terminal, other_version, shape_changed, dtype_changed,
    generator_broken,
)  # fmt: skip
OF_MODELS: tuple[Forgery, ...] = (objects_swapped, not_finite, classes_changed)
OF_CHECKPOINTS: tuple[Forgery, ...] = (
    vectors_swapped, vector_not_finite, vectors_of_two_types, ended_otherwise,
    best_epoch_out_of_range, rule_of_another_solver, hashes_of_nothing, curve_too_long,
)  # fmt: skip
OF_TRAINING: tuple[Forgery, ...] = (
    other_inputs, other_features, other_precision, other_held_out_rows, all_held_out,
    more_epochs_than_allowed, no_rates, no_validation, other_counters, other_plateau,
    other_parameters, other_hashes, other_end, other_watched, other_coordinates,
    other_numbers,
)  # fmt: skip
