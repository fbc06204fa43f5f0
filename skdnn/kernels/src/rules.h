/* Penalty, clipping, the rules, and a run of steps. */

/* Euclidean norm; it overflows only if the result does */
static ONE_COPY double F(norm)(const T *RESTRICT x, int64_t n)
{
    double lanes[16] = {0}, square = 0.0;
    int64_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (int lane = 0; lane < 16; lane++) {
            double v = (double)x[k + lane];
            lanes[lane] += v * v;
        }
    for (; k < n; k++) lanes[k % 16] += (double)x[k] * (double)x[k];
    for (int lane = 0; lane < 16; lane++) square += lanes[lane];
    if (square > 1e-200 && square < 1e200) return sqrt(square);
    double largest = 0.0;
    for (k = 0; k < n; k++) {
        double v = fabs((double)x[k]);
        if (!(v <= largest)) largest = v; /* NaN stays */
        if (v != v) return v;
    }
    if (largest == 0.0 || largest > DBL_MAX) return largest;
    square = 0.0;
    for (k = 0; k < n; k++) {
        double v = (double)x[k] / largest;
        square += v * v;
    }
    return largest * sqrt(square);
}

/* Scale a gradient that is longer than `longest` down to it; NaN stays NaN */
static ONE_COPY void F(clip)(const rule_t *rule)
{
    T *RESTRICT gradient = rule->gradient;
    int64_t n = rule->n_parameters;
    double longest = rule->max_grad_norm;
    if (!(longest <= DBL_MAX)) return;
    double length = F(norm)(gradient, n);
    if (length > DBL_MAX) { /* entries may still be finite: bring them below 1 first */
        T largest = 0;
        for (int64_t k = 0; k < n; k++) {
            T v = FABS(gradient[k]);
            if (v > largest) largest = v;
        }
        for (int64_t k = 0; k < n; k++) gradient[k] /= largest;
        length = F(norm)(gradient, n);
    }
    if (!(length <= longest)) {
        double factor = longest / length; /* subnormal in T, perhaps */
        for (int64_t k = 0; k < n; k++) gradient[k] = (T)(gradient[k] * factor);
    }
}

/* Add the gradient of the penalty; return the penalty */
static ONE_COPY double F(penalise)(const rule_t *rule)
{
    const T *RESTRICT p = rule->parameters;
    T *RESTRICT g = rule->gradient, factor = (T)rule->penalty;
    if (rule->penalty == 0.0) return 0.0;
    double length = F(norm)(p, rule->n_weights);
    for (int64_t k = 0; k < rule->n_weights; k++) g[k] += factor * p[k];
    return 0.5 * rule->penalty * length * length;
}

/* Step number `n_steps` of the parameters [first, n) */
static ONE_COPY void F(step)(const rule_t *rule, double rate, int64_t first, int64_t n)
{
    T *RESTRICT p = rule->parameters, *RESTRICT g = rule->gradient;
    T *RESTRICT m = rule->moments[0], *RESTRICT v = rule->moments[1];
    T r = (T)rate, momentum = (T)rule->momentum;
    switch (rule->kind) {
    case GRADIENT_DESCENT:
        for (int64_t k = first; k < n; k++) p[k] -= r * g[k];
        break;
    case MOMENTUM:
        for (int64_t k = first; k < n; k++) {
            m[k] = momentum * m[k] - r * g[k];
            p[k] += m[k];
        }
        break;
    case NESTEROV:
        for (int64_t k = first; k < n; k++) {
            T s = r * g[k];
            m[k] = momentum * m[k] - s;
            p[k] = (p[k] + momentum * m[k]) - s;
        }
        break;
    case ADAM: {
        double t = (double)rule->n_steps;
        T beta_1 = (T)rule->beta_1, beta_2 = (T)rule->beta_2, epsilon = (T)rule->root_epsilon;
        if (rule->weight_decay != 0.0) {
            T kept = (T)(1.0 - rate * rule->weight_decay);
            int64_t stop = n < rule->n_weights ? n : rule->n_weights;
            for (int64_t k = first; k < stop; k++) p[k] *= kept;
        }
        r = (T)(rate * ((1.0 - rule->beta_1) / (1.0 - pow(rule->beta_1, t)) *
                        sqrt((1.0 - pow(rule->beta_2, t)) / (1.0 - rule->beta_2))));
        for (int64_t k = first; k < n; k++) {
            m[k] = m[k] * beta_1 + g[k];
            v[k] = v[k] * beta_2 + g[k] * g[k];
            p[k] -= m[k] / (SQRT(v[k]) + epsilon) * r;
        }
        break;
    }
    }
}

static int64_t F(run)(network_t *net, const rows_t *rows, const batches_t *batches, rule_t *rule,
                      const double *rates, int64_t first, double seconds, double *total)
{
    double begin = now();
    int64_t batch = first;
    for (int64_t done = batch * batches->size; done < batches->n_rows; done += batches->size) {
        int64_t left = batches->n_rows - done;
        int m = (int)(left < batches->size ? left : batches->size);
        const int64_t *index = batches->order ? batches->order + done : NULL;
        double value;
        int failed = F(evaluate)(net, rows, index, batches->start + done, m, (double)m, &value);
        if (failed) return failed;
        value += F(penalise)(rule);
        F(clip)(rule);
        rule->n_steps++;
        F(step)(rule, rates[batch], 0, rule->n_parameters);
        volatile double part = (double)m * value; /* rounded, as where Python adds up */
        *total += part;
        batch++;
        if (now() - begin > seconds) break;
    }
    return batch;
}

#undef C
#undef MAGIC
#undef MANTISSA
#undef ONE_BITS
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_LOWEST
#undef LOWEST
#undef SQRT
#undef FABS
#undef COPYSIGN
#undef CHUNK
#undef LANES
#undef AHEAD
