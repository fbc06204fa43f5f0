# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What Python sees of the compiled steps: pointers are taken from arrays here, and checked."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from scipy.linalg cimport cython_blas

import sys

import numpy as np

cdef extern from "src/step.h":
    ctypedef void gemm_function(
        char op_a, char op_b, int m, int n, int k, const void *a, int lda, const void *b, int ldb,
        void *c, int ldc) noexcept nogil
    int VECTOR_BYTES, MOST_ADDED, MOST_VECTORS
    ctypedef struct network_t:
        int n_layers
        const int *sizes
        const int *strides
        int activation
        double slope
        void *panel
        const double *dropout
        const void **weights
        const void **biases
        void **weight_gradients
        void **bias_gradients
        void **activations
        void **caches
        unsigned char **kept
        void *X
        int32_t *places
        void *parts
        void *table
        void *delta
        void *dlogits
        void *sums
        void *vector
        gemm_function *gemm
        void *generator
    ctypedef struct encoding_t:
        int last[4]
        const int32_t *sources
        const int32_t *runs
        int n_bin_runs, n_runs, n_terms
        const void *at
        const void *width
        double clip
        int64_t stride
    ctypedef struct rows_t:
        int64_t n_rows
        int64_t n_features
        const void *X
        const encoding_t *encoding
        const int64_t *places
        const void *indices
        const void *indptr
        int index_size
        const signed char *signs
        const void *sample_weight
    ctypedef struct rule_t:
        int kind
        double momentum, beta_1, beta_2, root_epsilon, weight_decay, max_grad_norm, penalty
        int64_t n_steps, n_weights, n_parameters
        void *parameters
        void *gradient
        void *moments[2]
    ctypedef struct batches_t:
        const int64_t *order
        int64_t start, n_rows, size
    ctypedef struct kernels_t:
        int evaluate(network_t *, const rows_t *, const int64_t *, int64_t, int, double,
                     double *) noexcept nogil
        int64_t run(network_t *, const rows_t *, const batches_t *, rule_t *, const double *,
                    int64_t, double, double *) noexcept nogil
        void step(const rule_t *, double, int64_t, int64_t) noexcept nogil
        double penalise(const rule_t *) noexcept nogil
        void clip(const rule_t *) noexcept nogil
        int predict(network_t *, const rows_t *, int64_t, int, void *) noexcept nogil
        void draw_dropout(network_t *, int) noexcept nogil
        void encode(const encoding_t *, const void *, const int64_t *, int64_t,
                    void *) noexcept nogil
        void activate(network_t *, void *, int64_t) noexcept nogil
    int skdnn_variants(const char **, const kernels_t **)

# In the order of the enumerations of step.h
ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "silu", "gelu")
RULES = ("gradient_descent", "momentum", "nesterov", "adam")

# Seconds after which a run looks for signals, Ctrl-C among them
cdef double _PATIENCE = 0.5

# For which instructions there are kernels that this processor runs, the fastest first
cdef const char *_names[3]
cdef const kernels_t *_variants[3]
VARIANTS = tuple([_names[k].decode() for k in range(skdnn_variants(_names, _variants))])
INSTRUCTIONS = VARIANTS[0]
cdef const kernels_t *_kernels = _variants[0]
cdef bytes _NATIVE = b"<" if sys.byteorder == "little" else b">"


cdef void _gemm_float(char op_a, char op_b, int m, int n, int k, const void *a, int lda,
                      const void *b, int ldb, void *c, int ldc) noexcept nogil:
    cdef float one = 1, zero = 0
    cython_blas.sgemm(&op_a, &op_b, &m, &n, &k, &one, <float *>a, &lda, <float *>b, &ldb, &zero,
                      <float *>c, &ldc)


cdef void _gemm_double(char op_a, char op_b, int m, int n, int k, const void *a, int lda,
                       const void *b, int ldb, void *c, int ldc) noexcept nogil:
    cdef double one = 1, zero = 0
    cython_blas.dgemm(&op_a, &op_b, &m, &n, &k, &one, <double *>a, &lda, <double *>b, &ldb, &zero,
                      <double *>c, &ldc)


cdef void *_pointer(array, bytes formats, Py_ssize_t size=-1) except? NULL:
    """Return the address of a C-contiguous, aligned array of one of some formats.

    The caller keeps the array alive.
    """
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    try:
        format = <bytes>buffer.format
        if format[:1] == _NATIVE or format[:1] == b"=":
            format = format[1:]
        if len(format) != 1 or format not in formats or <size_t>buffer.buf % buffer.itemsize:
            raise TypeError(
                f"Expected an aligned array of a format in {formats!r}, got {format!r}."
            )
        if size >= 0 and buffer.len != size * buffer.itemsize:
            raise ValueError(
                f"Expected {size} numbers, got {buffer.len // buffer.itemsize}."
            )
        return buffer.buf
    finally:
        PyBuffer_Release(&buffer)


cdef class CompiledRows:
    """Prepared rows and how they are encoded, as the kernels see them.

    Parameters
    ----------
    encoding : Encoding
        Of `skdnn.preprocessing.layout`.
    prepared : ndarray of shape (n_stored, n_prepared)
        They may lie apart.
    places : ndarray of int of shape (n_rows,), default=None
        Which of them are the rows; all by default.
    """

    cdef encoding_t c
    cdef const void *X
    cdef const int64_t *places
    cdef int64_t n_rows
    cdef bytes format
    cdef object kept  # alive

    def __cinit__(self, encoding, prepared, places=None):
        cdef int k, n_outputs = encoding.sources.size, n_prepared = prepared.shape[1]
        self.format, self.n_rows = prepared.dtype.char.encode(), len(prepared)
        for k in range(4):
            self.c.last[k] = encoding.last[k]
            if self.c.last[k] < (self.c.last[k - 1] if k else 0):
                raise ValueError("The kinds of outputs must be in order.")
        if self.c.last[3] != n_outputs:
            raise ValueError("Outputs and their sources do not belong together.")
        self.c.sources = <const int32_t *>_pointer(encoding.sources, b"i")
        for k in range(n_outputs):
            if not 0 <= self.c.sources[k] < n_prepared:
                raise IndexError("A source is out of range.")
        self.c.runs = <const int32_t *>_pointer(encoding.runs, b"i")
        self.c.n_runs = encoding.runs.size - 1
        for k in range(self.c.n_runs):
            self.c.n_bin_runs += self.c.runs[k] < self.c.last[1]
            if self.c.runs[k] >= self.c.runs[k + 1]:
                raise ValueError("Runs of outputs must be in order.")
        if (self.c.runs[0] != self.c.last[0] or self.c.runs[self.c.n_bin_runs] != self.c.last[1]
                or self.c.runs[self.c.n_runs] != self.c.last[2]):
            raise ValueError("Outputs and their runs do not belong together.")
        self.c.n_terms = self.c.n_runs + n_outputs - self.c.last[2]
        self.c.at = _pointer(encoding.at, self.format, n_outputs)
        self.c.width = _pointer(encoding.width, self.format, n_outputs)
        self.c.clip = encoding.clip
        if self.format not in b"fd" or not prepared.flags.aligned:
            raise TypeError(f"Expected aligned rows of floats, got {prepared.dtype}.")
        if prepared.shape[1] > 1 and prepared.strides[1] != prepared.itemsize:
            raise ValueError("The numbers of a row must be next to each other.")
        self.c.stride = prepared.strides[0] // prepared.itemsize
        self.X = <const void *><size_t>prepared.ctypes.data
        if places is not None:
            places = np.ascontiguousarray(places, np.int64)
            if places.size and not 0 <= places.min() <= places.max() < self.n_rows:
                raise IndexError("A row index is out of range.")
            self.n_rows, self.places = places.size, <const int64_t *>_pointer(places, b"lq")
        self.kept = encoding, prepared, places

    def encode(self, out):
        """Write the encoded rows to an array of their dtype."""
        cdef void *address = _pointer(out, self.format, self.n_rows * self.c.last[3])
        cdef const kernels_t *kernels = &_kernels[b"fd".index(self.format)]
        with nogil:
            kernels.encode(&self.c, self.X, self.places, self.n_rows, address)


cdef class _Rows:
    """Rows as the kernels see them."""

    cdef rows_t c
    cdef object kept  # alive
    cdef CompiledRows prepared

    def __cinit__(self, X, signs, sample_weight, bytes format):
        cdef int64_t n_rows
        self.kept = X, signs, sample_weight
        n_rows, self.c.n_features = X.shape
        self.c.n_rows = n_rows
        if isinstance(X, np.ndarray):
            self.c.X = _pointer(X, format)
        elif hasattr(X, "compiled"):
            self.prepared = X.compiled
            if self.prepared.format != format:
                raise TypeError(f"Expected rows of format {format!r}, got {X.dtype}.")
            if self.prepared.c.last[3] != self.c.n_features or self.prepared.n_rows != n_rows:
                raise ValueError("The parts of the prepared rows do not belong together.")
            self.c.X, self.c.encoding = self.prepared.X, &self.prepared.c
            self.c.places = self.prepared.places
        else:
            data, indices, indptr = X.data, X.indices, X.indptr
            self.kept = (*self.kept, data, indices, indptr)
            self.c.index_size = indptr.dtype.itemsize
            if indices.dtype.itemsize != self.c.index_size or self.c.index_size not in (4, 8):
                raise TypeError("Expected indices, all of 32 or all of 64 bits.")
            if indices.size != data.size or indptr[0] != 0 or indptr[n_rows] > data.size:
                raise ValueError("The parts of the CSR matrix do not belong together.")
            self.c.X = _pointer(data, format)
            self.c.indices = _pointer(indices, b"ilq")
            self.c.indptr = _pointer(indptr, b"ilq", n_rows + 1)
        if signs is not None:
            self.c.signs = <const signed char *>_pointer(signs, b"b", n_rows)
        if sample_weight is not None:
            self.c.sample_weight = _pointer(sample_weight, format, n_rows)

    cdef bint are_copied(self, bint by_index):
        """Return whether the rows of a batch need room of their own."""
        return self.c.encoding != NULL or (by_index and self.c.index_size == 0)


# Addresses by layer that a network holds
cdef enum:
    _WEIGHTS, _BIASES, _WEIGHT_GRADIENTS, _BIAS_GRADIENTS, _ACTIVATIONS, _CACHES, _KEPT, _N_LISTS


cdef class _Network:
    """A network as the kernels see it, and the memory of one thread."""

    cdef network_t c
    cdef void **addresses  # (_N_LISTS, n_layers), then sizes and strides
    cdef list given, room  # arrays that are kept alive: the network's, and those of `reserve`
    cdef object gathered  # rows of a batch, of `n_gathered` rows
    cdef object encoding, looked_up  # of prepared rows
    cdef int n_gathered
    cdef object dtype
    cdef bytes format
    cdef int n_hidden
    cdef int capacity
    cdef bint trains
    cdef const kernels_t *kernels

    def __cinit__(self, weights, biases, str activation, double slope, gradients=None, dropout=()):
        cdef int k, n_layers = len(weights)
        cdef int *sizes
        cdef int *strides
        cdef int lanes
        self.dtype = weights[0].dtype
        self.format = self.dtype.char.encode()
        self.given, self.room = [], []
        self.n_hidden = n_layers - 1
        self.trains = gradients is not None
        self.c.n_layers = n_layers
        self.c.activation = ACTIVATIONS.index(activation)
        self.c.slope = slope
        if self.format == b"f":
            self.kernels, self.c.gemm = &_kernels[0], _gemm_float
        elif self.format == b"d":
            self.kernels, self.c.gemm = &_kernels[1], _gemm_double
        else:
            raise TypeError(f"Expected float32 or float64, got {self.dtype}.")
        self.addresses = <void **>calloc(
            1, _N_LISTS * n_layers * sizeof(void *) + 2 * (n_layers + 1) * sizeof(int))
        if self.addresses == NULL:
            raise MemoryError()
        sizes = <int *>(self.addresses + _N_LISTS * n_layers)
        strides = sizes + n_layers + 1
        lanes = VECTOR_BYTES // <int>self.dtype.itemsize
        strides[0] = sizes[0] = weights[0].shape[0]
        for k in range(n_layers):
            sizes[k + 1] = biases[k].size
            strides[k + 1] = (sizes[k + 1] + lanes - 1) // lanes * lanes
        self.c.sizes, self.c.strides = sizes, strides
        self.c.weights = <const void **>self._list(_WEIGHTS, weights)
        self.c.biases = <const void **>self._list(_BIASES, biases)
        if self.trains:
            self.c.weight_gradients = self._list(_WEIGHT_GRADIENTS, gradients[0])
            self.c.bias_gradients = self._list(_BIAS_GRADIENTS, gradients[1])
        if len(dropout):
            rates = np.array(dropout, float)
            self.given.append(rates)
            self.c.dropout = <const double *>_pointer(rates, b"d", self.n_hidden)

    def __dealloc__(self):
        free(self.addresses)

    cdef void **_list(self, int which, arrays) except? NULL:
        """Return the addresses of the arrays of all layers."""
        cdef void **addresses = self.addresses + which * self.c.n_layers
        cdef int k
        cdef Py_ssize_t size
        self.given.append(arrays)
        for k, array in enumerate(arrays):
            if which == _WEIGHTS or which == _WEIGHT_GRADIENTS:
                size = <Py_ssize_t>self.c.sizes[k] * self.c.sizes[k + 1]
            else:
                size = self.c.sizes[k + 1]
            addresses[k] = _pointer(array, self.format, size)
        return addresses

    cdef int check(self, _Rows rows) except -1:
        if rows.c.n_features != self.c.sizes[0]:
            raise ValueError(
                f"The network has {self.c.sizes[0]} inputs, X {rows.c.n_features} columns.")
        return 0

    cdef _make_room_for(self, _Rows rows, int n_rows):
        """Make room for rows of a batch that are copied, or looked up."""
        self.n_gathered = n_rows
        width = self.c.sizes[0]
        if rows.c.encoding != NULL and self.n_hidden:
            encoding = rows.c.encoding
            width = encoding.last[0]
            places = np.empty((n_rows, encoding.n_terms), np.int32)
            parts = np.empty((n_rows, encoding.n_bin_runs), self.dtype)
            n_bins = encoding.last[1] - encoding.last[0]
            table = np.empty((n_bins, 2, self.c.strides[1]), self.dtype)
            self.looked_up = places, parts, table
            self.c.places = <int32_t *>_pointer(places, b"i")
            self.c.parts = _pointer(parts, self.format)
            self.c.table = _pointer(table, self.format)
        self.gathered = np.empty((n_rows, width), self.dtype)
        self.c.X = _pointer(self.gathered, self.format)

    cdef int reserve(self, int n_rows, _Rows rows=None, bint by_index=False) except -1:
        """Make room for a number of rows; nothing where there is enough."""
        cdef int k, n_hidden = self.n_hidden
        cdef int64_t n, size, widest = 1
        if rows is not None and rows.are_copied(by_index):
            encoding = None if rows.prepared is None else rows.prepared.kept[0]
            if n_rows > self.n_gathered or encoding is not self.encoding:
                self._make_room_for(rows, n_rows)
                self.encoding = encoding
        if n_rows <= self.capacity:
            return 0
        self.capacity, self.room = n_rows, []
        size = self.dtype.itemsize
        for k in range(n_hidden):
            widest = max(widest, self.c.strides[k + 1])
        self.c.sums = self._space(widest * size)
        self.c.vector = self._space(widest * size)
        self.c.activations = self.addresses + _ACTIVATIONS * self.c.n_layers
        if not self.trains:
            # layers write alternately to two buffers; what fills up rows of the last one is read
            for k in range(n_hidden):
                if k < 2 or k == n_hidden - 1:
                    self.c.activations[k] = self._space(n_rows * widest * size)
                else:
                    self.c.activations[k] = self.c.activations[k - 2]
            return 0
        self.c.delta = self._space(n_rows * widest * size)
        self.c.dlogits = self._space(n_rows * size)
        if self.c.activation >= ACTIVATIONS.index("silu"):
            self.c.caches = self.addresses + _CACHES * self.c.n_layers
        if self.c.dropout != NULL:
            self.c.kept = <unsigned char **>(self.addresses + _KEPT * self.c.n_layers)
        for k in range(n_hidden):
            n = <int64_t>n_rows * self.c.strides[k + 1]
            self.c.activations[k] = self._space(n * size)
            if self.c.caches != NULL:
                self.c.caches[k] = self._space(n * size)
            if self.c.kept != NULL:
                self.c.kept[k] = <unsigned char *>self._space(n)
        return 0

    cdef void *_space(self, int64_t n_bytes) except NULL:
        """Return the address of zeros, aligned to vectors, that live until there is more room."""
        array = np.zeros(n_bytes + VECTOR_BYTES, np.uint8)
        self.room.append(array)
        return <void *>((<size_t>_pointer(array, b"B") + VECTOR_BYTES - 1) & -<size_t>VECTOR_BYTES)


cdef _check(int64_t outcome):
    if outcome < 0:
        raise IndexError("A row or column index is out of range.")


def _aligned(X):
    """Return rows that kernels can read: as they are, or copied if unaligned or not in C order."""
    if isinstance(X, np.ndarray) and not (X.flags.c_contiguous and X.flags.aligned):
        return np.require(X, requirements="CA")
    return X


cdef class CompiledEvaluator:
    """Evaluates batches on a network; as `skdnn.network.evaluation.BatchEvaluator`.

    Parameters
    ----------
    network : Network
    is_triangular : bool, default=False
        Whether row i of all rows that come has zeros alone right of column i.
    """

    cdef readonly object network
    cdef _Network _net

    def __init__(self, network, bint is_triangular=False):
        self.network = network
        self._net = _Network(
            network.weights,
            network.biases,
            network.activation.name,
            network.activation.slope,
            (network.weight_gradients, network.bias_gradients),
            network.dropout,
        )
        if is_triangular:
            panel = np.empty(MOST_ADDED * MOST_VECTORS * VECTOR_BYTES, np.uint8)
            self._net.given.append(panel)
            self._net.c.panel = _pointer(panel, b"B")

    def draw_dropout(self, int n_rows, random_state):
        """Draw what the next evaluation, of so many rows, leaves out."""
        if self._net.c.dropout == NULL:
            return
        self._net.reserve(n_rows)
        generator = random_state._bit_generator
        self._net.c.generator = PyCapsule_GetPointer(generator.capsule, "BitGenerator")
        with generator.lock:
            self._net.kernels.draw_dropout(&self._net.c, n_rows)
        self._net.c.generator = NULL

    def evaluate(self, X, signs, sample_weight, batch, double divisor, random_state=None):
        """Return the loss of some rows, and write its gradient to the network's."""
        cdef const int64_t *index = NULL
        cdef int64_t start = 0
        cdef int n_rows, outcome
        cdef double value = 0.0
        cdef _Network net = self._net
        cdef _Rows rows = _Rows(_aligned(X), signs, sample_weight, net.format)
        net.check(rows)
        if isinstance(batch, slice):
            start, n_rows = batch.start, batch.stop - batch.start
            if start < 0 or start + n_rows > rows.c.n_rows:
                raise IndexError("The batch has rows that X does not have.")
        else:
            batch = np.ascontiguousarray(batch, np.int64)
            n_rows = batch.size
            index = <const int64_t *>_pointer(batch, b"lq", n_rows)
        if random_state is not None:
            self.draw_dropout(n_rows, random_state)
        net.reserve(n_rows, rows, index != NULL)
        with nogil:
            outcome = net.kernels.evaluate(&net.c, &rows.c, index, start, n_rows, divisor, &value)
        _check(outcome)
        return value

    def run(self, X, signs, sample_weight, batches, double penalty, CompiledRule rule,
            int64_t n_steps, double[::1] rates, random_state=None):
        """Run the steps of an epoch; return the sum of rows times value over its batches.

        Parameters
        ----------
        X, signs, sample_weight
            As of `evaluate`.
        batches : Batches
            Order and size.
        penalty : float
            alpha over the weight sum.
        rule : CompiledRule
            Of the network's parameters and gradient.
        n_steps : int
            Steps taken before.
        rates : ndarray of shape (n_batches,)
        random_state : RandomState, default=None
            Draws the dropout.
        """
        cdef _Network net = self._net
        cdef _Rows rows = _Rows(_aligned(X), signs, sample_weight, net.format)
        cdef batches_t b
        cdef rule_t r = rule.c
        cdef int64_t done = 0, n_batches = rates.shape[0]
        cdef double total = 0.0
        net.check(rows)
        order, generator = batches.order, None
        b.order, b.start = NULL, 0
        b.n_rows, b.size = batches.n_rows, batches.size
        if b.n_rows > rows.c.n_rows or b.size < 1 or n_batches != (b.n_rows + b.size - 1) // b.size:
            raise ValueError("Rows, batches and rates do not belong together.")
        if order is not None:
            order = np.ascontiguousarray(order, np.int64)
            b.order = <const int64_t *>_pointer(order, b"lq", b.n_rows)
        if rule.format != net.format or r.n_parameters != self.network.parameters.size:
            raise ValueError("The rule is of another network.")
        r.penalty, r.n_steps = penalty, n_steps
        net.reserve(min(b.size, b.n_rows), rows, order is not None)
        if net.c.dropout != NULL:
            generator = random_state._bit_generator
            net.c.generator = PyCapsule_GetPointer(generator.capsule, "BitGenerator")
            generator.lock.acquire()
        try:
            while done < n_batches:
                with nogil:
                    done = net.kernels.run(
                        &net.c, &rows.c, &b, &r, &rates[0], done, _PATIENCE, &total)
                _check(done)
                PyErr_CheckSignals()
        finally:
            net.c.generator = NULL
            if generator is not None:
                generator.lock.release()
        return total


cdef class CompiledRule:
    """A rule and the vectors that it moves.

    Parameters
    ----------
    kind : {"gradient_descent", "momentum", "nesterov", "adam"}
    parameters, gradient : ndarray of shape (n_parameters,)
    moments : sequence of ndarray of shape (n_parameters,)
        The velocity, or the sums of Adam.
    n_weights : int
        Leading parameters that penalty and decay act on.
    max_grad_norm : float or None
    **constants : float
        Those of the kind, as fields of ``rule_t``.
    """

    cdef rule_t c
    cdef object arrays  # kept alive
    cdef bytes format
    cdef const kernels_t *kernels

    def __init__(self, str kind, parameters, gradient, moments, n_weights, max_grad_norm, *,
                 double momentum=0.0, double beta_1=0.0, double beta_2=0.0,
                 double root_epsilon=0.0, double weight_decay=0.0):
        self.arrays = parameters, gradient, list(moments)
        self.format = parameters.dtype.char.encode()
        self.kernels = &_kernels[b"fd".index(self.format)]
        self.c.kind = RULES.index(kind)
        self.c.momentum, self.c.beta_1, self.c.beta_2 = momentum, beta_1, beta_2
        self.c.root_epsilon, self.c.weight_decay = root_epsilon, weight_decay
        self.c.max_grad_norm = np.inf if max_grad_norm is None else max_grad_norm
        self.c.n_parameters = parameters.size
        self.c.n_weights = n_weights
        if n_weights > self.c.n_parameters or len(moments) != (0, 1, 1, 2)[self.c.kind]:
            raise ValueError("The rule and its vectors do not belong together.")
        self.c.parameters = _pointer(parameters, self.format)
        self.c.gradient = _pointer(gradient, self.format, parameters.size)
        self.c.moments[0] = self.c.moments[1] = NULL
        for k, moment in enumerate(moments):
            self.c.moments[k] = _pointer(moment, self.format, parameters.size)

    def step(self, int64_t n_steps, double rate, int64_t first=0, last=None):
        """Take step number ``n_steps``, of some of the parameters."""
        cdef int64_t stop = self.c.n_parameters if last is None else last
        cdef rule_t r = self.c
        if first < 0 or stop > self.c.n_parameters:
            raise IndexError("There are no such parameters.")
        r.n_steps = n_steps
        with nogil:
            self.kernels.step(&r, rate, first, stop)

    def clip(self):
        """Scale a gradient that is too long down to the largest norm."""
        with nogil:
            self.kernels.clip(&self.c)


def penalise(weights, gradient, double penalty):
    """Add the gradient of ``penalty / 2 * sum(weights ** 2)``; return its value."""
    cdef rule_t r
    format = weights.dtype.char.encode()
    r.penalty, r.n_weights = penalty, weights.size
    r.parameters = _pointer(weights, format)
    r.gradient = _pointer(gradient, format, weights.size)
    return _kernels[b"fd".index(format)].penalise(&r)


cdef class CompiledPrediction:
    """Logits of rows under given weights, block by block; one thread at a time.

    Parameters
    ----------
    weights, biases : sequence of ndarray
        By layer, C-contiguous.
    activation : str
    slope : float
    block : int
        Number of rows of a block; the last one may have fewer.
    """

    cdef _Network _net
    cdef int _block

    def __init__(self, weights, biases, activation, slope, int block):
        self._net, self._block = _Network(weights, biases, activation, slope), block

    def logits(self, X, out, int64_t start=0, stop=None):
        """Write the logits of rows [start, stop) of X, dense or CSR, to their places in ``out``."""
        cdef _Network net = self._net
        cdef _Rows rows = _Rows(_aligned(X), None, None, net.format)
        cdef int64_t last = rows.c.n_rows if stop is None else stop
        cdef int outcome = 0, n
        cdef char *address = <char *>_pointer(out, net.format, rows.c.n_rows)
        cdef int itemsize = out.itemsize
        net.check(rows)
        net.reserve(self._block, rows)
        if start < 0 or last > rows.c.n_rows:
            raise IndexError("There are no such rows.")
        with nogil:
            while start < last and outcome == 0:
                n = <int>min(<int64_t>self._block, last - start)
                outcome = net.kernels.predict(&net.c, &rows.c, start, n, address + start * itemsize)
                start += n
        _check(outcome)


def use(str instructions):
    """Let what is made from now on run for some instructions, one of ``VARIANTS``; for tests."""
    global _kernels
    _kernels = _variants[VARIANTS.index(instructions)]


def activate(str activation, double slope, z):
    """Apply an activation in place; for tests."""
    cdef _Network net = _Network(
        [np.zeros((1, 1), z.dtype)], [np.zeros(1, z.dtype)], activation, slope)
    net.kernels.activate(&net.c, _pointer(z, net.format), z.size)
