/**
 * Meta-analysis of effect estimates with known standard errors.
 *
 *   y[i] ~ normal(theta[i], se[i])            study i = 1..K
 *
 * and, by `effects`, with X beta the expected effects (one mean, means of subgroups, meta-regression) and tau
 * the between-study standard deviation, one for all studies or one for each subgroup:
 *
 *   0 common        theta[i] = X[i] beta
 *   1 normal        theta[i] ~ normal(X[i] beta, tau[group[i]])
 *   2 student_t     theta[i] ~ student_t(df, X[i] beta, tau[group[i]]); tau is the scale, and the standard
 *                   deviation is tau sqrt(df / (df - 2)) where df > 2
 *   3 independent   theta[i] ~ the prior of mu, unrelated: no beta, no tau
 *
 * 0 to 2 with theta integrated out: the Student t is a scale mixture, theta[i] | w[i] ~ normal(X[i] beta,
 * tau sqrt(w[i])) with w[i] ~ inv_gamma(df / 2, df / 2), and
 *
 *   y[i] ~ normal(X[i] beta, sqrt(se[i]^2 + tau[group[i]]^2 w[i])),   w = 1 for normal effects
 *
 * so there is no funnel where tau is near 0, and for normal effects the sampler sees P + G parameters whatever K.
 * Given beta, tau and w, theta is normal; it is drawn exactly after sampling
 * (poolmap/families/meta/estimate.py). w is sampled as log(w), whose tails are exponential.
 *
 * Priors: each mean, each slope and each tau as chosen in the config (tau's on tau > 0).
 * Source: Higgins, Thompson & Spiegelhalter 2009, J R Stat Soc A 172:137-159, sections 2 and 5;
 * Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, section 5.4; Student t: Lee & Thompson 2008,
 * Stat Med 27:418-434.
 */
functions {
  #include functions/priors.stanfunctions
  #include functions/regression.stanfunctions
}
data {
  #include functions/regression_data.stan
  #include functions/effects_data.stan
  vector[K] y; // effect estimates, on the scale of analysis
  vector<lower=0>[K] se; // their standard errors
}
transformed data {
  int T = effects == 2; // whether there is a w
  vector[K] variance = square(se);
  real tau_lowest = fmax(0, prior_lower(tau_prior_family, tau_prior));
  real tau_highest = prior_upper(tau_prior_family, tau_prior);
  real mu_lowest = prior_lower(mu_prior_family, mu_prior);
  real mu_highest = prior_upper(mu_prior_family, mu_prior);
  vector[P] all_lowest = by_kind(P, M, mu_lowest, prior_lower(beta_prior_family, beta_prior));
  vector[P] all_highest = by_kind(P, M, mu_highest, prior_upper(beta_prior_family, beta_prior));
  int free = !bounded(all_lowest, all_highest);
  int B = free ? 0 : P; // coefficients with bounds: all or none
  vector[B] lowest = head(all_lowest, B);
  vector[B] highest = head(all_highest, B);
  vector[P] precision = by_kind(P, M, rough_precision(mu_prior_family, mu_prior),
                                rough_precision(beta_prior_family, beta_prior));
  vector[P] location = by_kind(P, M, mu_prior[1], beta_prior[1]);
  // for the geometry only: a between-study variance like the median sampling variance
  vector[K] weight = inv(variance + (G > 0 ? quantile(variance, 0.5) : 0));
  matrix[P, P] factor = coefficient_factor(X, weight, precision, !free);
  vector[P] centre = coefficient_centre(X, weight, y, precision, location, !free);
}
parameters {
  vector[P - B] scaled;
  vector<lower=lowest, upper=highest>[B] within_bounds;
  vector<lower=tau_lowest, upper=tau_highest>[G] tau; // between-study standard deviation (or scale)
  vector[K * T] log_w;
  vector<lower=mu_lowest, upper=mu_highest>[effects == 3 ? K : 0] theta;
}
transformed parameters {
  vector[P] beta; // means, slopes
  vector[K * T] w;
  if (B) beta = within_bounds;
  else beta = centre + factor * scaled;
  if (T) w = exp(log_w);
}
model {
  if (effects == 3) {
    target += chosen_priors_lpdf(theta | mu_prior_family, mu_prior);
    y ~ normal(theta, se);
  } else {
    vector[K] spread;
    if (T) spread = sqrt(variance + square(tau[group]) .* w);
    else if (G == 1) spread = sqrt(variance + square(tau[1]));
    else if (G > 1) spread = sqrt(variance + square(tau[group]));
    else spread = se;
    beta ~ coefficients(M, mu_prior_family, mu_prior, beta_prior_family, beta_prior);
    target += chosen_priors_lpdf(tau | tau_prior_family, tau_prior);
    if (T) target += -0.5 * df * (sum(log_w) + sum(exp(-log_w))); // w ~ inv_gamma(df / 2, df / 2), in log_w
    if (P == 1 && M == 1) y ~ normal(beta[1], spread);
    else y ~ normal_id_glm(X, 0, beta, spread);
  }
}
