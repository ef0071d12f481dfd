/* Train the toy models over a row of the plane: the loops of toymodels/kernels.py and the outcomes of toymodels/run_outcomes.py, in the
 * same letters, for WebAssembly with 128-bit vectors. Built by build.py.
 *
 * The state is the increment, w = 1 + gamma u and f = u (1 + w + ... + w^(L-1)); with two parameters it is u1, u2, here u and v. A group
 * of lanes is kept in registers for a chunk of steps. Then a diverged run is dropped, and a state equal to that of CHUNK steps ago is in
 * a cycle whose period divides CHUNK: its lane is parked for whole cycles. Peak and tail excess follow from the extremes of f over
 * stretches of steps, since the losses are convex. WebAssembly has no fma, so that numba's runs differ in the last bit.
 */

typedef double pair __attribute__((vector_size(16)));
typedef long long bits __attribute__((vector_size(16)));

#define EXPORT(name) __attribute__((export_name(#name), visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define SMALL static __attribute__((noinline, minsize))
#define BOTH(x) ((pair){(x), (x)})

enum { MSE, CROSS_ENTROPY };
enum { SGD, SIGNSGD, HEAVY_BALL };
enum { UNTRAINED, PARTIAL, CONVERGED, CATAPULTED, OSCILLATING, STUCK, DIVERGED };

enum { LANES = 128, CHUNK = 60, EARLY = 12, WIDTH = LANES + 8 };
enum { LONGEST = 64, TURNS = 16, UNSETTLED = -2, ESCAPED = -1, CHAOTIC = 0 };

static const double INFINITY = __builtin_inf(), LARGEST = 1.7976931348623157e308, BEYOND = 1e30;
static const double P1 = 0.7310585786300049, P0 = 0.2689414213699951;
static const double AT_START = 0.11094407167172737;      // l(0) - l(1) of cross-entropy
static const double LEAST = 0.5822031088882179;          // l(1)
static const double CATAPULT_KERNEL = 0.9;
static const double DISTANCE = 1e-8, CLOSEST = 1e-16, NEAR = 1e-6, DRIFT = 1e-3;

/* Elementary functions. */

static const double SHIFT = 6755399441055744.0;      // 1.5 * 2^52: adding it rounds to an integer, in the low bits
static const double LOG2E = 1.4426950408889634;
static const double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;     // n LN2_HIGH is exact

INLINE pair choose(bits where, pair a, pair b) { return (pair)((where & (bits)a) | (~where & (bits)b)); }

INLINE pair reduce(pair x, pair *shifted) {
    x = choose(x < BOTH(-708.0), BOTH(-708.0), x);
    x = choose(x > BOTH(709.0), BOTH(709.0), x);
    *shifted = x * LOG2E + SHIFT;
    pair n = *shifted - SHIFT;
    return (x - n * LN2_HIGH) - n * LN2_LOW;
}

/* e^x by the minimax polynomial of degree 10, and a power of two that is set bit by bit. */
INLINE pair exponential(pair x) {
    pair shifted, r = reduce(x, &shifted), r2 = r * r, r4 = r2 * r2;
    pair a = (0.16666666666554314 * r + 0.5000000000000006) * r2 + (1.0000000000000067 * r + 1.0);
    pair b = (0.00019841170230570286 * r + 0.001388888893251478) * r2 + (0.008333333385699212 * r + 0.041666666666573066);
    pair c = 2.7626371065696354e-07 * r2 + (2.764019739169484e-06 * r + 2.480150431378554e-05);
    pair p = (c * r4 + b) * r4 + a;
    return (pair)((bits)p + ((bits)shifted << 52));
}

/* e^x - 1 to full relative accuracy at small x. */
INLINE double exponential_less_one(double x) {
    pair shifted, r = reduce(BOTH(x), &shifted), r2 = r * r, r4 = r2 * r2;
    pair a = (r / 120.0 + 1.0 / 24.0) * r2 + (r / 6.0 + 0.5);
    pair b = (r / 362880.0 + 1.0 / 40320.0) * r2 + (r / 5040.0 + 1.0 / 720.0);
    pair c = (r / 6227020800.0 + 1.0 / 479001600.0) * r2 + (r / 39916800.0 + 1.0 / 3628800.0);
    pair p = r2 * ((c * r4 + b) * r4 + a) + r;
    pair half = (pair)((bits)BOTH(0.5) + ((bits)shifted << 52));      // half of 2^n, which overflows at n = 1024
    return 2.0 * (half * p + (half - 0.5))[0];
}

/* log(x) of a normal x > 0: 2 atanh((m - 1)/(m + 1)) of the mantissa m in [0.7, 1.4]. */
INLINE double logarithm(double x) {
    union { double f; long long i; } m = {x};
    long long n = (m.i - 0x3fe6a09e667f3bcdLL) >> 52;
    m.i -= n << 52;
    double s = (m.f - 1.0) / (m.f + 1.0), s2 = s * s, sum = 0.0;
    for (int k = 21; k >= 3; k -= 2) sum = (sum + 1.0 / k) * s2;
    return n * LN2_HIGH + (2.0 * s * sum + (n * LN2_LOW + 2.0 * s));
}

INLINE double logarithm_of_one_plus(double y) {
    double u = 1.0 + y;
    return logarithm(u) + (y - (u - 1.0)) / u;      // what the sum has lost
}

INLINE double size_of(double x) { return __builtin_fabs(x); }
INLINE double larger(double a, double b) { return a > b ? a : b; }
INLINE double smaller(double a, double b) { return a < b ? a : b; }
INLINE pair larger_of(pair f, pair a) { return __builtin_wasm_pmax_f64x2(a, f); }      // a where f is NaN
INLINE pair smaller_of(pair f, pair a) { return __builtin_wasm_pmin_f64x2(a, f); }

/* Losses. */

/* (l(f) - l(1))/(l(0) - l(1)) without cancellation or overflow (toymodels/losses.py). */
SMALL double excess_at(int loss, double f) {
    static const double C[8] = {0.09830596662074093, -0.01514295794549139, -0.0014718991881764924, 0.001029223844719949,
                                -7.089163350632255e-05, -5.6236886613033846e-05, 1.3965623410442837e-05, 1.7377221277305284e-06};
    double d = f - 1.0, above;
    if (loss == MSE) return d * d;
    if (f == 0.0) return 1.0;
    if (size_of(d) < 0.03) {
        above = 0.0;
        for (int k = 7; k >= 0; k--) above = above * d + C[k];
        above *= d * d;
    } else if (d > 0.0) {
        above = P0 * d + logarithm_of_one_plus(P0 * exponential_less_one(-d));
    } else {
        above = -P1 * d + logarithm_of_one_plus(P1 * exponential_less_one(d));
    }
    return above / AT_START;
}

SMALL double loss_at(int loss, double f) {
    return loss == MSE ? 0.5 * (f - 1.0) * (f - 1.0) : excess_at(loss, f) * AT_START + LEAST;
}

INLINE pair slope_of(int loss, pair f) { return loss == MSE ? f - 1.0 : 1.0 / (1.0 + exponential(-f)) - P1; }

/* The step. */

typedef struct { pair u, v, mu, mv; } state;
typedef struct { int L, two, loss, optimizer; double gamma, g, beta; } model;      // g is gamma, with two parameters 2/gamma

INLINE model describe(int L, int two, int loss, int optimizer, double gamma, double beta) {
    return (model){L, two, loss, optimizer, gamma, two ? 2.0 / gamma : gamma, beta};
}

/* eta in the units of the state (toymodels.kernels.scale_rate). */
INLINE double scale_rate(model m, double eta) {
    double scaled = m.optimizer == SIGNSGD ? eta : eta / m.gamma;
    return m.two ? scaled : scaled / m.gamma;
}

INLINE pair sign_of(pair x) {      // keeps a NaN; sign(0) = 0
    return (pair)(((x > BOTH(0.0)) & (bits)BOTH(1.0)) | ((x < BOTH(0.0)) & (bits)BOTH(-1.0)) | ((x != x) & (bits)x));
}

INLINE void move(int optimizer, double beta, pair e, pair slope, pair *x, pair *m) {
    if (optimizer == HEAVY_BALL) slope = *m = beta * *m + slope;
    *x -= e * (optimizer == SIGNSGD ? sign_of(slope) : slope);
}

/* Take one step and return f before it. */
INLINE pair take_step(model m, state *s, pair e, double shift, int noisy) {
    if (m.two) {
        pair u = s->u, v = s->v, f = m.g * (u * v), slope = slope_of(m.loss, f);
        if (noisy) slope += shift;
        move(m.optimizer, m.beta, e, slope * v, &s->u, &s->mu);
        move(m.optimizer, m.beta, e, slope * u, &s->v, &s->mv);
        return f;
    }
    pair w = m.g * s->u + 1.0, powers = BOTH(1.0), factor = BOTH((double)m.L);
#pragma clang loop unroll(disable)
    for (int j = 1; j < m.L; j++) {
        powers = powers * w + 1.0;
        factor *= w;
    }
    pair f = s->u * powers, slope = slope_of(m.loss, f);
    if (noisy) slope += shift;
    move(m.optimizer, m.beta, e, slope * factor, &s->u, &s->mu);
    return f;
}

INLINE pair output_of(model m, state s) {
    if (m.two) return m.g * (s.u * s.v);
    pair w = m.g * s.u + 1.0, powers = BOTH(1.0);
    for (int j = 1; j < m.L; j++) powers = powers * w + 1.0;
    return s.u * powers;
}

/* The same for any model, in little code: for single runs. */
SMALL pair take_slow_step(const model *m, state *s, pair e, double shift, int noisy) { return take_step(*m, s, e, shift, noisy); }

INLINE state start_of(model m) { return (state){BOTH(m.two ? 1.0 : 0.0), BOTH(0.0), BOTH(0.0), BOTH(0.0)}; }

/* The lanes: stepped ones fill the block from the left, parked ones from the right. */

enum { U, V, MU, MV, TOP, BOTTOM, RATE, FORMER, FORMER_V, FORMER_MU, FORMER_MV, TOTAL, FIELDS };
enum { PRIOR = FIELDS, AT_TAIL, MOST, LOWEST, RECORDS };      // of the lane's pixel: they move with it, too
static double block[RECORDS][WIDTH] __attribute__((aligned(16)));
static int pixel[WIDTH];

SMALL void copy_lane(int source, int target) {
    for (int a = 0; a < RECORDS; a++) block[a][target] = block[a][source];
    pixel[target] = pixel[source];
}

/* Take k steps of the lanes up to `whole`; shifts[t] is added to l'(f). */
#define GROUP(m) (noisy ? 1 : (m).two ? 2 : 4)
INLINE void advance(model m, int noisy, int summed, int whole, int t, int k, const double *shifts) {
    enum { MOST_PAIRS = 4 };
    for (int i = 0; i < whole; i += 2 * GROUP(m)) {
        state s[MOST_PAIRS];
        pair e[MOST_PAIRS], top[MOST_PAIRS], bottom[MOST_PAIRS], total[MOST_PAIRS];
#pragma clang loop unroll(full)
        for (int p = 0; p < GROUP(m); p++) {
            int at = i + 2 * p;
            s[p].u = *(pair *)&block[U][at];
            if (m.two) s[p].v = *(pair *)&block[V][at];
            if (m.optimizer == HEAVY_BALL) s[p].mu = *(pair *)&block[MU][at];
            if (m.optimizer == HEAVY_BALL && m.two) s[p].mv = *(pair *)&block[MV][at];
            e[p] = *(pair *)&block[RATE][at];
            top[p] = *(pair *)&block[TOP][at];
            bottom[p] = *(pair *)&block[BOTTOM][at];
            if (noisy) total[p] = *(pair *)&block[TOTAL][at];
        }
        for (int j = t; j < t + k; j++) {
#pragma clang loop unroll(full)
            for (int p = 0; p < GROUP(m); p++) {
                pair f = take_step(m, &s[p], e[p], noisy ? shifts[j] : 0.0, noisy);
                top[p] = larger_of(f, top[p]);
                bottom[p] = smaller_of(f, bottom[p]);
                if (noisy && summed) total[p] += (pair){excess_at(m.loss, f[0]), excess_at(m.loss, f[1])};
            }
        }
#pragma clang loop unroll(full)
        for (int p = 0; p < GROUP(m); p++) {
            int at = i + 2 * p;
            *(pair *)&block[U][at] = s[p].u;
            if (m.two) *(pair *)&block[V][at] = s[p].v;
            if (m.optimizer == HEAVY_BALL) *(pair *)&block[MU][at] = s[p].mu;
            if (m.optimizer == HEAVY_BALL && m.two) *(pair *)&block[MV][at] = s[p].mv;
            *(pair *)&block[TOP][at] = top[p];
            *(pair *)&block[BOTTOM][at] = bottom[p];
            if (noisy) *(pair *)&block[TOTAL][at] = total[p];
        }
    }
}

INLINE model fix(model m, int two, int loss, int optimizer) {
    m.two = two, m.loss = loss, m.optimizer = optimizer;
    return m;
}

/* Call ACTION with a model whose loss, optimizer and number of parameters are constants for the compiler. */
#define WITH_OPTIMIZER(ACTION, m, TWO, LOSS) do { \
    if ((m).optimizer == SGD) { ACTION(fix(m, TWO, LOSS, SGD)); } \
    else if ((m).optimizer == SIGNSGD) { ACTION(fix(m, TWO, LOSS, SIGNSGD)); } \
    else { ACTION(fix(m, TWO, LOSS, HEAVY_BALL)); } } while (0)
#define COMPILE(ACTION, m) do { \
    if ((m).two && (m).loss == MSE) WITH_OPTIMIZER(ACTION, m, 1, MSE); \
    else if ((m).two) WITH_OPTIMIZER(ACTION, m, 1, CROSS_ENTROPY); \
    else if ((m).loss == MSE) WITH_OPTIMIZER(ACTION, m, 0, MSE); \
    else WITH_OPTIMIZER(ACTION, m, 0, CROSS_ENTROPY); } while (0)

static void advance_lanes(model m, int whole, int t, int k) {
#define ADVANCE(constant) advance(constant, 0, 0, whole, t, k, 0)
    COMPILE(ADVANCE, m);
}

static void advance_noisy_lanes(model m, int summed, int whole, int t, int k, const double *shifts) {
    if (m.two) advance(fix(m, 1, m.loss, m.optimizer), 1, summed, whole, t, k, shifts);
    else advance(fix(m, 0, m.loss, m.optimizer), 1, summed, whole, t, k, shifts);
}

INLINE state lane_state(int i) {
    return (state){BOTH(block[U][i]), BOTH(block[V][i]), BOTH(block[MU][i]), BOTH(block[MV][i])};
}

/* Return w, or with two parameters u1^2 + u2^2. */
INLINE double weight_of(model m, state s) { return m.two ? s.u[0] * s.u[0] + s.v[0] * s.v[0] : m.g * s.u[0] + 1.0; }

INLINE int is_bounded(model m, state s, double f) {
    double largest = m.two ? (size_of(s.u[0]) > size_of(s.v[0]) || s.u[0] != s.u[0] ? size_of(s.u[0]) : size_of(s.v[0]))
                           : size_of(weight_of(m, s));
    return largest <= BEYOND && size_of(f) < INFINITY && (!m.two || s.v[0] == s.v[0]);
}

/* The outcome of a bounded run, from what its lane recorded (toymodels.run_outcomes). */

typedef struct { signed char *outcome; double *final, *tail, *peak; } results;

/* Repeat one run step by step: untrained if its excess never came near 0. */
SMALL int replay(model m, double e, int T, const double *shifts, double least, int rose) {
    state s = start_of(m);
    for (int t = 0; t <= T; t++) {
        pair f = t < T ? take_slow_step(&m, &s, BOTH(e), shifts ? shifts[t] : 0.0, shifts != 0) : output_of(m, s);
        if (!(excess_at(m.loss, f[0]) >= least)) return rose ? OSCILLATING : PARTIAL;
    }
    return UNTRAINED;
}

SMALL void classify(model m, int i, int T, int count, int has_prior, double rho, double flow, const double *shifts, results out) {
    int loss = m.loss, p = pixel[i];
    state s = lane_state(i);
    double f = output_of(m, s)[0], w = weight_of(m, s), band = smaller(rho, 0.05);
    double top = larger(f, block[TOP][i]), bottom = smaller(f, block[BOTTOM][i]);
    double most = larger(top, block[MOST][i]), least = smaller(bottom, block[LOWEST][i]);
    double e = excess_at(loss, f), e_top = excess_at(loss, top), e_bottom = excess_at(loss, bottom);
    double e_first = excess_at(loss, block[AT_TAIL][i]), e_most = excess_at(loss, most), e_least = excess_at(loss, least);
    double worst = larger(e_top, e_bottom), highest = larger(1.0, larger(e_most, e_least));
    double e_prior = has_prior ? excess_at(loss, block[PRIOR][i]) : 1.0;
    int rose = !(e_prior >= e_first && e_first >= worst && e <= smaller(e_top, e_bottom));
    if (count > 0) worst = (block[TOTAL][i] + e) / count;
    double ratio = w / flow;
    if (!m.two) {
        double square = ratio * ratio;
        ratio = 1.0;
        for (int j = 1; j < m.L; j++) ratio *= square;
    }
    out.final[p] = smaller(e, LARGEST), out.tail[p] = smaller(worst, LARGEST), out.peak[p] = smaller(highest, LARGEST);
    int code;
    if (worst <= rho) {
        code = highest > 1.0 && (loss == MSE || ratio < CATAPULT_KERNEL) ? CATAPULTED : CONVERGED;
    } else if (highest <= 1.0 + band && e_most >= 1.0 - band) {
        code = most <= 1.0 ? UNTRAINED : replay(m, block[RATE][i], T, shifts, 1.0 - band, rose);
    } else {
        double scale = loss == MSE ? 0.5 : AT_START, floor = loss == MSE ? 0.0 : LEAST;
        double high = larger(e_top, e_bottom) * scale + floor, low = smaller(e_top, e_bottom) * scale + floor;
        int stuck = !m.two && m.L >= 3 && size_of(w) < 0.5 && top < 1.0 && high - low < 1e-3 * low;
        code = stuck ? STUCK : rose ? OSCILLATING : PARTIAL;
    }
    out.outcome[p] = code;
}

/* Train up to LANES pixels, whose rates are in eta, and write their results. */
SMALL void train_block(model m, int T, double rho, double flow, const double *shifts, int n, const double *eta, results out) {
    // |f| of a bounded run; a |w| > 1e30 that has come back within a chunk still shows in the extremes of f
    double wide = INFINITY;
    if (!m.two) {
        double exponent = 30.0 * m.L - logarithm(m.gamma) / 2.302585092994046;
        if (exponent < 308.0) wide = exponential(BOTH(exponent * 2.302585092994046))[0];
    }
    int tail = T + 1 - (T / 10 > 1 ? T / 10 : 1), has_prior = tail > 1, noisy = shifts != 0, parked = 0, t = 0;
    state first = start_of(m);
    for (int i = 0; i < WIDTH; i++) {
        for (int a = 0; a < RECORDS; a++) block[a][i] = 0.0;
        block[U][i] = first.u[0];
        block[RATE][i] = i < n ? scale_rate(m, eta[i]) : 0.0;
        block[TOP][i] = -INFINITY, block[BOTTOM][i] = INFINITY;
        pixel[i] = i;
    }
    // to the last time before the tail, to the tail's first, to T
    for (int section = has_prior ? 0 : 1; section < 3; section++) {
        int end = section == 0 ? tail - 1 : section == 1 ? tail : T;
        while (t < end) {
            int left = end - t;
            if (n == 0) {      // whole cycles only, of all that is left
                t += left / CHUNK * CHUNK;
                left = end - t;
            }
            if (left <= CHUNK) {
                for (int q = 0; q < parked; q++) copy_lane(WIDTH - parked + q, n + q);
                n += parked;
                parked = 0;
                if (n == 0 || left == 0) {
                    t = end;
                    break;
                }
            }
            int k = left < CHUNK ? left : CHUNK;
            if (t == 0) k = k < EARLY ? k : EARLY;
            else if (t < CHUNK) k = k < CHUNK - t ? k : CHUNK - t;
            int whole = (n + 7) & ~7;
            for (int a = 0; a < 4; a++) __builtin_memcpy(block[FORMER + a], block[U + a], sizeof(double) * whole);
            if (noisy) advance_noisy_lanes(m, t >= tail, whole, t, k, shifts);
            else advance_lanes(m, whole, t, k);
            t += k;
            for (int i = 0; i < n;) {
                state s = lane_state(i);
                double f = output_of(m, s)[0];
                if (is_bounded(m, s, f) && block[TOP][i] <= wide && block[BOTTOM][i] >= -wide) {
                    int same = !noisy && k == CHUNK && left > CHUNK;
                    for (int a = 0; a < 4; a++) same = same && block[U + a][i] == block[FORMER + a][i];
                    if (!same) {
                        i++;
                        continue;
                    }
                    parked++;
                    copy_lane(i, WIDTH - parked);
                } else {
                    int p = pixel[i];
                    out.outcome[p] = DIVERGED;
                    out.final[p] = out.tail[p] = out.peak[p] = INFINITY;
                }
                n--;
                copy_lane(n, i);
            }
        }
        // a parked lane has been brought back: `left` was at most a chunk at the section's end
        for (int i = 0; i < n; i++) {
            double f = output_of(m, lane_state(i))[0];
            if (section == 0) block[PRIOR][i] = f;
            if (section == 1) {
                block[AT_TAIL][i] = f;
                block[MOST][i] = block[TOP][i], block[LOWEST][i] = block[BOTTOM][i];
                block[TOP][i] = -INFINITY, block[BOTTOM][i] = INFINITY;
            }
        }
    }
    for (int i = 0; i < n; i++) classify(m, i, T, noisy ? T + 1 - tail : 0, has_prior, rho, flow, shifts, out);
}

/* Train the rates eta (n) of one gamma for T steps; `flow` is w* (two parameters: u1^2 + u2^2) at the minimum that gradient flow reaches;
 * `shifts` (T), added to l'(f) by label noise, or null. Written (n): the portrait's outcomes and the final, tail and peak excess. */
EXPORT(train) __attribute__((minsize)) void train(int L, int two, int loss, int optimizer, double beta, int T, double rho, double gamma, double flow,
                         const double *shifts, int n, const double *eta, signed char *outcome, double *final, double *tail, double *peak) {
    model m = describe(L, two, loss, optimizer, gamma, beta);
    for (int a = 0; a < n; a += LANES)
        train_block(m, T, rho, flow, shifts, n - a < LANES ? n - a : LANES, eta + a, (results){outcome + a, final + a, tail + a, peak + a});
}

/* Record one run (T + 1): f, loss, excess, the parameters (w as (w - 1)/gamma, or u1, u2) and the largest eigenvalue of the Hessian whose
 * gradient the update follows. */
EXPORT(record) __attribute__((minsize)) void record(int L, int two, int loss, int optimizer, double beta, int T, double gamma, const double *shifts, double eta,
                           double *f, double *losses, double *excess, double *u, double *v, double *sharpness) {
    model m = describe(L, two, loss, optimizer, gamma, beta);
    pair e = BOTH(scale_rate(m, eta));
    state s = start_of(m);
    for (int t = 0; t <= T; t++) {
        u[t] = s.u[0], v[t] = s.v[0];
        f[t] = (t < T ? take_slow_step(&m, &s, e, shifts ? shifts[t] : 0.0, shifts != 0) : output_of(m, s))[0];
        losses[t] = loss_at(loss, f[t]), excess[t] = excess_at(loss, f[t]);
        double p = 1.0 / (1.0 + exponential(BOTH(-f[t]))[0]);
        double slope = slope_of(loss, BOTH(f[t]))[0], curvature = loss == MSE ? 1.0 : p * (1.0 - p);
        if (two) {
            // of half the Hessian, [[h v^2, h u v + r], [h u v + r, h u^2]]
            double h = 2.0 * curvature / gamma / gamma, half = h * (u[t] * u[t] - v[t] * v[t]) / 2.0;
            double beside = h * u[t] * v[t] + slope / gamma;
            sharpness[t] = h * (u[t] * u[t] + v[t] * v[t]) / 2.0 + __builtin_sqrt(half * half + beside * beside);
        } else {
            double w = 1.0 + gamma * u[t], power = 1.0;
            for (int j = 2; j < L; j++) power *= w;      // w^(L-2)
            double first = L == 1 ? 1.0 / gamma : L * power * w / gamma;
            sharpness[t] = curvature * first * first + (L == 1 ? 0.0 : slope * L * (L - 1) * power / gamma);
        }
    }
}

/* Periods and Lyapunov exponents (toymodels.orbit_kernels): the run and a twin at a small distance are the two halves of each pair. */

SMALL void follow_run(model m, double eta, state s, int settle, int length, signed char *period, double *lyapunov) {
    int rows = (m.two ? 2 : 1) * (m.optimizer == HEAVY_BALL ? 2 : 1);
    pair e = BOTH(scale_rate(m, eta));
    double size = 0.0;
    *period = ESCAPED, *lyapunov = __builtin_nan("");
#define VALUE(a, side) ((a) == 0 ? s.u : m.two ? ((a) == 1 ? s.v : (a) == 2 ? s.mu : s.mv) : s.mu)[side]
    for (int t = 0; t < settle; t++) {
        take_slow_step(&m, &s, e, 0.0, 0);
        double largest = 0.0;
        for (int a = 0; a < rows; a++) largest = VALUE(a, 0) == VALUE(a, 0) ? larger(largest, size_of(VALUE(a, 0))) : INFINITY;
        if (!(largest < BEYOND)) return;
        size = larger(size, largest);
    }
    double closeness = DISTANCE * size, first[4], second[4], total = 0.0, growth = 1.0, before = 0.0;
    for (int a = 0; a < rows; a++) first[a] = second[a] = VALUE(a, 0);
    s.u[1] += closeness;
    int found = 0, again = 0, turns = 0, rising = 0;
    for (int t = 0; t < length; t++) {
        double place = s.u[0];
        pair f = take_slow_step(&m, &s, e, 0.0, 0);
        place = m.two ? f[0] : place;
        if (t > 0) {
            turns += (place > before) != rising;
            rising = place > before;
        }
        before = place;
        double apart = 0.0, back = 0.0, largest = 0.0;
        for (int a = 0; a < rows; a++) {
            double x = VALUE(a, 0), d = VALUE(a, 1) - x;
            largest = x == x ? larger(largest, size_of(x)) : INFINITY;
            apart += d * d;
            d = x - first[a];
            back += d * d;
        }
        if (!(largest < BEYOND)) return;
        apart = __builtin_sqrt(apart);
        growth *= larger(apart, CLOSEST * size) / closeness;
        if ((t & 3) == 3 || t == length - 1 || !(growth > 1e-200 && growth < 1e200)) {      // few logarithms
            total += logarithm(growth);
            growth = 1.0;
        }
        pair share = (pair){1.0, apart > 0.0 ? closeness / apart : 0.0};
#define DRAW_NEAR(x) (x) = (pair){(x)[0], (x)[0] + ((x)[1] - (x)[0]) * share[1]}
        DRAW_NEAR(s.u), DRAW_NEAR(s.v), DRAW_NEAR(s.mu), DRAW_NEAR(s.mv);
        if (!(apart > 0.0)) s.u[1] += closeness;      // it has met the run, and would stay with it for ever
        if (found == 0 && t < LONGEST && __builtin_sqrt(back) <= NEAR * size) {
            found = t + 1;
            for (int a = 0; a < rows; a++) second[a] = VALUE(a, 0);
        } else if (found > 0 && t + 1 == 2 * found) {
            back = 0.0;
            for (int a = 0; a < rows; a++) back += (VALUE(a, 0) - second[a]) * (VALUE(a, 0) - second[a]);
            again = __builtin_sqrt(back) <= NEAR * size;
        }
    }
    double way = 0.0, drift = 0.0;      // without momenta, which do not shrink with the rate
    for (int a = 0; a < (m.two ? 2 : 1); a++) {
        double start = a == 0 && m.two ? 1.0 : 0.0;
        way += (first[a] - start) * (first[a] - start);
        drift += (VALUE(a, 0) - first[a]) * (VALUE(a, 0) - first[a]);
    }
    int rests = found != 1 || drift <= DRIFT * DRIFT * way;
    *lyapunov = total / length;
    *period = found > 0 && again && rests ? found : *lyapunov > 0.0 && TURNS * turns > length ? CHAOTIC : UNSETTLED;
}

/* Follow the rates eta (n) of one gamma: `settle` steps, then `length` on which the period and the exponent are measured (n). */
EXPORT(follow) void follow(int L, int two, int loss, int optimizer, double beta, int settle, int length, double gamma, int n,
                           const double *eta, signed char *period, double *lyapunov) {
    model m = describe(L, two, loss, optimizer, gamma, beta);
    state first = start_of(m);
    int early = settle > LONGEST ? settle - LONGEST : 0;      // of the steps that follow, the size of the state is taken
    for (int a = 0; a < n; a += LANES) {
        int some = n - a < LANES ? n - a : LANES;
        for (int i = 0; i < WIDTH; i++) {
            block[U][i] = first.u[0], block[V][i] = block[MU][i] = block[MV][i] = 0.0;
            block[RATE][i] = i < some ? scale_rate(m, eta[a + i]) : 0.0;
        }
        advance_lanes(m, (some + 7) & ~7, 0, early);
        for (int i = 0; i < some; i++) follow_run(m, eta[a + i], lane_state(i), settle - early, length, period + a + i, lyapunov + a + i);
    }
}

/* The signs of the label noise of toymodels.randomness, seed 0: the top bits of Philox 4x64, a counter that is encrypted ten times. */
INLINE unsigned long long high_product(unsigned long long a, unsigned long long b) {
    unsigned long long a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32, low = a0 * b0, middle = a1 * b0 + (low >> 32);
    unsigned long long other = a0 * b1 + (middle & 0xffffffffu);
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

EXPORT(draw_signs) __attribute__((minsize)) void draw_signs(int T, double *signs) {
    for (int t = 0; t < T; t += 4) {
        unsigned long long x[4] = {t / 4 + 1, 0, 0, 0}, key[2] = {0, 1};
        for (int round = 0; round < 10; round++) {
            unsigned long long a = 0xD2E7470EE14C6C93ull, b = 0xCA5A826395121157ull, x0 = x[0], x2 = x[2];
            x[0] = high_product(b, x2) ^ x[1] ^ key[0], x[1] = b * x2;
            x[2] = high_product(a, x0) ^ x[3] ^ key[1], x[3] = a * x0;
            key[0] += 0x9E3779B97F4A7C15ull, key[1] += 0xBB67AE8584CAA73Bull;
        }
        for (int k = 0; k < 4 && t + k < T; k++) signs[t + k] = x[k] >> 63 ? -1.0 : 1.0;
    }
}
