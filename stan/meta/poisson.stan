/**
 * Meta-analysis of two-arm studies with the exact Poisson likelihood of each arm's count: rate ratio.
 *
 *   events_1[i] ~ poisson(time_1[i] * rate1[i]),   log(rate1) = baseline + theta       study i = 1..K
 *   events_2[i] ~ poisson(time_2[i] * rate2[i]),   log(rate2) = baseline
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
 * Fixed baselines: each study's baseline is a nuisance parameter with a prior of its own, independent between
 * studies, so that no information on the effect comes from comparing arms of different studies. Random ones:
 * baseline[i] ~ normal(baseline_mean, baseline_sd), independent of theta. An arm without events needs no correction.
 *
 * What is sampled, chosen for geometry only (the change of variables is exact): theta as in
 * study_effects.stanfunctions; the baseline given theta by its empirical regression on theta, which is that of the
 * mean of the arms' log rates less theta / 2.
 *
 * Priors: each mean, each slope, each tau and the baselines as chosen in the config.
 * Source: Dias, Sutton, Ades & Welton 2013, Med Decis Making 33:607-617 (Poisson, fixed baselines); Student t: Lee
 * & Thompson 2008, Stat Med 27:418-434; random baselines: Jackson et al. 2018, Stat Med 37:1059-1085, models 3 and 5.
 */
functions {
  #include functions/priors.stanfunctions
  #include functions/regression.stanfunctions
  #include functions/study_effects.stanfunctions
}
data {
  #include functions/regression_data.stan
  #include functions/effects_data.stan
  #include functions/baseline_data.stan
  array[K] int<lower=0> events_1;
  vector<lower=0>[K] time_1; // person-time
  array[K] int<lower=0> events_2;
  vector<lower=0>[K] time_2;
}
transformed data {
  int T = effects == 2; // whether there is a w
  vector[K] y1 = to_vector(events_1);
  vector[K] y2 = to_vector(events_2);
  vector[K] v1 = inv(y1 + 0.5); // of the empirical log rates
  vector[K] v2 = inv(y2 + 0.5);
  vector[K] log_rate2 = log((y2 + 0.5) ./ time_2);
  vector[K] d = log((y1 + 0.5) ./ time_1) - log_rate2;
  vector[K] v = v1 + v2;
  vector[K] slope = -v2 ./ v; // of the baseline on the effect
  vector[K] spread2 = v1 .* v2 ./ v; // its variance given the effect
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
  // bounds of unrelated effects, of the mean of random baselines, of fixed baselines
  real low = effects == 3 ? prior_lower(mu_prior_family, mu_prior) : negative_infinity();
  real high = effects == 3 ? prior_upper(mu_prior_family, mu_prior) : positive_infinity();
  int has_bounds = !is_inf(low) || !is_inf(high);
  real mean_low = prior_lower(baseline_prior_family, baseline_prior);
  real mean_high = prior_upper(baseline_prior_family, baseline_prior);
  real b_low = baseline_random ? negative_infinity() : mean_low;
  real b_high = baseline_random ? positive_infinity() : mean_high;
  int walled = !is_inf(b_low) || !is_inf(b_high);
}
parameters {
  vector<lower=lowest, upper=highest>[P] scaled;
  vector<lower=fmax(0, prior_lower(tau_prior_family, tau_prior)),
         upper=prior_upper(tau_prior_family, tau_prior)>[G] tau; // between-study standard deviation (or scale)
  vector[K * T] log_w;
  vector<lower=low, upper=high>[effects == 0 ? 0 : K] z;
  vector<lower=b_low, upper=b_high>[K] b; // for the baseline
  vector<lower=mean_low, upper=mean_high>[baseline_random] baseline_mean;
  vector<lower=fmax(0, prior_lower(baseline_sd_prior_family, baseline_sd_prior)),
         upper=prior_upper(baseline_sd_prior_family, baseline_sd_prior)>[baseline_random] baseline_sd;
}
transformed parameters {
  vector[P] beta = centre + factor * scaled; // means, slopes
  vector[K * T] w = exp(log_w);
  vector[K] theta = study_effects(z, effects, X * beta, study_scale(tau, group, w), d, v, has_bounds);
  vector[K] near = log_rate2 + slope .* (theta - d); // baseline that the counts suggest, given theta
  vector[K] baseline; // log rate in arm 2
  if (baseline_random) {
    vector[K] m = rep_vector(baseline_mean[1], K);
    vector[K] s = rep_vector(baseline_sd[1], K);
    baseline = m + s .* deviation(b, m, s, near, spread2);
  } else {
    baseline = walled ? b : near + sqrt(spread2) .* b;
  }
}
model {
  beta ~ coefficients(M, mu_prior_family, mu_prior, beta_prior_family, beta_prior);
  target += chosen_priors_lpdf(tau | tau_prior_family, tau_prior);
  target += -0.5 * df * (sum(log_w) + sum(exp(-log_w))); // w ~ inv_gamma(df / 2, df / 2), in log_w
  if (G > 0) z ~ deviation(X * beta, study_scale(tau, group, w), d, v);
  if (effects == 3) target += chosen_priors_lpdf(theta | mu_prior_family, mu_prior);
  if (baseline_random) {
    target += chosen_priors_lpdf(baseline_mean | baseline_prior_family, baseline_prior);
    target += chosen_priors_lpdf(baseline_sd | baseline_sd_prior_family, baseline_sd_prior);
    b ~ deviation(rep_vector(baseline_mean[1], K), rep_vector(baseline_sd[1], K), near, spread2);
  } else {
    target += chosen_priors_lpdf(baseline | baseline_prior_family, baseline_prior);
  }
  target += dot_product(y1, baseline + theta) - dot_product(time_1, exp(baseline + theta));
  target += dot_product(y2, baseline) - dot_product(time_2, exp(baseline));
}
