/* Forward pass, loss, backward pass. */

/* Rows whose sums are added up on their own, so that rounding errors do not grow with the batch */
#define CHUNK 128
/* Activations are stored in rows of whole vectors, filled up with numbers that nobody reads: loops
   over them leave no rest, which would take as long as all the rest of a row */
#define LANES (VECTOR_BYTES / (int)sizeof(T))
/* Rows that are asked of memory before they are copied */
#define AHEAD 8

/* Of two rows of whole vectors. Registers and lanes are added up in pairs: one after the other they
   would wait for each other. Vectors larger than a register would go by way of memory. */
static inline T F(dot)(int n, const T *RESTRICT a, const T *RESTRICT b)
{
    T lanes[LANES] = {0};
#if defined(__GNUC__)
    enum { N_SUMS = LANES / WIDTH, N_LANES = WIDTH };
    F(vector) sums[N_SUMS] = {{0}};
    for (int j = 0; j < n; j += LANES)
        for (int k = 0; k < N_SUMS; k++)
            sums[k] += *(const F(vector) *)(a + j + k * WIDTH) * *(const F(vector) *)(b + j + k * WIDTH);
    for (int half = N_SUMS / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) sums[k] += sums[k + half];
    memcpy(lanes, sums, sizeof *sums);
#else
    enum { N_LANES = LANES };
    for (int j = 0; j < n; j += LANES)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += a[j + lane] * b[j + lane];
#endif
    for (int half = N_LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

/* Copy a vector of n numbers, filled up with zeros to whole vectors */
static inline void F(fill_up)(int n, int stride, const T *RESTRICT from, T *RESTRICT to)
{
    memcpy(to, from, (size_t)n * sizeof(T));
    memset(to + n, 0, (size_t)(stride - n) * sizeof(T));
}

/* y += a x */
static inline void F(add_multiple)(int n, T a, const T *RESTRICT x, T *RESTRICT y)
{
    for (int j = 0; j < n; j++) y[j] += a * x[j];
}

/* c = a + b; c may be one of them */
static inline void F(add)(int n, const T *a, const T *b, T *c)
{
    INDEPENDENT
    for (int j = 0; j < n; j++) c[j] = a[j] + b[j];
}

static inline int64_t F(index_at)(const void *indices, int size, int64_t k)
{
    return size == 4 ? ((const int32_t *)indices)[k] : ((const int64_t *)indices)[k];
}

/* ------------------------------------------------------------------ the rows of a batch */

static inline int64_t F(row_at)(const int64_t *index, int64_t start, int i)
{
    return index ? index[i] : start + i;
}

/* Where a row of a batch stands among the prepared ones */
static inline int64_t F(place_of)(const rows_t *rows, const int64_t *index, int64_t start, int i)
{
    int64_t row = F(row_at)(index, start, i);
    return rows->places ? rows->places[row] : row;
}

#include "lookup.h"

/* Return the numbers of prepared rows; what else they are is looked up */
static const T *F(gather_numbers)(network_t *net, const rows_t *rows, const int64_t *index,
                                  int64_t start, int m)
{
    const encoding_t *encoding = rows->encoding;
    T *numbers = net->X;
    for (int i = 0; i < m; i++) {
        int64_t place = F(place_of)(rows, index, start, i);
        F(encode_numbers)(encoding, (const T *)rows->X + place * encoding->stride,
                          numbers + (int64_t)i * encoding->last[0]);
    }
    F(look_up)(net, rows, index, start, m);
    return numbers;
}

/* Return the rows of a dense batch: in place, gathered or encoded */
static const T *F(gather)(network_t *net, const rows_t *rows, const int64_t *index,
                          int64_t start, int m)
{
    const T *X = rows->X;
    int64_t n_features = rows->n_features;
    T *batch = net->X;
    if (F(looks_up)(net, rows)) return F(gather_numbers)(net, rows, index, start, m);
    if (rows->encoding) {
        for (int i = 0; i < m; i++)
            F(encode_row)(rows->encoding,
                          X + F(place_of)(rows, index, start, i) * rows->encoding->stride,
                          batch + i * n_features);
        return batch;
    }
    if (!index) return X + start * n_features;
    for (int i = 0; i < m; i++) {
        if (i + AHEAD < m) {
            const T *next = X + index[i + AHEAD] * n_features;
            for (int64_t j = 0; j < n_features && j < 1024; j += LANES) PREFETCH(next + j);
        }
        memcpy(batch + (int64_t)i * n_features, X + index[i] * n_features,
               (size_t)n_features * sizeof(T));
    }
    return batch;
}

/* Z (m, n) = X W for the rows of a CSR matrix */
static int F(sparse_product)(const rows_t *rows, const int64_t *index, int64_t start, int m,
                             int n, const T *W, T *Z, int stride)
{
    const T *data = rows->X;
    int size = rows->index_size;
    for (int i = 0; i < m; i++) {
        int64_t row = F(row_at)(index, start, i);
        int64_t stop = F(index_at)(rows->indptr, size, row + 1);
        T *z = Z + (int64_t)i * stride;
        memset(z, 0, (size_t)n * sizeof(T));
        for (int64_t k = F(index_at)(rows->indptr, size, row); k < stop; k++) {
            int64_t column = F(index_at)(rows->indices, size, k);
            if (column < 0 || column >= rows->n_features) return BAD_INDEX;
            F(add_multiple)(n, data[k], W + column * n, z);
        }
    }
    return 0;
}

/* G (n_features, n) = X' D for the rows of a CSR matrix, whose indices have been checked */
static void F(sparse_product_of_transpose)(const rows_t *rows, const int64_t *index,
                                           int64_t start, int m, int n, const T *D, int stride,
                                           T *G)
{
    const T *data = rows->X;
    int size = rows->index_size;
    memset(G, 0, (size_t)rows->n_features * (size_t)n * sizeof(T));
    for (int i = 0; i < m; i++) {
        int64_t row = F(row_at)(index, start, i);
        int64_t stop = F(index_at)(rows->indptr, size, row + 1);
        for (int64_t k = F(index_at)(rows->indptr, size, row); k < stop; k++)
            F(add_multiple)(n, data[k], D + (int64_t)i * stride,
                            G + F(index_at)(rows->indices, size, k) * n);
    }
}

/* ------------------------------------------------------------------ hidden layers */

/* Z = f(Z + b), in one pass, for rows of whole vectors; with a cache, the derivative goes there */
static void F(activate_rows)(const network_t *net, int m, int stride, T *RESTRICT Z,
                             const T *RESTRICT bias, T *RESTRICT cache)
{
    T slope = (T)net->slope, unused;
#define EACH_ROW(result)                            \
    for (int i = 0; i < m; i++) {                   \
        int64_t at = (int64_t)i * stride;           \
        T *RESTRICT z = Z + at;                     \
        for (int j = 0; j < stride; j++) {          \
            T x = z[j] + bias[j];                   \
            z[j] = (result);                        \
        }                                           \
    }                                               \
    break;
    switch (net->activation) {
    case IDENTITY: EACH_ROW(x)
    case LOGISTIC: EACH_ROW(F(logistic)(x))
    case TANH: EACH_ROW(F(hyperbolic_tangent)(x))
    case RELU: EACH_ROW(x < C(0.0) ? C(0.0) : x)
    case LEAKY_RELU: EACH_ROW(x > slope * x ? x : slope * x)
    case ELU: EACH_ROW(F(elu)(x))
    case SILU:
        if (cache) { EACH_ROW(F(silu)(x, &cache[at + j])) }
        EACH_ROW(F(silu)(x, &unused))
    case GELU:
        if (cache) { EACH_ROW(F(gelu)(x, &cache[at + j])) }
        EACH_ROW(F(gelu)(x, &unused))
    }
#undef EACH_ROW
}

/* Draw which units stay, exactly as RandomState.randint(0, 2**16, dtype=uint16) draws: two
   numbers of 16 bits from each one of 32, the lower half first (Srivastava et al. 2014) */
static ONE_COPY void F(draw_dropout)(network_t *net, int m)
{
    bitgen_t *generator = net->generator;
    for (int layer = 0; layer + 1 < net->n_layers; layer++) {
        int n = net->sizes[layer + 1], stride = net->strides[layer + 1];
        uint32_t threshold = (uint32_t)(net->dropout[layer] * 65536.0), drawn = 0;
        int fresh = 0; /* whether a number of 16 bits is left */
        for (int i = 0; i < m; i++) {
            unsigned char *kept = net->kept[layer] + (int64_t)i * stride;
            for (int j = 0; j < n; j++) {
                drawn = fresh ? drawn >> 16 : generator->next_uint32(generator->state);
                fresh = !fresh;
                kept[j] = (drawn & 0xffff) >= threshold;
            }
        }
    }
}

static T F(kept_factor)(const network_t *net, int layer)
{
    return C(1.0) / (T)(1.0 - net->dropout[layer]);
}

/* Hidden layers; leaves the activations of the last one, or X, in `top` */
static ONE_COPY int F(forward)(network_t *net, const rows_t *rows, const int64_t *index, int64_t start,
                      int m, const T **input, const T **top)
{
    if (index)
        for (int i = 0; i < m; i++)
            if (index[i] < 0 || index[i] >= rows->n_rows) return BAD_INDEX;
    *input = rows->index_size ? NULL : F(gather)(net, rows, index, start, m);
    const T *a = *input;
    if (net->generator) F(draw_dropout)(net, m);
    for (int layer = 0; layer + 1 < net->n_layers; layer++) {
        int n_in = net->sizes[layer], n = net->sizes[layer + 1], stride = net->strides[layer + 1];
        T *z = net->activations[layer], *bias = net->vector;
        if (layer == 0 && rows->index_size) {
            int failed = F(sparse_product)(rows, index, start, m, n, net->weights[0], z, stride);
            if (failed) return failed;
        } else if (layer == 0 && F(looks_up)(net, rows)) {
            F(looked_up_product)(net, rows->encoding, m, a, z);
        } else if (layer == 0) {
            F(product_of_rows)(net, index, start, m, n, a, z, stride);
        } else {
            F(product)(net, m, n, n_in, a, net->strides[layer], net->weights[layer], z, stride);
        }
        F(fill_up)(n, stride, net->biases[layer], bias);
        F(activate_rows)(net, m, stride, z, bias, net->caches ? net->caches[layer] : NULL);
        if (net->kept) {
            const unsigned char *RESTRICT kept = net->kept[layer];
            T factor = F(kept_factor)(net, layer);
            for (int64_t k = 0; k < (int64_t)m * stride; k++) z[k] *= (T)kept[k] * factor;
        }
        a = z;
    }
    *top = a;
    return 0;
}

/* D = D f'(A), in the place of A, and its column sums; D is given, or the products of the
   derivatives by the logits and the last layer's weights, which are filled up */
static void F(derive)(const network_t *net, int layer, int m, const T *RESTRICT D,
                      const T *RESTRICT dlogits, const T *RESTRICT w)
{
    int n = net->sizes[layer + 1], stride = net->strides[layer + 1];
    T *RESTRICT A = net->activations[layer];
    const T *RESTRICT cache = net->caches ? net->caches[layer] : NULL;
    const unsigned char *RESTRICT kept = net->kept ? net->kept[layer] : NULL;
    T *RESTRICT total = net->bias_gradients[layer], *RESTRICT sums = net->sums;
    T slope = (T)net->slope, factor = kept ? F(kept_factor)(net, layer) : C(1.0);
    T undo = kept ? (T)(1.0 - net->dropout[layer]) : C(1.0);

    /* One unit of one row; four rows together read and write a sum once */
#define UNIT(i, incoming, derivative, dropped)                            \
    {                                                                     \
        int64_t at = (int64_t)(i) * stride + j;                           \
        T x = undo * A[at], d = (incoming(i)) * (derivative) dropped;     \
        (void)x;                                                          \
        A[at] = d;                                                        \
        s += d;                                                           \
    }
#define GIVEN(i) D[at]
#define TOP(i) dlogits[i] * w[j]
#define KEPT * ((T)kept[at] * factor)
#define EACH(incoming, derivative, dropped)                               \
    for (; i + 4 <= last; i += 4)                                         \
        for (int j = 0; j < stride; j++) {                                \
            T s = sums[j];                                                \
            UNIT(i, incoming, derivative, dropped)                        \
            UNIT(i + 1, incoming, derivative, dropped)                    \
            UNIT(i + 2, incoming, derivative, dropped)                    \
            UNIT(i + 3, incoming, derivative, dropped)                    \
            sums[j] = s;                                                  \
        }                                                                 \
    for (; i < last; i++)                                                 \
        for (int j = 0; j < stride; j++) {                                \
            T s = sums[j];                                                \
            UNIT(i, incoming, derivative, dropped)                        \
            sums[j] = s;                                                  \
        }
#define ROWS(derivative)                                                  \
    if (D && kept) { EACH(GIVEN, derivative, KEPT) }                      \
    else if (D) { EACH(GIVEN, derivative, ) }                             \
    else if (kept) { EACH(TOP, derivative, KEPT) }                        \
    else { EACH(TOP, derivative, ) }                                      \
    break;

    memset(total, 0, (size_t)n * sizeof(T));
    for (int first = 0; first < m; first += CHUNK) {
        int i = first, last = first + CHUNK < m ? first + CHUNK : m;
        memset(sums, 0, (size_t)stride * sizeof(T));
        switch (net->activation) {
        case IDENTITY: ROWS(C(1.0))
        case LOGISTIC: ROWS(((C(1.0) - x) * x))
        case TANH: ROWS((C(1.0) - x * x))
        case RELU: ROWS((x > C(0.0) ? C(1.0) : C(0.0)))
        case LEAKY_RELU: ROWS((x > C(0.0) ? C(1.0) : slope))
        case ELU: ROWS(((x > C(0.0) ? C(0.0) : x) + C(1.0)))
        default: ROWS(cache[at])
        }
        for (int j = 0; j < n; j++) total[j] += sums[j];
    }
#undef UNIT
#undef GIVEN
#undef TOP
#undef KEPT
#undef EACH
#undef ROWS
}

/* ------------------------------------------------------------------ output layer and loss */

/* Logits of rows of which A (m, n) are the last hidden activations, or X. Of the former, rows are
   of whole vectors, and w is filled up. */
static ONE_COPY void F(output_logits)(const network_t *net, int m, const T *A, const T *w, T *logits)
{
    int last = net->n_layers - 1, stride = net->strides[last];
    T b = ((const T *)net->biases[last])[0];
    if (last == 0) {
        F(product)(net, m, 1, stride, A, stride, w, logits, 1);
        for (int i = 0; i < m; i++) logits[i] += b;
        return;
    }
    for (int i = 0; i < m; i++) logits[i] = F(dot)(stride, A + (int64_t)i * stride, w) + b;
}

/* Weighted sum of log losses over a divisor; the logits are replaced by its derivatives */
static double F(log_loss)(const rows_t *rows, const int64_t *index, int64_t start, int m,
                          T *RESTRICT logits, double divisor, T *RESTRICT losses)
{
    const T *weight = rows->sample_weight;
    T share = (T)(1.0 / divisor);
    double inverse = 1.0 / divisor, value = 0.0;
    for (int first = 0; first < m; first += CHUNK) {
        int n = m - first < CHUNK ? m - first : CHUNK;
        T signs[CHUNK], weights[CHUNK];
        for (int i = 0; i < n; i++) {
            int64_t row = F(row_at)(index, start, first + i);
            signs[i] = (T)rows->signs[row];
            weights[i] = weight ? weight[row] : C(1.0);
        }
        T *RESTRICT z = logits + first;
        for (int i = 0; i < n; i++) {
            T t = z[i] * signs[i];
            T e = F(exponential)(-FABS(t)), p = C(1.0) / (C(1.0) + e);
            losses[i] = (t > C(0.0) ? t : C(0.0)) + F(log1p_of_share)(e);
            p = t < C(0.0) ? e * p : p;
            z[i] = (p * signs[i]) * weights[i] * share;
        }
        double sum = 0.0;
        for (int i = 0; i < n; i++) sum += ((double)losses[i] * inverse) * (double)weights[i];
        value += sum;
    }
    return value;
}

/* Gradient of the output layer by its weights and its bias */
static ONE_COPY void F(output_gradient)(const network_t *net, int m, const T *RESTRICT A,
                                        const T *RESTRICT dlogits)
{
    int last = net->n_layers - 1, n = net->sizes[last], stride = net->strides[last];
    T *RESTRICT gradient = net->weight_gradients[last], *RESTRICT sums = net->sums, bias = 0;
    if (last > 0) memset(gradient, 0, (size_t)n * sizeof(T));
    for (int first = 0; first < m; first += CHUNK) {
        int i = first, stop = first + CHUNK < m ? first + CHUNK : m;
        T bias_sum = 0;
        for (i = first; i < stop; i++) bias_sum += dlogits[i];
        bias += bias_sum;
        if (last == 0) continue;
        memset(sums, 0, (size_t)stride * sizeof(T));
        for (i = first; i + 4 <= stop; i += 4) {
            const T *RESTRICT a = A + (int64_t)i * stride, *RESTRICT b = a + stride;
            const T *RESTRICT c = b + stride, *RESTRICT d = c + stride;
            T by_a = dlogits[i], by_b = dlogits[i + 1], by_c = dlogits[i + 2], by_d = dlogits[i + 3];
            INDEPENDENT
            for (int j = 0; j < stride; j++) {
                T s = sums[j];
                s += by_a * a[j];
                s += by_b * b[j];
                s += by_c * c[j];
                s += by_d * d[j];
                sums[j] = s;
            }
        }
        for (; i < stop; i++) F(add_multiple)(stride, dlogits[i], A + (int64_t)i * stride, sums);
        for (int j = 0; j < n; j++) gradient[j] += sums[j];
    }
    if (last == 0) F(product_of_transpose)(net, m, 1, n, A, stride, dlogits, 1, gradient);
    ((T *)net->bias_gradients[last])[0] = bias;
}

/* ------------------------------------------------------------------ a batch */

/* Logits of a batch, of rows that are dense or not; input and top as of `forward`, and the last
   layer's weights as `output_logits` wants them */
static int F(logits)(network_t *net, const rows_t *rows, const int64_t *index, int64_t start, int m,
                     const T **input, const T **top, const T **w, T *logits)
{
    int last = net->n_layers - 1;
    int failed = F(forward)(net, rows, index, start, m, input, top);
    if (failed) return failed;
    *w = net->weights[last];
    if (*top) {
        if (last > 0) {
            F(fill_up)(net->sizes[last], net->strides[last], *w, net->vector);
            *w = net->vector;
        }
        F(output_logits)(net, m, *top, *w, logits);
        return 0;
    }
    /* logistic regression on a CSR matrix */
    failed = F(sparse_product)(rows, index, start, m, 1, *w, logits, 1);
    for (int i = 0; i < m && !failed; i++) logits[i] += ((const T *)net->biases[last])[0];
    return failed;
}

static ONE_COPY int F(evaluate)(network_t *net, const rows_t *rows, const int64_t *index,
                                int64_t start, int m, double divisor, double *value)
{
    int last = net->n_layers - 1;
    const T *input, *top, *w;
    T *dlogits = net->dlogits, *delta = net->delta, losses[CHUNK];

    int failed = F(logits)(net, rows, index, start, m, &input, &top, &w, dlogits);
    if (failed) return failed;
    *value = F(log_loss)(rows, index, start, m, dlogits, divisor, losses);
    if (top) {
        F(output_gradient)(net, m, top, dlogits);
    } else {
        T total = 0;
        F(sparse_product_of_transpose)(rows, index, start, m, 1, dlogits, 1,
                                       net->weight_gradients[last]);
        for (int i = 0; i < m; i++) total += dlogits[i];
        ((T *)net->bias_gradients[last])[0] = total;
    }

    for (int layer = last - 1; layer >= 0; layer--) {
        int n_in = net->sizes[layer], n = net->sizes[layer + 1];
        int in_stride = net->strides[layer], stride = net->strides[layer + 1];
        F(derive)(net, layer, m, layer == last - 1 ? NULL : delta, dlogits, w);
        const T *d = net->activations[layer];
        if (layer > 0) {
            F(product_of_transpose)(net, m, n, n_in, net->activations[layer - 1], in_stride, d,
                                    stride, net->weight_gradients[layer]);
            F(product_with_transpose)(net, m, n_in, n, d, stride, net->weights[layer], delta,
                                      in_stride);
        } else if (F(looks_up)(net, rows)) {
            F(looked_up_product_of_transpose)(net, rows->encoding, m, input, d);
        } else if (input) {
            F(product_of_transposed_rows)(net, index, start, m, n, input, d, stride);
        } else {
            F(sparse_product_of_transpose)(rows, index, start, m, n, d, stride,
                                           net->weight_gradients[0]);
        }
    }
    /* what fills up the rows of the last hidden layer was multiplied by 0, and must stay finite */
    if (last > 0 && !(fabs(*value) <= DBL_MAX))
        memset(net->activations[last - 1], 0, (size_t)m * (size_t)net->strides[last] * sizeof(T));
    return 0;
}

static int F(predict)(network_t *net, const rows_t *rows, int64_t start, int m, void *logits)
{
    const T *input, *top, *w;
    return F(logits)(net, rows, NULL, start, m, &input, &top, &w, logits);
}

static void F(activate)(network_t *net, void *z, int64_t n)
{
    T zeros[LANES] = {0}, some[LANES] = {0}, *numbers = z;
    for (int64_t k = 0; k < n; k += LANES) {
        size_t size = (size_t)(n - k < LANES ? n - k : LANES) * sizeof(T);
        memcpy(some, numbers + k, size);
        F(activate_rows)(net, 1, LANES, some, zeros, NULL);
        memcpy(numbers + k, some, size);
    }
}
