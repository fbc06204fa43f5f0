/* Products of rows that are made of prepared ones, without making them. Of the bins of a number all
   below its own are 1 and all above are 0, and of the levels of a category one is 1 at most. So what
   the weights of the bins below add up to stands in a table, and is looked up as the weights of
   levels are. Only the numbers themselves are multiplied as a matrix. */

/* Whether a network takes rows in this way: with a hidden layer, which is as wide as the table */
static inline int F(looks_up)(const network_t *net, const rows_t *rows)
{
    return rows->encoding && net->n_layers > 1;
}

/* Of up to CHUNK numbers, which are of one prepared column, the bins, counted from the first bin of
   all, and the shares of these that lie below */
static void F(find_bins)(const encoding_t *encoding, int run, int m, T *RESTRICT numbers,
                         int32_t *RESTRICT places, T *RESTRICT parts)
{
    int n_numbers = encoding->last[0];
    int first = encoding->runs[run] - n_numbers, last = encoding->runs[run + 1] - n_numbers - 1;
    const T *at = (const T *)encoding->at + n_numbers;
    const T *width = (const T *)encoding->width + n_numbers;
    for (int i = 0; i < m; i++) {
        numbers[i] = numbers[i] == numbers[i] ? numbers[i] : C(0.0); /* the median, for a gap */
        places[i] = first;
    }
    for (int k = first + 1; k <= last; k++) {
        T edge = at[k];
        for (int i = 0; i < m; i++) places[i] += numbers[i] >= edge;
    }
    for (int i = 0; i < m; i++) {
        T part = (numbers[i] - at[places[i]]) / width[places[i]];
        part = part > C(0.0) ? part : C(0.0);
        parts[i] = part < C(1.0) ? part : C(1.0);
    }
}

/* What is looked up of a batch: the bin of each number and the share of it that lies below, then
   the level of each category and each gap, or -1; arrays of all rows of the batch */
static void F(look_up)(const network_t *net, const rows_t *rows, const int64_t *index,
                       int64_t start, int m)
{
    const encoding_t *encoding = rows->encoding;
    const int32_t *source = encoding->sources, *runs = encoding->runs;
    const T *at = encoding->at, *X = rows->X;
    for (int begin = 0; begin < m; begin += CHUNK) {
        int c = m - begin < CHUNK ? m - begin : CHUNK;
        int64_t of_row[CHUNK];
        for (int i = 0; i < c; i++)
            of_row[i] = F(place_of)(rows, index, start, begin + i) * encoding->stride;
        for (int r = 0; r < encoding->n_terms; r++) {
            int32_t *places = net->places + (int64_t)r * m + begin;
            int k = r < encoding->n_runs ? runs[r] : r - encoding->n_runs + encoding->last[2];
            const T *column = X + source[k];
            T numbers[CHUNK];
            for (int i = 0; i < c; i++) numbers[i] = column[of_row[i]];
            if (r < encoding->n_bin_runs) {
                F(find_bins)(encoding, r, c, numbers, places,
                             (T *)net->parts + (int64_t)r * m + begin);
            } else if (r < encoding->n_runs) {
                T n = (T)(runs[r + 1] - k);
                for (int i = 0; i < c; i++) {
                    T steps = numbers[i] - at[k];
                    int place = k + (steps >= C(0.0) && steps < n ? (int)steps : 0);
                    places[i] = at[place] == numbers[i] ? place : -1;
                }
            } else {
                for (int i = 0; i < c; i++) places[i] = numbers[i] == numbers[i] ? -1 : k;
            }
        }
    }
}

#if defined(__GNUC__) && N_REGISTERS > 0
/* For whole vectors of units from `j` on, as many together as there are */
#define EACH_BLOCK(stride, block)                                        \
    for (int j = 0; j < (stride);) {                                     \
        int left = ((stride) - j) / WIDTH;                               \
        if (left >= 8) { block(8) j += 8 * WIDTH; }                      \
        else if (left >= 4) { block(4) j += 4 * WIDTH; }                 \
        else { block(1) j += WIDTH; }                                    \
    }
#endif

/* z += what the bins of a row give, of a batch of m; `table` has of each bin the sum of the weights
   below, and its own */
static inline void F(add_bins)(int n_runs, int m, const int32_t *places, const T *parts, int stride,
                               const T *RESTRICT table, T *RESTRICT z)
{
#if defined(__GNUC__) && N_REGISTERS > 0
#define BLOCK(n)                                                                          \
    {                                                                                     \
        F(vector) sums[n], *to = (F(vector) *)(z + j);                                    \
        UNROLLED for (int v = 0; v < n; v++) sums[v] = to[v];                             \
        for (int64_t r = 0; r < n_runs; r++) {                                            \
            const T *bin = table + (int64_t)2 * places[r * m] * stride + j;               \
            const F(vector) *below = (const F(vector) *)bin;                              \
            const F(vector) *own = (const F(vector) *)(bin + stride);                     \
            T part = parts[r * m];                                                        \
            UNROLLED for (int v = 0; v < n; v++) sums[v] += below[v] + part * own[v];     \
        }                                                                                 \
        UNROLLED for (int v = 0; v < n; v++) to[v] = sums[v];                             \
    }
    EACH_BLOCK(stride, BLOCK)
#undef BLOCK
#else
    for (int64_t r = 0; r < n_runs; r++) {
        const T *below = table + (int64_t)2 * places[r * m] * stride, *own = below + stride;
        T part = parts[r * m];
        for (int j = 0; j < stride; j++) z[j] += below[j] + part * own[j];
    }
#endif
}

/* The other way: d is added to the sums of each bin of a row */
static inline void F(add_to_bins)(int n_runs, int m, const int32_t *places, const T *parts,
                                  int stride, const T *RESTRICT d, T *RESTRICT table)
{
#if defined(__GNUC__) && N_REGISTERS > 0
#define BLOCK(n)                                                                          \
    {                                                                                     \
        F(vector) incoming[n];                                                            \
        UNROLLED for (int v = 0; v < n; v++) incoming[v] = ((const F(vector) *)(d + j))[v]; \
        for (int64_t r = 0; r < n_runs; r++) {                                            \
            T *bin = table + (int64_t)2 * places[r * m] * stride + j;                     \
            F(vector) *below = (F(vector) *)bin, *own = (F(vector) *)(bin + stride);      \
            T part = parts[r * m];                                                        \
            UNROLLED for (int v = 0; v < n; v++) below[v] += incoming[v];                 \
            UNROLLED for (int v = 0; v < n; v++) own[v] += part * incoming[v];            \
        }                                                                                 \
    }
    EACH_BLOCK(stride, BLOCK)
#undef BLOCK
#else
    for (int64_t r = 0; r < n_runs; r++) {
        T *below = table + (int64_t)2 * places[r * m] * stride, *own = below + stride;
        T part = parts[r * m];
        for (int j = 0; j < stride; j++) below[j] += d[j], own[j] += part * d[j];
    }
#endif
}

/* Z (m, n) = X W for rows of which the numbers are given, and the rest was looked up */
static ONE_COPY void F(looked_up_product)(const network_t *net, const encoding_t *encoding, int m,
                                          const T *numbers, T *Z)
{
    int n = net->sizes[1], stride = net->strides[1], n_numbers = encoding->last[0];
    const T *W = net->weights[0];
    T *table = net->table;
    if (n_numbers)
        F(product)(net, m, n, n_numbers, numbers, n_numbers, W, Z, stride);
    else
        memset(Z, 0, (size_t)m * (size_t)stride * sizeof(T));
    for (int r = 0; r < encoding->n_bin_runs; r++)
        for (int64_t k = encoding->runs[r]; k < encoding->runs[r + 1]; k++) {
            T *below = table + 2 * (k - n_numbers) * stride;
            F(fill_up)(n, stride, W + k * n, below + stride);
            if (k == encoding->runs[r])
                memset(below, 0, (size_t)stride * sizeof(T));
            else
                F(add)(stride, below - 2 * stride, below - stride, below);
        }
    for (int i = 0; i < m; i++) {
        T *z = Z + (int64_t)i * stride;
        const int32_t *places = net->places + i;
        F(add_bins)(encoding->n_bin_runs, m, places, (const T *)net->parts + i, stride, table, z);
        for (int64_t r = encoding->n_bin_runs; r < encoding->n_terms; r++) {
            int64_t place = places[r * m];
            if (place >= 0) F(add)(n, z, W + place * n, z);
        }
    }
}

/* G (n_outputs, n) = X' D likewise */
static ONE_COPY void F(looked_up_product_of_transpose)(const network_t *net,
                                                       const encoding_t *encoding, int m,
                                                       const T *numbers, const T *D)
{
    int n = net->sizes[1], stride = net->strides[1], n_numbers = encoding->last[0];
    size_t n_bins = (size_t)(encoding->last[1] - n_numbers);
    T *G = net->weight_gradients[0], *above = net->sums, *table = net->table;
    if (n_numbers) F(product_of_transpose)(net, m, n, n_numbers, numbers, n_numbers, D, stride, G);
    memset(G + (int64_t)n_numbers * n, 0,
           (size_t)(encoding->last[3] - n_numbers) * (size_t)n * sizeof(T));
    memset(table, 0, n_bins * 2 * (size_t)stride * sizeof(T));
    for (int i = 0; i < m; i++) {
        const T *d = D + (int64_t)i * stride;
        const int32_t *places = net->places + i;
        F(add_to_bins)(encoding->n_bin_runs, m, places, (const T *)net->parts + i, stride, d, table);
        for (int64_t r = encoding->n_bin_runs; r < encoding->n_terms; r++) {
            int64_t place = places[r * m];
            if (place >= 0) F(add)(n, G + place * n, d, G + place * n);
        }
    }
    /* a bin is full in the rows whose number is in one above it */
    for (int r = 0; r < encoding->n_bin_runs; r++) {
        memset(above, 0, (size_t)stride * sizeof(T));
        for (int64_t k = encoding->runs[r + 1] - 1; k >= encoding->runs[r]; k--) {
            const T *sums = table + 2 * (k - n_numbers) * stride;
            F(add)(n, sums + stride, above, G + k * n);
            F(add)(stride, above, sums, above);
        }
    }
}
