/**
 * Disease map: Poisson counts with unstructured area effects, the comparison to BYM2.
 *
 *   y_i ~ Poisson(E_i exp(eta_i)),   eta_i = alpha + x_i' beta + re_i,   over the observed areas i
 *   re_i = sigma theta_i,   theta_i ~ N(0, 1)
 *
 *   alpha, each beta_k and sigma have priors chosen by code (functions/priors.stanfunctions).
 *
 * Sampled is z_i, with alpha + re_i = w_i alpha + sigma^w_i z_i (Papaspiliopoulos, Roberts and Skold 2007,
 * Statistical Science 22:59-73): w_i near 1 (non-centred) where few cases are expected, near 0 (centred on
 * alpha) where so many are that they would settle the effect even if sigma were 0.1.
 *
 * Source: Clayton and Kaldor 1987, Biometrics 43:671-681 (log-normal relative risks).
 */
functions {
  #include functions/priors.stanfunctions
}
data {
  int<lower=1> N;                                  // areas
  int<lower=0, upper=N> N_observed;                // areas with a count and E_i > 0
  array[N_observed] int<lower=1, upper=N> observed;
  array[N_observed] int<lower=0> cases;            // y
  vector[N_observed] log_expected;                 // log E
  int<lower=0> K;                                  // covariates
  matrix[N, K] X;                                  // centred
  int alpha_prior_family;
  vector[3] alpha_prior;
  int beta_prior_family;
  vector[3] beta_prior;
  int sigma_prior_family;
  vector[3] sigma_prior;
}
transformed data {
  matrix[N_observed, K] X_observed = X[observed];
  vector[N] w = rep_vector(1, N);                  // share of non-centring
  w[observed] = inv(1 + square(0.1) * exp(log_expected));
}
parameters {
  real alpha;
  vector[K] beta;
  real<lower=0> sigma;
  vector[N] z;
}
transformed parameters {
  vector[N] re = exp(w * log(sigma)) .* z - (1 - w) * alpha;
}
model {
  cases ~ poisson_log_glm(X_observed, log_expected + alpha + re[observed], beta);
  // re ~ normal(0, sigma) with the Jacobian sigma^w of re, without the error that normal() prints when a trial
  // step rounds sigma to 0.
  target += -0.5 * dot_self(re / sigma) - sum(1 - w) * log(sigma);
  alpha ~ chosen_prior(alpha_prior_family, alpha_prior);
  beta ~ chosen_priors(beta_prior_family, beta_prior);
  sigma ~ chosen_prior(sigma_prior_family, sigma_prior);
}
