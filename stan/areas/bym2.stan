/**
 * Disease map: Poisson counts with spatially structured and unstructured area effects (BYM2).
 *
 *   y_i ~ Poisson(E_i exp(eta_i)),   eta_i = alpha + x_i' beta + re_i,   over the observed areas i
 *   re = sigma (sqrt(1 - rho) theta + sqrt(rho) phi),   theta_i ~ N(0, 1)
 *   phi ~ N(0, Q^-): the intrinsic CAR field of precision Q, Q = s_c (D - A) within component c, whose
 *   scaling factor s_c makes the geometric mean of its variances 1; it sums to zero in each component
 *   An area without neighbours has re_i = sigma theta_i.
 *
 *   alpha, each beta_k, sigma and rho have priors chosen by code (functions/priors.stanfunctions).
 *
 * theta and phi are not sampled: their sum has the covariance sigma^2 ((1 - rho) I + rho Q^-). With
 * Q = V diag(lambda) V' it is re = V u, u_k ~ N(0, sd_k), sd_k^2 = sigma^2 (1 - rho + rho / lambda_k), and
 * 1 - rho alone where lambda_k = 0, so that the field sums to zero exactly on any number of components.
 * An area without neighbours gets lambda = 1. Half as many effects as with theta and phi apart, and rho
 * mixes three times as well.
 *
 * Each u_k is scaled by sd_k^w_k (Papaspiliopoulos, Roberts and Skold 2007, Statistical Science 22:59-73):
 * w_k near 1 (non-centred) where the counts say little about it, near 0 (centred) where they say so much
 * that they would settle it even if sigma were 0.1.
 *
 * alpha is sampled as the level, alpha plus the mean of re over the areas weighted by E_i, which the counts
 * tell well; the transform has Jacobian 1.
 *
 * Source: Riebler, Sorbye, Simpson and Rue 2016, Statistical Methods in Medical Research 25:1145-1165;
 * components: Freni-Sterrantino, Ventrucci and Rue 2018, Spatial and Spatio-temporal Epidemiology 26:25-34.
 */
functions {
  #include functions/priors.stanfunctions

  /** Log of the standard deviation of each u_k; `structured` holds 1 / lambda_k, or 0. */
  vector log_sd(real sigma, real rho, vector structured) {
    return log(sigma) + 0.5 * log(1 - rho + rho * structured);
  }
}
data {
  int<lower=1> N;                                  // areas
  int<lower=0, upper=N> N_observed;                // areas with a count and E_i > 0
  array[N_observed] int<lower=1, upper=N> observed;
  array[N_observed] int<lower=0> cases;            // y
  vector[N_observed] log_expected;                 // log E
  int<lower=0> K;                                  // covariates
  matrix[N, K] X;                                  // centred
  int<lower=0> N_edges;                            // pairs of neighbours
  array[N_edges] int<lower=1, upper=N> node_1;
  array[N_edges] int<lower=1, upper=N> node_2;
  vector<lower=0>[N] scaling;                      // s_c of the area's component; not used for an island
  int<lower=0, upper=N> N_components;              // components of at least two areas
  int alpha_prior_family;
  vector[3] alpha_prior;
  int beta_prior_family;
  vector[3] beta_prior;
  int sigma_prior_family;
  vector[3] sigma_prior;
  int rho_prior_family;
  vector[3] rho_prior;
}
transformed data {
  matrix[N_observed, K] X_observed = X[observed];
  matrix[N, N] V;                                  // eigenvectors of Q
  vector[N] structured;                            // 1 / lambda, 0 where lambda = 0
  vector[N] w;                                     // share of non-centring
  vector[N_observed] weight = exp(log_expected) / sum(exp(log_expected));
  {
    matrix[N, N] Q = rep_matrix(0, N, N);
    for (e in 1:N_edges) {
      int i = node_1[e];
      int j = node_2[e];
      Q[i, i] += scaling[i];
      Q[j, j] += scaling[j];
      Q[i, j] -= scaling[i];
      Q[j, i] -= scaling[j];
    }
    for (i in 1:N) if (Q[i, i] == 0) Q[i, i] = 1;
    tuple(matrix[N, N], vector[N]) eigen = eigendecompose_sym(Q);
    V = eigen.1;
    structured = inv(eigen.2);                     // ascending: the null space comes first
    structured[1:N_components] = rep_vector(0, N_components);
    matrix[N_observed, N] about_level = V[observed] - rep_matrix(weight' * V[observed], N_observed);
    w = inv(1 + square(0.1) * (square(about_level)' * exp(log_expected)));
  }
}
parameters {
  real level;
  vector[K] beta;
  real<lower=0> sigma;
  real<lower=0, upper=1> rho;
  vector[N] z;
}
transformed parameters {
  vector[N] re = V * (exp(w .* log_sd(sigma, rho, structured)) .* z);
  real alpha = level - dot_product(weight, re[observed]);
}
model {
  cases ~ poisson_log_glm(X_observed, log_expected + alpha + re[observed], beta);
  // z ~ normal(0, exp(log_scale)), without the error that normal() prints when a trial step rounds sigma to 0.
  vector[N] log_scale = (1 - w) .* log_sd(sigma, rho, structured);
  target += -0.5 * dot_self(z .* exp(-log_scale)) - sum(log_scale);
  alpha ~ chosen_prior(alpha_prior_family, alpha_prior);
  beta ~ chosen_priors(beta_prior_family, beta_prior);
  sigma ~ chosen_prior(sigma_prior_family, sigma_prior);
  rho ~ chosen_prior(rho_prior_family, rho_prior);
}
