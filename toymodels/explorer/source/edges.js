// The predicted edges and their exponents, printed from the theory by `python -m toymodels.explorer.formulas`. Do not edit.
// Of each edge: eta as a function of gamma and of the numbers s of T, rho, the loss and the optimizer; its exponents; its closing point.

import { invert, lambertW, computeEdges, computeExponents } from "./integrals.js";

const {E, asinh, cbrt, exp, expm1, log, log1p, min, pow, sqrt} = Math;

export const edges = (view, gammas) => computeEdges(TOY_EDGES, LOSS_FUNCTIONS, SETTLING, view, gammas);
export const exponents = view => computeExponents(TOY_EDGES, LOSS_FUNCTIONS, SETTLING, view);

const LOSS_FUNCTIONS = {
  mse: {residual: x => x, curvature: 1},
  cross_entropy: {residual: x => -E*expm1(-x)/((1 + E)*(E*expm1(-x) + 1 + E)), curvature: E/pow(1 + E, 2)},
};

const SETTLING = {start: 0.22404751453, beyond: -2.16176993668, end: 2.19961222006925, small: 7.07370176786517,
  rate: x => ((((-E - 1)/(x + E*x - 1) + (-E - 1)*(-E*x - x - E)/pow(x + E*x - 1, 2))*(x + E*x - 1)/(-E*x - x - E) - ((-E - 1)/(x + E*x + 1) + (-E - 1)*(-E*x - x + E)/pow(x + E*x + 1, 2))*(x + E*x + 1)/(-E*x - x + E))/x - (log((-E*x - x - E)/(x + E*x - 1)) - log((-E*x - x + E)/(x + E*x + 1)))/pow(x, 2))/(log((-E*x - x - E)/(x + E*x - 1)) - log((-E*x - x + E)/(x + E*x + 1)))};

const TOY_EDGES = {
  "one 1": {kernel: (g, f) => pow(g, -2)},
  "one 1 mse sgd": {
    eta_min: {eta: (g, s) => -pow(g, 2)*log(1 - s.f1)/s.T, exponents: {lazy: "2", rich: "2"}},
    eta_max: {eta: (g, s) => 2*pow(g, 2), exponents: {lazy: "2", rich: "2"}},
    eta_div: {eta: (g, s) => 2*pow(g, 2), exponents: {lazy: "2", rich: "2"}},
  },
  "one 1 mse signsgd": {
    eta_min: {eta: (g, s) => s.f1*g/s.T, exponents: {lazy: "1", rich: "1"}},
    eta_max: {eta: (g, s) => s.d2*g, exponents: {lazy: "1", rich: "1"}},
  },
  "one 1 mse momentum": {
    eta_min: {eta: (g, s) => pow(g, 2)*s.kappa(), exponents: {lazy: "2", rich: "2"}},
    eta_max: {eta: (g, s) => 2*pow(g, 2)*(s.beta + 1), exponents: {lazy: "2", rich: "2"}},
  },
  "one 1 mse noise": {eta_max: {eta: (g, s) => 2*pow(g, 2)*s.rho/(s.rho + pow(s.sigma, 2)), exponents: {lazy: "2", rich: "2"}}},
  "one 1 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "2"}},
    eta_max: {eta: (g, s) => 2*pow(g, 2)/s.h, exponents: {lazy: "2", rich: "2"}},
  },
  "one 1 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => s.f1*g/s.T, exponents: {lazy: "1", rich: "1"}},
    eta_max: {eta: (g, s) => min(s.d1*g, s.d2*g), exponents: {lazy: "1", rich: "1"}},
  },
  "one 1 cross_entropy momentum": {
    eta_min: {eta: (g, s) => s.S(g)*s.kappa()/s.S0(), exponents: {lazy: "2", rich: "2"}},
  },
  "one 2": {kernel: (g, f) => (4*f*g + 4)/pow(g, 2)},
  "one 2 mse sgd": {
    eta_min: {eta: (g, s) => pow(g, 2)*log((s.f1*g + 1)/(1 - s.f1))/(s.T*(4*g + 4)), exponents: {lazy: "2"}},
    eta_max: {eta: (g, s) => (1/2)*pow(g, 2)/(g + 1), exponents: {lazy: "2", rich: "1"}},
    eta_div: {eta: (g, s) => pow(g, 2)/(g + 1), exponents: {lazy: "2", rich: "1"}},
  },
  "one 2 mse signsgd": {
    eta_min: {eta: (g, s) => s.f1*g/(s.T*(sqrt(s.f1*g + 1) + 1)), exponents: {lazy: "1", rich: "1/2"}},
    eta_max: {eta: (g, s) => s.d2*g/(sqrt(g + 1) + sqrt(g*(s.d2 + 1) + 1)), exponents: {lazy: "1", rich: "1/2"}},
  },
  "one 2 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 5*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -pow(g, 2)*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*log((s.f1*g + 1)/(1 - s.f1))*s.kappa()/((4*g + 4)*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 1/2*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2"}},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (1/2)*pow(g, 2)*(s.beta + 1)/(g + 1) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 2 mse noise": {eta_max: {eta: (g, s) => (1/2)*pow(g, 2)*s.rho/((g + 1)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "1"}}},
  "one 2 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2"}},
    eta_max: {eta: (g, s) => (1/2)*pow(g, 2)/(s.h*(g + 1)), exponents: {lazy: "2", rich: "1"}},
    eta_div: {eta: (g, s) => ((g < 1) ? ( g*(1 + E) ) : ( NaN )), exponents: {lazy: "1"}},
  },
  "one 2 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => s.f1*g/(s.T*(sqrt(s.f1*g + 1) + 1)), exponents: {lazy: "1", rich: "1/2"}},
    eta_max: {eta: (g, s) => min(s.d2*g/(sqrt(g + 1) + sqrt(g*(s.d2 + 1) + 1)), s.d1*g/(sqrt(g + 1) + sqrt(g*(1 - s.d1) + 1))), exponents: {lazy: "1", rich: "1/2"}},
  },
  "one 2 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 5*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 1/2*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 3": {kernel: (g, f) => 9*pow(f*g + 1, 4/3)/pow(g, 2)},
  "one 3 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((2/3)*s.T, 3)},
    eta_max: {eta: (g, s) => (2/9)*pow(g, 2)/pow(g + 1, 4/3), exponents: {lazy: "2", rich: "2/3"}, closing: s => pow((2/3)*s.T, 3)},
  },
  "one 3 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/3)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/3"}},
    eta_max: {eta: (g, s) => cbrt(g + 1)*expm1((1/3)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/3"}},
  },
  "one 3 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (20/3)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 2/3*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((2/3)*s.T, 3)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (2/9)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 4/3) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 3 mse noise": {eta_max: {eta: (g, s) => (2/9)*pow(g, 2)*s.rho/(pow(g + 1, 4/3)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "2/3"}}},
  "one 3 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((2/3)*s.T*s.r0/s.h, 3)},
    eta_max: {eta: (g, s) => (2/9)*pow(g, 2)/(s.h*pow(g + 1, 4/3)), exponents: {lazy: "2", rich: "2/3"}, closing: s => pow((2/3)*s.T*s.r0/s.h, 3)},
  },
  "one 3 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/3)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/3"}},
    eta_max: {eta: (g, s) => min(cbrt(g + 1)*expm1((1/3)*log1p(s.d2*g/(g + 1))), cbrt(g*(1 - s.d1) + 1)*expm1((1/3)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/3"}},
  },
  "one 3 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (20/3)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 2/3*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((2/3)*s.T*s.r0/s.h, 3)},
  },
  "one 4": {kernel: (g, f) => 16*pow(f*g + 1, 3/2)/pow(g, 2)},
  "one 4 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow(s.T, 2)},
    eta_max: {eta: (g, s) => (1/8)*pow(g, 2)/pow(g + 1, 3/2), exponents: {lazy: "2", rich: "1/2"}, closing: s => pow(s.T, 2)},
  },
  "one 4 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/4)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/4"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/4)*expm1((1/4)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/4"}},
  },
  "one 4 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (15/2)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 3/4*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow(s.T, 2)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (1/8)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 3/2) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 4 mse noise": {eta_max: {eta: (g, s) => (1/8)*pow(g, 2)*s.rho/(pow(g + 1, 3/2)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "1/2"}}},
  "one 4 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow(s.T*s.r0/s.h, 2)},
    eta_max: {eta: (g, s) => (1/8)*pow(g, 2)/(s.h*pow(g + 1, 3/2)), exponents: {lazy: "2", rich: "1/2"}, closing: s => pow(s.T*s.r0/s.h, 2)},
  },
  "one 4 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/4)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/4"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/4)*expm1((1/4)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/4)*expm1((1/4)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/4"}},
  },
  "one 4 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (15/2)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 3/4*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow(s.T*s.r0/s.h, 2)},
  },
  "one 5": {kernel: (g, f) => 25*pow(f*g + 1, 8/5)/pow(g, 2)},
  "one 5 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((6/5)*s.T, 5/3)},
    eta_max: {eta: (g, s) => (2/25)*pow(g, 2)/pow(g + 1, 8/5), exponents: {lazy: "2", rich: "2/5"}, closing: s => pow((6/5)*s.T, 5/3)},
  },
  "one 5 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/5)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/5"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/5)*expm1((1/5)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/5"}},
  },
  "one 5 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 8*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 4/5*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((6/5)*s.T, 5/3)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (2/25)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 8/5) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 5 mse noise": {eta_max: {eta: (g, s) => (2/25)*pow(g, 2)*s.rho/(pow(g + 1, 8/5)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "2/5"}}},
  "one 5 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((6/5)*s.T*s.r0/s.h, 5/3)},
    eta_max: {eta: (g, s) => (2/25)*pow(g, 2)/(s.h*pow(g + 1, 8/5)), exponents: {lazy: "2", rich: "2/5"}, closing: s => pow((6/5)*s.T*s.r0/s.h, 5/3)},
  },
  "one 5 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/5)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/5"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/5)*expm1((1/5)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/5)*expm1((1/5)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/5"}},
  },
  "one 5 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 8*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 4/5*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((6/5)*s.T*s.r0/s.h, 5/3)},
  },
  "one 6": {kernel: (g, f) => 36*pow(f*g + 1, 5/3)/pow(g, 2)},
  "one 6 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((4/3)*s.T, 3/2)},
    eta_max: {eta: (g, s) => (1/18)*pow(g, 2)/pow(g + 1, 5/3), exponents: {lazy: "2", rich: "1/3"}, closing: s => pow((4/3)*s.T, 3/2)},
  },
  "one 6 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/6)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/6"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/6)*expm1((1/6)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/6"}},
  },
  "one 6 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (25/3)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 5/6*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((4/3)*s.T, 3/2)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (1/18)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 5/3) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 6 mse noise": {eta_max: {eta: (g, s) => (1/18)*pow(g, 2)*s.rho/(pow(g + 1, 5/3)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "1/3"}}},
  "one 6 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((4/3)*s.T*s.r0/s.h, 3/2)},
    eta_max: {eta: (g, s) => (1/18)*pow(g, 2)/(s.h*pow(g + 1, 5/3)), exponents: {lazy: "2", rich: "1/3"}, closing: s => pow((4/3)*s.T*s.r0/s.h, 3/2)},
  },
  "one 6 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/6)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/6"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/6)*expm1((1/6)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/6)*expm1((1/6)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/6"}},
  },
  "one 6 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (25/3)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 5/6*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((4/3)*s.T*s.r0/s.h, 3/2)},
  },
  "one 7": {kernel: (g, f) => 49*pow(f*g + 1, 12/7)/pow(g, 2)},
  "one 7 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((10/7)*s.T, 7/5)},
    eta_max: {eta: (g, s) => (2/49)*pow(g, 2)/pow(g + 1, 12/7), exponents: {lazy: "2", rich: "2/7"}, closing: s => pow((10/7)*s.T, 7/5)},
  },
  "one 7 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/7)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/7"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/7)*expm1((1/7)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/7"}},
  },
  "one 7 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (60/7)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 6/7*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((10/7)*s.T, 7/5)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (2/49)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 12/7) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 7 mse noise": {eta_max: {eta: (g, s) => (2/49)*pow(g, 2)*s.rho/(pow(g + 1, 12/7)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "2/7"}}},
  "one 7 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((10/7)*s.T*s.r0/s.h, 7/5)},
    eta_max: {eta: (g, s) => (2/49)*pow(g, 2)/(s.h*pow(g + 1, 12/7)), exponents: {lazy: "2", rich: "2/7"}, closing: s => pow((10/7)*s.T*s.r0/s.h, 7/5)},
  },
  "one 7 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/7)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/7"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/7)*expm1((1/7)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/7)*expm1((1/7)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/7"}},
  },
  "one 7 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (60/7)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 6/7*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((10/7)*s.T*s.r0/s.h, 7/5)},
  },
  "one 8": {kernel: (g, f) => 64*pow(f*g + 1, 7/4)/pow(g, 2)},
  "one 8 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((3/2)*s.T, 4/3)},
    eta_max: {eta: (g, s) => (1/32)*pow(g, 2)/pow(g + 1, 7/4), exponents: {lazy: "2", rich: "1/4"}, closing: s => pow((3/2)*s.T, 4/3)},
  },
  "one 8 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/8)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/8"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/8)*expm1((1/8)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/8"}},
  },
  "one 8 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (35/4)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 7/8*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((3/2)*s.T, 4/3)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (1/32)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 7/4) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 8 mse noise": {eta_max: {eta: (g, s) => (1/32)*pow(g, 2)*s.rho/(pow(g + 1, 7/4)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "1/4"}}},
  "one 8 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((3/2)*s.T*s.r0/s.h, 4/3)},
    eta_max: {eta: (g, s) => (1/32)*pow(g, 2)/(s.h*pow(g + 1, 7/4)), exponents: {lazy: "2", rich: "1/4"}, closing: s => pow((3/2)*s.T*s.r0/s.h, 4/3)},
  },
  "one 8 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/8)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/8"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/8)*expm1((1/8)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/8)*expm1((1/8)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/8"}},
  },
  "one 8 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (35/4)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 7/8*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((3/2)*s.T*s.r0/s.h, 4/3)},
  },
  "one 9": {kernel: (g, f) => 81*pow(f*g + 1, 16/9)/pow(g, 2)},
  "one 9 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((14/9)*s.T, 9/7)},
    eta_max: {eta: (g, s) => (2/81)*pow(g, 2)/pow(g + 1, 16/9), exponents: {lazy: "2", rich: "2/9"}, closing: s => pow((14/9)*s.T, 9/7)},
  },
  "one 9 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/9)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/9"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/9)*expm1((1/9)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/9"}},
  },
  "one 9 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (80/9)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 8/9*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((14/9)*s.T, 9/7)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (2/81)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 16/9) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 9 mse noise": {eta_max: {eta: (g, s) => (2/81)*pow(g, 2)*s.rho/(pow(g + 1, 16/9)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "2/9"}}},
  "one 9 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((14/9)*s.T*s.r0/s.h, 9/7)},
    eta_max: {eta: (g, s) => (2/81)*pow(g, 2)/(s.h*pow(g + 1, 16/9)), exponents: {lazy: "2", rich: "2/9"}, closing: s => pow((14/9)*s.T*s.r0/s.h, 9/7)},
  },
  "one 9 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/9)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/9"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/9)*expm1((1/9)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/9)*expm1((1/9)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/9"}},
  },
  "one 9 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (80/9)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 8/9*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((14/9)*s.T*s.r0/s.h, 9/7)},
  },
  "one 10": {kernel: (g, f) => 100*pow(f*g + 1, 9/5)/pow(g, 2)},
  "one 10 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((8/5)*s.T, 5/4)},
    eta_max: {eta: (g, s) => (1/50)*pow(g, 2)/pow(g + 1, 9/5), exponents: {lazy: "2", rich: "1/5"}, closing: s => pow((8/5)*s.T, 5/4)},
  },
  "one 10 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/10)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/10"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/10)*expm1((1/10)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/10"}},
  },
  "one 10 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 9*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 9/10*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((8/5)*s.T, 5/4)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (1/50)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 9/5) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 10 mse noise": {eta_max: {eta: (g, s) => (1/50)*pow(g, 2)*s.rho/(pow(g + 1, 9/5)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "1/5"}}},
  "one 10 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((8/5)*s.T*s.r0/s.h, 5/4)},
    eta_max: {eta: (g, s) => (1/50)*pow(g, 2)/(s.h*pow(g + 1, 9/5)), exponents: {lazy: "2", rich: "1/5"}, closing: s => pow((8/5)*s.T*s.r0/s.h, 5/4)},
  },
  "one 10 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/10)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/10"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/10)*expm1((1/10)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/10)*expm1((1/10)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/10"}},
  },
  "one 10 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 9*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 9/10*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((8/5)*s.T*s.r0/s.h, 5/4)},
  },
  "one 11": {kernel: (g, f) => 121*pow(f*g + 1, 20/11)/pow(g, 2)},
  "one 11 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((18/11)*s.T, 11/9)},
    eta_max: {eta: (g, s) => (2/121)*pow(g, 2)/pow(g + 1, 20/11), exponents: {lazy: "2", rich: "2/11"}, closing: s => pow((18/11)*s.T, 11/9)},
  },
  "one 11 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/11)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/11"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/11)*expm1((1/11)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/11"}},
  },
  "one 11 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (100/11)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 10/11*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((18/11)*s.T, 11/9)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (2/121)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 20/11) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 11 mse noise": {eta_max: {eta: (g, s) => (2/121)*pow(g, 2)*s.rho/(pow(g + 1, 20/11)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "2/11"}}},
  "one 11 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((18/11)*s.T*s.r0/s.h, 11/9)},
    eta_max: {eta: (g, s) => (2/121)*pow(g, 2)/(s.h*pow(g + 1, 20/11)), exponents: {lazy: "2", rich: "2/11"}, closing: s => pow((18/11)*s.T*s.r0/s.h, 11/9)},
  },
  "one 11 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/11)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/11"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/11)*expm1((1/11)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/11)*expm1((1/11)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/11"}},
  },
  "one 11 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (100/11)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 10/11*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((18/11)*s.T*s.r0/s.h, 11/9)},
  },
  "one 12": {kernel: (g, f) => 144*pow(f*g + 1, 11/6)/pow(g, 2)},
  "one 12 mse sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((5/3)*s.T, 6/5)},
    eta_max: {eta: (g, s) => (1/72)*pow(g, 2)/pow(g + 1, 11/6), exponents: {lazy: "2", rich: "1/6"}, closing: s => pow((5/3)*s.T, 6/5)},
  },
  "one 12 mse signsgd": {
    eta_min: {eta: (g, s) => expm1((1/12)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/12"}},
    eta_max: {eta: (g, s) => pow(g + 1, 1/12)*expm1((1/12)*log1p(s.d2*g/(g + 1))), exponents: {lazy: "1", rich: "1/12"}},
  },
  "one 12 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (55/6)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( -(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*s.S(g)*s.kappa()/((s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta) - 11/12*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((5/3)*s.T, 6/5)},
    eta_max: {eta: (g, s) => ((g < (3/10)*(1 - s.beta)) ? ( (1/72)*pow(g, 2)*(s.beta + 1)/pow(g + 1, 11/6) ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "one 12 mse noise": {eta_max: {eta: (g, s) => (1/72)*pow(g, 2)*s.rho/(pow(g + 1, 11/6)*(s.rho + pow(s.sigma, 2))), exponents: {lazy: "2", rich: "1/6"}}},
  "one 12 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2", rich: "1"}, closing: s => pow((5/3)*s.T*s.r0/s.h, 6/5)},
    eta_max: {eta: (g, s) => (1/72)*pow(g, 2)/(s.h*pow(g + 1, 11/6)), exponents: {lazy: "2", rich: "1/6"}, closing: s => pow((5/3)*s.T*s.r0/s.h, 6/5)},
  },
  "one 12 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => expm1((1/12)*log1p(s.f1*g))/s.T, exponents: {lazy: "1", rich: "1/12"}},
    eta_max: {eta: (g, s) => min(pow(g + 1, 1/12)*expm1((1/12)*log1p(s.d2*g/(g + 1))), pow(g*(1 - s.d1) + 1, 1/12)*expm1((1/12)*log1p(s.d1*g/(g*(1 - s.d1) + 1)))), exponents: {lazy: "1", rich: "1/12"}},
  },
  "one 12 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= (55/6)*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta) - 11/12*(s.beta + 1)*log(s.f1*g + 1)/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2", rich: "1"}, closing: s => pow((5/3)*s.T*s.r0/s.h, 6/5)},
  },
  "two 2": {kernel: (g, f) => 2*sqrt(pow(f, 2)*pow(g, 2) + 1)/pow(g, 2)},
  "two 2 mse sgd": {
    eta_min: {eta: (g, s) => (1/2)*pow(g, 2)*log((s.f1*pow(g, 2) + sqrt(pow(g, 2) + 1)*sqrt(pow(s.f1, 2)*pow(g, 2) + 1) + 1)/((1 - s.f1)*(sqrt(pow(g, 2) + 1) + 1)))/(s.T*sqrt(pow(g, 2) + 1)), exponents: {lazy: "2"}},
    eta_crit: {eta: (g, s) => pow(g, 2)/sqrt(pow(g, 2) + 1), exponents: {lazy: "2", rich: "1"}, unjudged: [0.03, 30.0]},
    eta_max: {eta: (g, s) => min(g, 4*pow(g, 2)/(sqrt(4*pow(g, 2) + 1) + 1)), exponents: {lazy: "2", rich: "1"}},
    eta_div: {eta: (g, s) => 4*pow(g, 2)/(sqrt(4*pow(g, 2) + 1) + 1), exponents: {lazy: "2", rich: "1"}},
  },
  "two 2 mse signsgd": {
    eta_min: {eta: (g, s) => s.f1*g/(s.T*(sqrt(1 + 2*s.f1*g*(s.T - 1)/s.T) + 1)), exponents: {lazy: "1", rich: "1/2"}},
    eta_max: {eta: (g, s) => invert(e => 2*e*(e*(s.d2 + 2) + sqrt(pow(s.d2, 2)*pow(e, 2) - 2*pow(s.d2, 2)*e + pow(s.d2, 2) + 4*s.d2*pow(e, 2) + 4*pow(e, 2)))/pow(s.d2, 2), g), exponents: {lazy: "1", rich: "1/2"}},
  },
  "two 2 mse momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 5*s.f1*g*(s.beta + 1)*asinh(s.f1*g)/((2 - 2*s.beta)*sqrt(pow(s.f1, 2)*pow(g, 2) + 1)) || g <= 1/200) ? ( -1/2*pow(g, 2)*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*log((s.f1*pow(g, 2) + sqrt(pow(g, 2) + 1)*sqrt(pow(s.f1, 2)*pow(g, 2) + 1) + 1)/((1 - s.f1)*(sqrt(pow(g, 2) + 1) + 1)))*s.kappa()/(sqrt(pow(g, 2) + 1)*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - 1/2*s.f1*g*(s.beta + 1)*asinh(s.f1*g)/((2 - 2*s.beta)*sqrt(pow(s.f1, 2)*pow(g, 2) + 1)) - (s.beta + 1)*log(1 - s.f1)/(2 - 2*s.beta))*log(1 - s.f1)) ) : ( NaN )), exponents: {lazy: "2"}},
    eta_crit: {eta: (g, s) => ((g <= 1/200) ? ( (1/2)*pow(g, 2)*s.overshoot() ) : ( NaN )), exponents: {lazy: "2"}},
  },
  "two 2 cross_entropy sgd": {
    eta_min: {eta: (g, s) => s.S(g)/s.T, exponents: {lazy: "2"}},
    eta_crit: {eta: (g, s) => pow(g, 2)/(s.h*sqrt(pow(g, 2) + 1)), exponents: {lazy: "2", rich: "1"}, unjudged: [0.03, 30.0]},
    eta_settle: {eta: (g, s) => ((g > s.c*exp(-s.h*((9/10)*pow(s.c, 2)*s.T - s.C())) && g < (1/60)*sqrt(10)*sqrt(s.C() + log(20)/s.h)/sqrt(s.T)) ? ( (1/3)*sqrt(5)*g*sqrt(-lambertW(-9/5*s.T*pow(g, 2)*s.h*exp(-2*s.h*s.C())))/(sqrt(s.T)*sqrt(s.h)) ) : ( NaN )), exponents: {}},
    eta_max: {eta: (g, s) => ((g <= 1/50) ? ( s.c*g ) : ((g >= 3/10) ? ( g/s.h ) : ( NaN ))), exponents: {lazy: "1", rich: "1"}},
  },
  "two 2 cross_entropy signsgd": {
    eta_min: {eta: (g, s) => s.f1*g/(s.T*(sqrt(1 + 2*s.f1*g*(s.T - 1)/s.T) + 1)), exponents: {lazy: "1", rich: "1/2"}},
    eta_max: {eta: (g, s) => min(invert(e => 2*e*(e*(s.d2 + 2) + sqrt(pow(s.d2, 2)*pow(e, 2) - 2*pow(s.d2, 2)*e + pow(s.d2, 2) + 4*s.d2*pow(e, 2) + 4*pow(e, 2)))/pow(s.d2, 2), g), invert(e => -2*e*(2*e - 1)/(e*(s.d1 - 2) + sqrt(pow(s.d1, 2)*pow(e, 2) - 2*pow(s.d1, 2)*e + pow(s.d1, 2) - 4*s.d1*pow(e, 2) + 4*pow(e, 2))), g)), exponents: {lazy: "1", rich: "1/2"}},
  },
  "two 2 cross_entropy momentum": {
    eta_min: {eta: (g, s) => ((s.T >= 5*s.f1*g*(s.beta + 1)*asinh(s.f1*g)/((2 - 2*s.beta)*sqrt(pow(s.f1, 2)*pow(g, 2) + 1)) || g <= 1/200) ? ( (s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))*s.S(g)*s.kappa()/(s.S0()*(s.T - s.beta*(1 - pow(s.beta, s.T))/(1 - s.beta) - 1/2*s.f1*g*(s.beta + 1)*asinh(s.f1*g)/((2 - 2*s.beta)*sqrt(pow(s.f1, 2)*pow(g, 2) + 1)) - (s.beta + 1)*log((-2*exp(s.f1) + 2*E)/(-exp(s.f1) + E*exp(s.f1) - 1 + E))/(2 - 2*s.beta))) ) : ( NaN )), exponents: {lazy: "2"}},
  },
};
