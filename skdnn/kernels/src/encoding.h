/* Wide rows made of prepared ones; the reference is skdnn/preprocessing/layout.py. */

/* The numbers of one row, clipped smoothly */
static void F(encode_numbers)(const encoding_t *encoding, const T *RESTRICT prepared,
                              T *RESTRICT out)
{
    const int32_t *RESTRICT source = encoding->sources;
    T clip = (T)encoding->clip;
    for (int k = 0; k < encoding->last[0]; k++) {
        T x = prepared[source[k]], part;
        x = x == x ? x : C(0.0); /* the median, for a gap */
        part = x / clip;
        out[k] = x / SQRT(C(1.0) + part * part);
    }
}

/* One row */
static void F(encode_row)(const encoding_t *encoding, const T *RESTRICT prepared, T *RESTRICT out)
{
    const int32_t *RESTRICT source = encoding->sources;
    const T *RESTRICT at = encoding->at, *RESTRICT width = encoding->width;
    const int *last = encoding->last;
    int k = last[0];
    F(encode_numbers)(encoding, prepared, out);
    for (; k < last[1]; k++) {
        T x = prepared[source[k]];
        x = ((x == x ? x : C(0.0)) - at[k]) / width[k];
        x = x < C(0.0) ? C(0.0) : x;
        out[k] = x > C(1.0) ? C(1.0) : x;
    }
    for (; k < last[2]; k++) out[k] = prepared[source[k]] == at[k] ? C(1.0) : C(0.0);
    for (; k < last[3]; k++)
        out[k] = prepared[source[k]] == prepared[source[k]] ? C(0.0) : C(1.0);
}

static void F(encode)(const encoding_t *encoding, const void *prepared, const int64_t *index,
                      int64_t n_rows, void *out)
{
    for (int64_t i = 0; i < n_rows; i++)
        F(encode_row)(encoding, (const T *)prepared + (index ? index[i] : i) * encoding->stride,
                      (T *)out + i * encoding->last[3]);
}
