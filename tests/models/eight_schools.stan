/* Eight schools, non-centred: the program of the main program's tests.
 *
 *   y_j ~ normal(theta_j, sigma_j),  theta_j = mu + tau theta_raw_j,  theta_raw_j ~ normal(0, 1)
 *   mu ~ normal(0, 5),  tau ~ half-Cauchy(0, 5)
 *
 * Source: Gelman et al., Bayesian Data Analysis, section 5.5; priors as in posteriordb's
 * eight_schools_noncentered, so that its reference draws apply.
 */
functions {
#include functions/school_effects.stanfunctions
}
data {
  int<lower=0> J;
  array[J] real y;
  array[J] real<lower=0> sigma;
}
parameters {
  real mu;
  real<lower=0> tau;
  vector[J] theta_raw;
}
transformed parameters {
  vector[J] theta = school_effects(mu, tau, theta_raw);
}
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  theta_raw ~ std_normal();
  y ~ normal(theta, sigma);
}
generated quantities {
  vector[J] log_lik;
  array[J] real y_rep = normal_rng(theta, sigma);
  for (j in 1 : J) log_lik[j] = normal_lpdf(y[j] | theta[j], sigma[j]);
}
