/* Compiled steps: what the parts share. The NumPy reference of all this is skdnn/network and
   skdnn/solvers; names are those of the reference. */
#ifndef SKDNN_STEP_H
#define SKDNN_STEP_H

#include <stdint.h>

enum activation { IDENTITY, LOGISTIC, TANH, RELU, LEAKY_RELU, ELU, SILU, GELU };
enum rule { GRADIENT_DESCENT, MOMENTUM, NESTEROV, ADAM };
enum outcome { BAD_INDEX = -1 };

/* C = op(A) op(B) of column-major matrices, as BLAS's gemm with alpha = 1 and beta = 0 */
typedef void gemm_function(char op_a, char op_b, int m, int n, int k, const void *a, int lda,
                           const void *b, int ldb, void *c, int ldc);

/* What rows of activations are filled up to, and aligned to: a vector of the widest processors */
#define VECTOR_BYTES 64
/* Numbers that a product of a triangle adds up at most, and vectors that a row of it has */
#define MOST_ADDED 512
#define MOST_VECTORS 5

/* A network and the memory that one thread works in. Matrices are row-major. */
typedef struct {
    int n_layers;                 /* of weights; the last one gives the logit */
    const int *sizes;             /* (n_layers + 1,) */
    const int *strides;           /* likewise: from row to row of X and of the activations */
    int activation;
    double slope;                 /* of leaky_relu */
    void *panel;                  /* (MOST_ADDED, MOST_VECTORS) vectors, where row i of X is 0 right
                                     of column i; or NULL */
    const double *dropout;        /* (n_layers - 1,) rates, or NULL */
    const void **weights;         /* by layer (n_in, n_out) */
    const void **biases;          /* by layer (n_out,) */
    void **weight_gradients;
    void **bias_gradients;
    void **activations;           /* by hidden layer (capacity, stride) */
    void **caches;                /* likewise, of silu and gelu; or NULL */
    unsigned char **kept;         /* likewise, of dropout: 1 for a unit that stays; or NULL */
    void *X;                      /* (capacity, n_features), of prepared rows the numbers alone; or
                                     NULL where rows come as slices */
    int32_t *places;              /* (capacity, n_terms) what is looked up of prepared rows */
    void *parts;                  /* (capacity, n_bin_runs) */
    void *table;                  /* (n_bins, 2, first hidden stride) */
    void *delta;                  /* (capacity, longest stride) */
    void *dlogits;                /* (capacity,) */
    void *sums, *vector;          /* (longest stride,) */
    gemm_function *gemm;
    void *generator;              /* numpy's bitgen_t, or NULL: masks were drawn before */
} network_t;

/* How wide rows are made of prepared ones: numbers, bins, levels and gaps, in this order */
typedef struct {
    int last[4];                  /* output after the last one of each kind */
    const int32_t *sources;       /* (n_outputs,) prepared column of each */
    const int32_t *runs;          /* (n_runs + 1,) where bins of one number begin, then levels of
                                     one category, and where the last ones end */
    int n_bin_runs, n_runs;
    int n_terms;                  /* runs and gaps */
    const void *at, *width;       /* (n_outputs,) lower edge of a bin, code of a level; of a bin */
    double clip;                  /* where the smooth clipping of numbers levels off */
    int64_t stride;               /* from row to row of the prepared ones */
} encoding_t;

/* Rows to train on: dense, CSR, or prepared */
typedef struct {
    int64_t n_rows;
    int64_t n_features;
    const void *X;                /* (n_rows, n_features), or the numbers of a CSR matrix */
    const encoding_t *encoding;   /* of prepared rows, which X are, or NULL */
    const int64_t *places;        /* (n_rows,) of the rows among the prepared ones; NULL: all */
    const void *indices, *indptr; /* of a CSR matrix */
    int index_size;               /* bytes of an index; 0: X is dense */
    const signed char *signs;     /* (n_rows,) 1 - 2y */
    const void *sample_weight;    /* (n_rows,), or NULL */
} rows_t;

/* A rule, its penalty and its clipping */
typedef struct {
    int kind;
    double momentum, beta_1, beta_2, root_epsilon, weight_decay;
    double max_grad_norm;         /* infinite for none */
    double penalty;               /* alpha over the weight sum */
    int64_t n_steps;              /* taken so far; in a step, with it */
    int64_t n_weights, n_parameters;
    void *parameters, *gradient;
    void *moments[2];             /* velocity, or the sums of Adam */
} rule_t;

/* Batches of an epoch: rows by index, or consecutive ones */
typedef struct {
    const int64_t *order;         /* (n_rows,), or NULL */
    int64_t start;                /* first row of the epoch, where there is no order */
    int64_t n_rows, size;
} batches_t;

/* What is compiled for each dtype and kind of processor */
typedef struct {
    /* loss of one batch and its gradient; returns 0 or an outcome */
    int (*evaluate)(network_t *net, const rows_t *rows, const int64_t *index, int64_t start,
                    int n_rows, double divisor, double *value);
    /* steps from batch `first` on, for about so many seconds; returns the next batch, or an
       outcome. Adds rows times value of every batch to `total`. */
    int64_t (*run)(network_t *net, const rows_t *rows, const batches_t *batches, rule_t *rule,
                   const double *rates, int64_t first, double seconds, double *total);
    /* step number `n_steps` of the parameters [first, last) */
    void (*step)(const rule_t *rule, double rate, int64_t first, int64_t last);
    /* adds the gradient of the penalty; returns the penalty */
    double (*penalise)(const rule_t *rule);
    void (*clip)(const rule_t *rule);
    /* logits of rows [start, start + n_rows); activations alternate between two arrays */
    int (*predict)(network_t *net, const rows_t *rows, int64_t start, int n_rows, void *logits);
    void (*draw_dropout)(network_t *net, int n_rows);
    void (*encode)(const encoding_t *encoding, const void *prepared, const int64_t *index,
                   int64_t n_rows, void *out); /* rows by index, or all of them */
    void (*activate)(network_t *net, void *z, int64_t n); /* in place, without cache: for tests */
} kernels_t;

extern const kernels_t skdnn_plain[2], skdnn_avx2[2], skdnn_avx512[2]; /* float, double */

/* The tables that this processor can run, the fastest first, and their names; returns how many of
   up to three */
int skdnn_variants(const char **names, const kernels_t **variants);

#endif
