/**
 * Random-effects meta-analysis of effect estimates with known standard errors.
 *
 *   y[i]     ~ normal(theta[i], se[i])     study i = 1..K
 *   theta[i] ~ normal(mu, tau)
 *
 * With theta integrated out (two normals convolved):
 *
 *   y[i] ~ normal(mu, sqrt(se[i]^2 + tau^2))
 *
 * so the sampler sees two parameters whatever K, and no funnel where tau is near 0. Given mu and tau,
 * theta is normal; it is drawn exactly after sampling (poolmap/families/meta/estimate.py).
 *
 * Priors: mu and tau as chosen in the config (tau's on tau > 0).
 * Source: Higgins, Thompson & Spiegelhalter 2009, J R Stat Soc A 172:137-159, sections 2 and 5;
 * Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, section 5.4.
 */
functions {
  #include functions/priors.stanfunctions
}
data {
  int<lower=2> K; // studies
  vector[K] y; // effect estimates, on the scale of analysis
  vector<lower=0>[K] se; // their standard errors
  int mu_prior_family;
  vector[3] mu_prior;
  int tau_prior_family;
  vector[3] tau_prior;
}
transformed data {
  vector[K] variance = square(se);
}
parameters {
  real mu; // pooled effect
  real<lower=0> tau; // between-study standard deviation
}
model {
  target += chosen_prior_lpdf(mu | mu_prior_family, mu_prior);
  target += chosen_prior_lpdf(tau | tau_prior_family, tau_prior);
  y ~ normal(mu, sqrt(variance + square(tau)));
}
