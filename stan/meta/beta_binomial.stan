/**
 * Meta-analysis of counts with risks that vary between arms by a beta distribution: the beta-binomial model.
 *
 *   events[a, i] ~ binomial(total[a, i], p[a, i])        arm (or group) a of study i = 1..K
 *   p[a, i]      ~ beta(m (1 - icc) / icc, (1 - m) (1 - icc) / icc),   m = m[a, i]
 *
 *   one group:   logit(m[1, i]) = X[i] beta
 *   two arms:    logit(m[2, i]) = baseline_mean,   logit(m[1, i]) = baseline_mean + X[i] beta
 *
 * m is the mean risk and icc the intraclass correlation: of two people of one arm, var(p) = m (1 - m) icc. The
 * risks are integrated out: the events are beta-binomial. beta is the log odds ratio of the mean risks (or
 * their log odds), not the mean of the studies' log odds ratios: there is no tau. All arms are independent, so
 * that the effect also comes from comparing arms of different studies; studies without events in one arm
 * or in both need no correction.
 *
 * Priors: each mean, each slope, baseline_mean and icc as chosen in the config.
 * Source: Kuss 2015, Stat Med 34:1097-1116; Griffiths 1973, Biometrics 29:637-648 (the distribution).
 */
functions {
  #include functions/priors.stanfunctions
  #include functions/regression.stanfunctions
}
data {
  #include functions/regression_data.stan
  int<lower=1, upper=2> arms;
  array[K] int<lower=0> events_1;
  array[K] int<lower=1> total_1;
  array[arms == 2 ? K : 0] int<lower=0> events_2;
  array[arms == 2 ? K : 0] int<lower=1> total_2;
  int baseline_prior_family; // of the mean log odds in arm 2
  vector[3] baseline_prior;
  int icc_prior_family;
  vector[3] icc_prior;
}
transformed data {
  int two = arms == 2;
  vector[K] y1 = to_vector(events_1);
  vector[K] no1 = to_vector(total_1) - y1;
  vector[K * two] y2 = to_vector(events_2);
  vector[K * two] no2 = to_vector(total_2) - y2;
  real middle = two ? log((sum(y2) + 0.5) / (sum(no2) + 0.5)) : 0; // about baseline_mean
  vector[K] d = log((y1 + 0.5) ./ (no1 + 0.5)) - middle;
  vector[K] v = inv(y1 + 0.5) + inv(no1 + 0.5);
  vector[P] lowest = by_kind(P, M, prior_lower(mu_prior_family, mu_prior),
                            prior_lower(beta_prior_family, beta_prior));
  vector[P] highest = by_kind(P, M, prior_upper(mu_prior_family, mu_prior),
                            prior_upper(beta_prior_family, beta_prior));
  vector[P] precision = by_kind(P, M, rough_precision(mu_prior_family, mu_prior),
                                rough_precision(beta_prior_family, beta_prior));
  vector[P] location = by_kind(P, M, mu_prior[1], beta_prior[1]);
  // for the geometry only: risks that vary between arms like the median sampling variance
  vector[K] weight = inv(v + quantile(v, 0.5));
  matrix[P, P] factor = coefficient_factor(X, weight, precision, bounded(lowest, highest));
  vector[P] centre = coefficient_centre(X, weight, d, precision, location, bounded(lowest, highest));
  real mean_low = prior_lower(baseline_prior_family, baseline_prior);
  real mean_high = prior_upper(baseline_prior_family, baseline_prior);
  real shift = is_inf(mean_low) && is_inf(mean_high) ? middle : 0;
}
parameters {
  vector<lower=lowest, upper=highest>[P] scaled;
  vector<lower=mean_low, upper=mean_high>[two] raw_mean;
  vector<lower=fmax(0, prior_lower(icc_prior_family, icc_prior)),
         upper=fmin(1, prior_upper(icc_prior_family, icc_prior))>[1] icc; // intraclass correlation
}
transformed parameters {
  vector[P] beta = centre + factor * scaled; // means, slopes
  vector[two] baseline_mean = shift + raw_mean; // log odds of the mean risk in arm 2
}
model {
  real precision_of_risks = (1 - icc[1]) / icc[1];
  vector[K] eta = X * beta;
  beta ~ coefficients(M, mu_prior_family, mu_prior, beta_prior_family, beta_prior);
  target += chosen_priors_lpdf(icc | icc_prior_family, icc_prior);
  if (two) {
    target += chosen_priors_lpdf(baseline_mean | baseline_prior_family, baseline_prior);
    eta += baseline_mean[1];
    events_2 ~ beta_binomial(total_2, rep_vector(inv_logit(baseline_mean[1]) * precision_of_risks, K),
                             rep_vector(inv_logit(-baseline_mean[1]) * precision_of_risks, K));
  }
  events_1 ~ beta_binomial(total_1, inv_logit(eta) * precision_of_risks, inv_logit(-eta) * precision_of_risks);
}
