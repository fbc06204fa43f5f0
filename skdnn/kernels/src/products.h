/* Products of matrices: by BLAS, but for those of a lower triangle, half of which BLAS would
   multiply by 0. */

#if defined(__GNUC__)
#define WIDTH (REGISTER_BYTES / (int)sizeof(T))
typedef T F(vector) __attribute__((vector_size(REGISTER_BYTES), aligned(sizeof(T)), may_alias));
#endif

/* C (m, n) = A (m, k) B (k, n); rows of A and C lie apart by their strides */
static void F(product)(const network_t *net, int m, int n, int k, const T *a, int a_stride,
                       const T *b, T *c, int c_stride)
{
    net->gemm('N', 'N', n, m, k, b, n, a, a_stride, c, c_stride);
}

/* C (m, n) = A (m, k) B' for B (n, k) */
static void F(product_with_transpose)(const network_t *net, int m, int n, int k, const T *a,
                                      int a_stride, const T *b, T *c, int c_stride)
{
    net->gemm('T', 'N', n, m, k, b, k, a, a_stride, c, c_stride);
}

/* C (k, n) = A' B for A (m, k), B (m, n) */
static void F(product_of_transpose)(const network_t *net, int m, int n, int k, const T *a,
                                    int a_stride, const T *b, int b_stride, T *c)
{
    net->gemm('N', 'T', n, k, m, b, b_stride, a, a_stride, c, n);
}

#if defined(__GNUC__) && N_REGISTERS > 0
/* A tile is as many vectors wide as a row of C, if these are few, and as high as there are
   registers for. */
#define TILE_ROWS(n_vectors) ((N_REGISTERS - 1) / (n_vectors) - 1)
#define UNROLLED _Pragma("GCC unroll 32")

/* C (n_rows, n) = A B, for a panel of columns B (k, n_vectors * WIDTH) of which n count */
static inline __attribute__((always_inline)) void F(tile)(
    int n_rows, int n_vectors, int n, int64_t k, const T *RESTRICT a, int64_t a_row,
    int64_t a_column, const T *RESTRICT b, T *RESTRICT c, int64_t c_row)
{
    F(vector) sums[TILE_ROWS(1)][MOST_VECTORS];
    UNROLLED for (int i = 0; i < n_rows; i++)
        UNROLLED for (int v = 0; v < n_vectors; v++) sums[i][v] = (F(vector)){0};
    for (int64_t p = 0; p < k; p++) {
        const F(vector) *factors = (const F(vector) *)(b + p * n_vectors * WIDTH);
        UNROLLED for (int i = 0; i < n_rows; i++) {
            T x = a[i * a_row + p * a_column];
            UNROLLED for (int v = 0; v < n_vectors; v++) sums[i][v] += x * factors[v];
        }
    }
    UNROLLED for (int i = 0; i < n_rows; i++) {
        T line[MOST_VECTORS * WIDTH];
        UNROLLED for (int v = 0; v < n_vectors; v++)
            memcpy(line + v * WIDTH, &sums[i][v], sizeof(F(vector)));
        memcpy(c + i * c_row, line, (size_t)n * sizeof(T));
    }
}

/* C (m, n) = A (m, k) B for a panel. Of row i of A, or of A', what is right of column i + before is
   0. */
static inline __attribute__((always_inline)) void F(tiles)(
    int n_vectors, int is_transposed, int64_t before, int m, int n, int k, const T *a,
    int64_t a_row, int64_t a_column, const T *b, T *c, int64_t c_row)
{
    const int n_rows = TILE_ROWS(n_vectors);
    if (!is_transposed) a_column = 1;
    for (int i = 0; i < m; i += n_rows) {
        /* the last tile takes rows of the one before once more; few rows go one by one */
        int64_t first = i + n_rows <= m || m < n_rows ? i : m - n_rows;
        int64_t start = 0, stop = k;
        if (is_transposed && first > before) start = first - before;
        if (!is_transposed && before + first + n_rows < k) stop = before + first + n_rows;
        if (start >= stop) start = stop = 0;
        const T *from = a + first * a_row + start * a_column;
        const T *factors = b + start * n_vectors * WIDTH;
        T *to = c + first * c_row;
        if (m >= n_rows)
            F(tile)(n_rows, n_vectors, n, stop - start, from, a_row, a_column, factors, to, c_row);
        else
            F(tile)(1, n_vectors, n, stop - start, from, a_row, a_column, factors, to, c_row);
        if (m < n_rows) i -= n_rows - 1;
    }
}

/* C (m, n) = A (m, k) B (k, n), as `tiles` takes A */
static ONE_COPY void F(triangular_product)(int is_transposed, int64_t before, int m, int n, int k,
                                           const T *a, int64_t a_row, int64_t a_column, const T *b,
                                           int64_t b_row, T *c, int64_t c_row, T *RESTRICT panel)
{
    int n_vectors = (n + WIDTH - 1) / WIDTH;
    if (n_vectors > MOST_VECTORS) n_vectors = 2;
    for (int width = n_vectors * WIDTH, j = 0; j < n; j += width) {
        int n_columns = n - j < width ? n - j : width;
        for (int p = 0; p < k; p++) {
            memcpy(panel + p * width, b + p * b_row + j, (size_t)n_columns * sizeof(T));
            memset(panel + p * width + n_columns, 0, (size_t)(width - n_columns) * sizeof(T));
        }
#define TILES(n_vectors)                                                                     \
    case n_vectors:                                                                          \
        F(tiles)(n_vectors, is_transposed, before, m, n_columns, k, a, a_row, a_column, panel, \
                 c + j, c_row);                                                              \
        break;
        switch (n_vectors) { TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) }
#undef TILES
    }
}
#define TRIANGULAR_OR(m, n, k, arguments, otherwise)                 \
    if (net->panel && !index && (k) <= MOST_ADDED)           \
        F(triangular_product) arguments;                             \
    else                                                             \
        otherwise;
#else
#define TRIANGULAR_OR(m, n, k, arguments, otherwise) otherwise;
#endif

/* Z (m, n) = X W for rows of the batch: by index, or from `start` on */
static void F(product_of_rows)(const network_t *net, const int64_t *index, int64_t start, int m,
                               int n, const T *X, T *Z, int stride)
{
    int k = net->sizes[0];
    const T *W = net->weights[0];
    TRIANGULAR_OR(m, n, k, (0, start, m, n, k, X, k, 1, W, n, Z, stride, net->panel),
                  F(product)(net, m, n, k, X, k, W, Z, stride))
}

/* G (k, n) = X' D likewise */
static void F(product_of_transposed_rows)(const network_t *net, const int64_t *index, int64_t start,
                                          int m, int n, const T *X, const T *D, int stride)
{
    int k = net->sizes[0];
    T *G = net->weight_gradients[0];
    TRIANGULAR_OR(k, n, m, (1, start, k, n, m, X, 1, k, D, stride, G, n, net->panel),
                  F(product_of_transpose)(net, m, n, k, X, k, D, stride, G))
}
