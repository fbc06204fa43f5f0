/* Forward pass, loss, backward pass. */

/* Rows whose sums are added up on their own, so that rounding errors do not grow with the batch */
#define CHUNK 128
#define LANES (64 / (int)sizeof(T))

/* ------------------------------------------------------------------ products */

/* C (m, n) = A (m, k) B (k, n) */
static void F(product)(const network_t *net, int m, int n, int k, const T *a, const T *b, T *c)
{
    net->gemm('N', 'N', n, m, k, b, n, a, k, c, n);
}

/* C (m, n) = A (m, k) B' for B (n, k) */
static void F(product_with_transpose)(const network_t *net, int m, int n, int k, const T *a,
                                      const T *b, T *c)
{
    net->gemm('T', 'N', n, m, k, b, k, a, k, c, n);
}

/* C (k, n) = A' B for A (m, k), B (m, n) */
static void F(product_of_transpose)(const network_t *net, int m, int n, int k, const T *a,
                                    const T *b, T *c)
{
    net->gemm('N', 'T', n, k, m, b, n, a, k, c, n);
}

static inline T F(dot)(int n, const T *RESTRICT a, const T *RESTRICT b)
{
    T lanes[64 / sizeof(T)] = {0}, sum = 0;
    int j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += a[j + lane] * b[j + lane];
    for (; j < n; j++) lanes[j % LANES] += a[j] * b[j];
    for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
    return sum;
}

/* y += a x */
static inline void F(add_multiple)(int n, T a, const T *RESTRICT x, T *RESTRICT y)
{
    for (int j = 0; j < n; j++) y[j] += a * x[j];
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

/* Return the rows of a dense batch, in place or gathered */
static const T *F(gather)(network_t *net, const rows_t *rows, const int64_t *index,
                          int64_t start, int m)
{
    const T *X = rows->X;
    int64_t n_features = rows->n_features;
    if (!index) return X + start * n_features;
    T *batch = net->X;
    for (int i = 0; i < m; i++) {
        if (i + 4 < m) {
            const T *next = X + index[i + 4] * n_features;
            for (int64_t j = 0; j < n_features && j < 1024; j += LANES) PREFETCH(next + j);
        }
        memcpy(batch + (int64_t)i * n_features, X + index[i] * n_features,
               (size_t)n_features * sizeof(T));
    }
    return batch;
}

/* Z (m, n) = X W for the rows of a CSR matrix */
static int F(sparse_product)(const rows_t *rows, const int64_t *index, int64_t start, int m,
                             int n, const T *W, T *Z)
{
    const T *data = rows->X;
    int size = rows->index_size;
    for (int i = 0; i < m; i++) {
        int64_t row = F(row_at)(index, start, i);
        int64_t stop = F(index_at)(rows->indptr, size, row + 1);
        T *z = Z + (int64_t)i * n;
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
                                           int64_t start, int m, int n, const T *D, T *G)
{
    const T *data = rows->X;
    int size = rows->index_size;
    memset(G, 0, (size_t)rows->n_features * (size_t)n * sizeof(T));
    for (int i = 0; i < m; i++) {
        int64_t row = F(row_at)(index, start, i);
        int64_t stop = F(index_at)(rows->indptr, size, row + 1);
        for (int64_t k = F(index_at)(rows->indptr, size, row); k < stop; k++)
            F(add_multiple)(n, data[k], D + (int64_t)i * n,
                            G + F(index_at)(rows->indices, size, k) * n);
    }
}

/* ------------------------------------------------------------------ hidden layers */

/* Z = f(Z + b), in one pass; with a cache, the derivative goes there */
static void F(activate_rows)(const network_t *net, int m, int n, T *RESTRICT z,
                             const T *RESTRICT b, T *RESTRICT cache)
{
    T slope = (T)net->slope, unused;
#define EACH_ROW(result)                       \
    for (int i = 0; i < m; i++) {              \
        T *RESTRICT row = z + (int64_t)i * n;  \
        for (int j = 0; j < n; j++) {          \
            T x = row[j] + b[j];               \
            row[j] = (result);                 \
        }                                      \
    }                                          \
    break;
    switch (net->activation) {
    case IDENTITY: EACH_ROW(x)
    case LOGISTIC: EACH_ROW(F(logistic)(x))
    case TANH: EACH_ROW(F(hyperbolic_tangent)(x))
    case RELU: EACH_ROW(x < C(0.0) ? C(0.0) : x)
    case LEAKY_RELU: EACH_ROW(x > slope * x ? x : slope * x)
    case ELU: EACH_ROW(F(elu)(x))
    case SILU:
        if (cache) { EACH_ROW(F(silu)(x, &cache[(int64_t)i * n + j])) }
        EACH_ROW(F(silu)(x, &unused))
    case GELU:
        if (cache) { EACH_ROW(F(gelu)(x, &cache[(int64_t)i * n + j])) }
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
        int64_t n = (int64_t)m * net->sizes[layer + 1];
        uint32_t threshold = (uint32_t)(net->dropout[layer] * 65536.0);
        unsigned char *kept = net->kept[layer];
        for (int64_t k = 0; k < n; k += 2) {
            uint32_t drawn = generator->next_uint32(generator->state);
            kept[k] = (drawn & 0xffff) >= threshold;
            if (k + 1 < n) kept[k + 1] = (drawn >> 16) >= threshold;
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
        int n_in = net->sizes[layer], n = net->sizes[layer + 1];
        T *z = net->activations[layer];
        if (layer == 0 && rows->index_size) {
            int failed = F(sparse_product)(rows, index, start, m, n, net->weights[0], z);
            if (failed) return failed;
        } else {
            F(product)(net, m, n, n_in, a, net->weights[layer], z);
        }
        F(activate_rows)(net, m, n, z, net->biases[layer], net->caches ? net->caches[layer] : NULL);
        if (net->kept) {
            const unsigned char *RESTRICT kept = net->kept[layer];
            T factor = F(kept_factor)(net, layer);
            for (int64_t k = 0; k < (int64_t)m * n; k++) z[k] *= (T)kept[k] * factor;
        }
        a = z;
    }
    *top = a;
    return 0;
}

/* D = D f'(A), in the place of A, and its column sums; D is given, or the products of the
   derivatives by the logits and the last layer's weights */
static void F(derive)(const network_t *net, int layer, int m, const T *RESTRICT D,
                      const T *RESTRICT dlogits, const T *RESTRICT w)
{
    int n = net->sizes[layer + 1];
    T *RESTRICT A = net->activations[layer];
    const T *RESTRICT cache = net->caches ? net->caches[layer] : NULL;
    const unsigned char *RESTRICT kept = net->kept ? net->kept[layer] : NULL;
    T *RESTRICT total = net->bias_gradients[layer], *RESTRICT sums = net->sums;
    T slope = (T)net->slope, factor = kept ? F(kept_factor)(net, layer) : C(1.0);
    T undo = kept ? (T)(1.0 - net->dropout[layer]) : C(1.0);

#define ROW(incoming, derivative, dropped)                            \
    for (int j = 0; j < n; j++) {                                     \
        T x = undo * a[j];                                            \
        T d = (incoming) * (derivative)dropped;                       \
        (void)x;                                                      \
        a[j] = d;                                                     \
        sums[j] += d;                                                 \
    }
#define ROWS(derivative)                                                                       \
    for (int i = first; i < last; i++) {                                                       \
        int64_t at = (int64_t)i * n;                                                           \
        T *RESTRICT a = A + at;                                                                \
        if (kept && D) { ROW(D[at + j], derivative, *((T)kept[at + j] * factor)) }             \
        else if (D) { ROW(D[at + j], derivative, ) }                                           \
        else {                                                                                 \
            T outer = dlogits[i];                                                              \
            if (kept) { ROW(outer * w[j], derivative, *((T)kept[at + j] * factor)) }           \
            else { ROW(outer * w[j], derivative, ) }                                           \
        }                                                                                      \
    }                                                                                          \
    break;

    memset(total, 0, (size_t)n * sizeof(T));
    for (int first = 0; first < m; first += CHUNK) {
        int last = first + CHUNK < m ? first + CHUNK : m;
        memset(sums, 0, (size_t)n * sizeof(T));
        switch (net->activation) {
        case IDENTITY: ROWS(C(1.0))
        case LOGISTIC: ROWS(((C(1.0) - x) * x))
        case TANH: ROWS((C(1.0) - x * x))
        case RELU: ROWS((x > C(0.0) ? C(1.0) : C(0.0)))
        case LEAKY_RELU: ROWS((x > C(0.0) ? C(1.0) : slope))
        case ELU: ROWS(((x > C(0.0) ? C(0.0) : x) + C(1.0)))
        default: ROWS(cache[at + j])
        }
        for (int j = 0; j < n; j++) total[j] += sums[j];
    }
#undef ROW
#undef ROWS
}

/* ------------------------------------------------------------------ output layer and loss */

/* Logits of rows whose last hidden activations are A (m, n) */
static void F(output_logits)(int m, int n, const T *A, const T *w, T b, T *logits)
{
    for (int i = 0; i < m; i++) logits[i] = F(dot)(n, A + (int64_t)i * n, w) + b;
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
static void F(output_gradient)(int m, int n, const T *RESTRICT A, const T *RESTRICT dlogits,
                               T *RESTRICT gradient, T *RESTRICT bias_gradient, T *RESTRICT sums)
{
    T bias = 0;
    memset(gradient, 0, (size_t)n * sizeof(T));
    for (int first = 0; first < m; first += CHUNK) {
        int last = first + CHUNK < m ? first + CHUNK : m;
        T bias_sum = 0;
        memset(sums, 0, (size_t)n * sizeof(T));
        for (int i = first; i < last; i++) {
            F(add_multiple)(n, dlogits[i], A + (int64_t)i * n, sums);
            bias_sum += dlogits[i];
        }
        for (int j = 0; j < n; j++) gradient[j] += sums[j];
        bias += bias_sum;
    }
    bias_gradient[0] = bias;
}

/* ------------------------------------------------------------------ a batch */

static ONE_COPY int F(evaluate)(network_t *net, const rows_t *rows, const int64_t *index, int64_t start,
                       int m, double divisor, double *value)
{
    int last = net->n_layers - 1, n = net->sizes[last];
    const T *input, *top;
    const T *w = net->weights[last], b = ((const T *)net->biases[last])[0];
    T *dlogits = net->dlogits, *sums = net->sums, *delta = net->delta, losses[CHUNK];

    int failed = F(forward)(net, rows, index, start, m, &input, &top);
    if (failed) return failed;
    if (top) {
        F(output_logits)(m, n, top, w, b, dlogits);
    } else { /* logistic regression on a CSR matrix */
        failed = F(sparse_product)(rows, index, start, m, 1, w, dlogits);
        if (failed) return failed;
        for (int i = 0; i < m; i++) dlogits[i] += b;
    }
    *value = F(log_loss)(rows, index, start, m, dlogits, divisor, losses);
    if (top) {
        F(output_gradient)(m, n, top, dlogits, net->weight_gradients[last],
                           net->bias_gradients[last], sums);
    } else {
        T total = 0;
        F(sparse_product_of_transpose)(rows, index, start, m, 1, dlogits,
                                       net->weight_gradients[last]);
        for (int i = 0; i < m; i++) total += dlogits[i];
        ((T *)net->bias_gradients[last])[0] = total;
    }

    for (int layer = last - 1; layer >= 0; layer--) {
        int n_in = net->sizes[layer];
        n = net->sizes[layer + 1];
        F(derive)(net, layer, m, layer == last - 1 ? NULL : delta, dlogits, w);
        const T *d = net->activations[layer];
        if (layer > 0) {
            F(product_of_transpose)(net, m, n, n_in, net->activations[layer - 1], d,
                                    net->weight_gradients[layer]);
            F(product_with_transpose)(net, m, n_in, n, d, net->weights[layer], delta);
        } else if (input) {
            F(product_of_transpose)(net, m, n, n_in, input, d, net->weight_gradients[0]);
        } else {
            F(sparse_product_of_transpose)(rows, index, start, m, n, d, net->weight_gradients[0]);
        }
    }
    return 0;
}

static int F(predict)(network_t *net, const rows_t *rows, int64_t start, int m, void *logits)
{
    int last = net->n_layers - 1;
    const T *input, *top;
    const T *w = net->weights[last], b = ((const T *)net->biases[last])[0];
    T *z = logits;
    int failed = F(forward)(net, rows, NULL, start, m, &input, &top);
    if (failed) return failed;
    if (top) {
        F(output_logits)(m, net->sizes[last], top, w, b, z);
        return 0;
    }
    failed = F(sparse_product)(rows, NULL, start, m, 1, w, z);
    for (int i = 0; i < m && !failed; i++) z[i] += b;
    return failed;
}

static void F(activate)(network_t *net, void *z, int64_t n)
{
    T zero = 0, *numbers = z;
    for (int64_t k = 0; k < n; k++) F(activate_rows)(net, 1, 1, numbers + k, &zero, NULL);
}

