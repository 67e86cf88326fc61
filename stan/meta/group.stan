/**
 * Meta-analysis of single groups with the exact likelihood of each group's count.
 *
 *   1 binomial   events[i] ~ binomial(size[i], p[i]),        logit(p[i])    = theta[i]      study i = 1..K
 *   2 Poisson    events[i] ~ poisson(size[i] * rate[i]),     log(rate[i])   = theta[i]
 *
 * and, by `effects`, with X beta the expected effects (one mean, means of subgroups, meta-regression) and tau
 * the between-study standard deviation, one for all studies or one for each subgroup:
 *
 *   0 common        theta[i] = X[i] beta
 *   1 normal        theta[i] ~ normal(X[i] beta, tau[group[i]])
 *   2 student_t     theta[i] ~ student_t(df, X[i] beta, tau[group[i]]), as the scale mixture
 *                   normal(X[i] beta, tau[group[i]] sqrt(w[i])), w[i] ~ inv_gamma(df / 2, df / 2)
 *   3 independent   theta[i] ~ the prior of mu, unrelated: no beta, no tau
 *
 * A group without events, or with nothing else, needs no correction. What is sampled: study_effects.stanfunctions.
 *
 * Priors: each mean, each slope and each tau as chosen in the config (tau's on tau > 0).
 * Source: Hamza, van Houwelingen & Stijnen 2008, J Clin Epidemiol 61:41-51 (binomial); Stijnen, Hamza &
 * Ozdemir 2010, Stat Med 29:3046-3067 (both); Student t: Lee & Thompson 2008, Stat Med 27:418-434.
 */
functions {
  #include functions/priors.stanfunctions
  #include functions/regression.stanfunctions
  #include functions/study_effects.stanfunctions
}
data {
  #include functions/regression_data.stan
  #include functions/effects_data.stan
  int<lower=1, upper=2> likelihood; // 1: binomial, theta is a log odds; 2: Poisson, theta is a log rate
  array[K] int<lower=0> events;
  vector<lower=0>[K] size; // people; person-time
}
transformed data {
  int T = effects == 2; // whether there is a w
  vector[K] n = to_vector(events);
  vector[K] d = likelihood == 1 ? log((n + 0.5) ./ (size - n + 0.5)) : log((n + 0.5) ./ size);
  vector[K] v = likelihood == 1 ? inv(n + 0.5) + inv(size - n + 0.5) : inv(n + 0.5);
  vector[P] lowest = by_kind(P, M, prior_lower(mu_prior_family, mu_prior),
                            prior_lower(beta_prior_family, beta_prior));
  vector[P] highest = by_kind(P, M, prior_upper(mu_prior_family, mu_prior),
                            prior_upper(beta_prior_family, beta_prior));
  vector[P] precision = by_kind(P, M, rough_precision(mu_prior_family, mu_prior),
                                rough_precision(beta_prior_family, beta_prior));
  vector[P] location = by_kind(P, M, mu_prior[1], beta_prior[1]);
  // for the geometry only: a between-study variance like the median sampling variance
  vector[K] weight = inv(v + (G > 0 ? quantile(v, 0.5) : 0));
  matrix[P, P] factor = coefficient_factor(X, weight, precision, bounded(lowest, highest));
  vector[P] centre = coefficient_centre(X, weight, d, precision, location, bounded(lowest, highest));
  // bounds of unrelated effects
  real low = effects == 3 ? prior_lower(mu_prior_family, mu_prior) : negative_infinity();
  real high = effects == 3 ? prior_upper(mu_prior_family, mu_prior) : positive_infinity();
  int has_bounds = !is_inf(low) || !is_inf(high);
}
parameters {
  vector<lower=lowest, upper=highest>[P] scaled;
  vector<lower=fmax(0, prior_lower(tau_prior_family, tau_prior)),
         upper=prior_upper(tau_prior_family, tau_prior)>[G] tau; // between-study standard deviation (or scale)
  vector[K * T] log_w;
  vector<lower=low, upper=high>[effects == 0 ? 0 : K] z;
}
transformed parameters {
  vector[P] beta = centre + factor * scaled; // means, slopes
  vector[K * T] w = exp(log_w);
  vector[K] theta = study_effects(z, effects, X * beta, study_scale(tau, group, w), d, v, has_bounds);
}
model {
  beta ~ coefficients(M, mu_prior_family, mu_prior, beta_prior_family, beta_prior);
  target += chosen_priors_lpdf(tau | tau_prior_family, tau_prior);
  target += -0.5 * df * (sum(log_w) + sum(exp(-log_w))); // w ~ inv_gamma(df / 2, df / 2), in log_w
  if (G > 0) z ~ deviation(X * beta, study_scale(tau, group, w), d, v);
  if (effects == 3) target += chosen_priors_lpdf(theta | mu_prior_family, mu_prior);
  target += dot_product(n, theta);
  target += likelihood == 1 ? -dot_product(size, log1p_exp(theta)) : -dot_product(size, exp(theta));
}
