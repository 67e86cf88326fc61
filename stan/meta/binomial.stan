/**
 * Meta-analysis of two-arm studies with the exact binomial likelihood of each arm.
 *
 *   events_1[i] ~ binomial(total_1[i], p1[i]),  events_2[i] ~ binomial(total_2[i], p2[i])      study i = 1..K
 *
 *   odds ratio:  logit(p2) = baseline,  logit(p1) = baseline + theta
 *   risk ratio:  log(p2)   = baseline,  log(p1)   = baseline + theta
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
 * baseline[i] ~ normal(baseline_mean, baseline_sd), independent of theta. A zero cell needs no correction.
 *
 * Risk ratio: both risks must stay below 1, which bounds the baseline by -max(0, theta). The baseline's prior
 * is its chosen prior (or the normal of random baselines) truncated there and divided by its mass there. With
 * that divisor theta has the distribution written above, and mu and tau keep their meaning; without it the
 * bound would pull theta down.
 *
 * What is sampled, chosen for geometry only (the change of variables is exact):
 *
 *   z        of theta, as in study_effects.stanfunctions.
 *   b        the mean of the arms' logits, (logit(p1) + logit(p2)) / 2, centred and scaled by its empirical
 *            regression on theta. For the risk ratio this mean and theta may take any values together, that
 *            is, the bound above disappears (half the log odds product; Richardson, Robins & Wang 2017), with
 *            p2 = 2 / (1 + r + sqrt((1 - r)^2 + 4 r exp(-2 mean))), r = exp(theta)
 *            d baseline / d mean = 2 / (1 / (1 - p1) + 1 / (1 - p2)).
 *            With random baselines, the place of the baseline in its normal, in the way of z: baseline = m + s q,
 *            for the risk ratio q = Phi^-1(Phi(q') Phi((bound - m) / s)) with q' in the place of q. With a bounded
 *            prior, the logit of the baseline's place between its bounds.
 *
 * Priors: each mean, each slope, each tau and the baselines as chosen in the config.
 * Source: Smith, Spiegelhalter & Thomas 1995, Stat Med 14:2685-2699 (odds ratio); Warn, Thompson &
 * Spiegelhalter 2002, Stat Med 21:1601-1623 (risk ratio and its constraint); Richardson, Robins & Wang 2017,
 * J Am Stat Assoc 112:1121-1130 (log odds product); Lee & Thompson 2008, Stat Med 27:418-434 (Student t);
 * Jackson et al. 2018, Stat Med 37:1059-1085, models 3 and 5 (random baselines).
 */
functions {
  #include functions/priors.stanfunctions
  #include functions/regression.stanfunctions
  #include functions/study_effects.stanfunctions

  /** Log of the prior mass below each bound, summed, for the location-scale families of priors.stanfunctions. */
  real log_mass_below(vector bound, int code, vector numbers) {
    if (code == 1) return normal_lcdf(bound | numbers[1], numbers[2]);
    if (code == 2) return student_t_lcdf(bound | numbers[3], numbers[1], numbers[2]);
    if (code == 3) return cauchy_lcdf(bound | numbers[1], numbers[2]);
    reject("the baseline prior is normal, student_t, cauchy or uniform, not code ", code);
  }
}
data {
  #include functions/regression_data.stan
  #include functions/effects_data.stan
  #include functions/baseline_data.stan
  array[K] int<lower=0> events_1;
  array[K] int<lower=1> total_1;
  array[K] int<lower=0> events_2;
  array[K] int<lower=1> total_2;
  int<lower=1, upper=2> link; // 1: logit, theta is a log odds ratio; 2: log, theta is a log risk ratio
}
transformed data {
  int T = effects == 2; // whether there is a w
  vector[K] y1 = to_vector(events_1);
  vector[K] y2 = to_vector(events_2);
  vector[K] no1 = to_vector(total_1) - y1;
  vector[K] no2 = to_vector(total_2) - y2;
  vector[K] logit1 = log((y1 + 0.5) ./ (no1 + 0.5));
  vector[K] logit2 = log((y2 + 0.5) ./ (no2 + 0.5));
  vector[K] v1 = inv(y1 + 0.5) + inv(no1 + 0.5); // of the empirical logits
  vector[K] v2 = inv(y2 + 0.5) + inv(no2 + 0.5);
  vector[K] d = logit1 - logit2;
  vector[K] g1 = ones_vector(K); // change of the arm's log odds (log risk) with its logit
  vector[K] g2 = ones_vector(K);
  if (link == 2) {
    d = log_inv_logit(logit1) - log_inv_logit(logit2);
    g1 = inv_logit(-logit1);
    g2 = inv_logit(-logit2);
  }
  vector[K] v = square(g1) .* v1 + square(g2) .* v2;
  vector[K] slope = 0.5 * (g1 .* v1 - g2 .* v2) ./ v; // of the mean logit on the effect
  vector[K] spread = sqrt(0.25 * (v1 + v2) - square(slope) .* v);
  vector[K] own = link == 1 ? logit2 : log_inv_logit(logit2); // the same of the baseline, for random ones
  vector[K] own_slope = -square(g2) .* v2 ./ v;
  vector[K] own_variance = square(g1 .* g2) .* v1 .* v2 ./ v;
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
  // bounds of unrelated effects, and of fixed baselines or the mean of random ones
  real low = effects == 3 ? prior_lower(mu_prior_family, mu_prior) : negative_infinity();
  real high = effects == 3 ? prior_upper(mu_prior_family, mu_prior) : positive_infinity();
  int has_bounds = !is_inf(low) || !is_inf(high);
  real mean_low = prior_lower(baseline_prior_family, baseline_prior);
  real mean_high = prior_upper(baseline_prior_family, baseline_prior);
  int walled = !baseline_random && (!is_inf(mean_low) || !is_inf(mean_high));
}
parameters {
  vector<lower=lowest, upper=highest>[P] scaled;
  vector<lower=fmax(0, prior_lower(tau_prior_family, tau_prior)),
         upper=prior_upper(tau_prior_family, tau_prior)>[G] tau; // between-study standard deviation (or scale)
  vector[K * T] log_w;
  vector<lower=low, upper=high>[effects == 0 ? 0 : K] z;
  vector[K] b; // for the baseline
  vector<lower=mean_low, upper=mean_high>[baseline_random] baseline_mean;
  vector<lower=fmax(0, prior_lower(baseline_sd_prior_family, baseline_sd_prior)),
         upper=prior_upper(baseline_sd_prior_family, baseline_sd_prior)>[baseline_random] baseline_sd;
}
transformed parameters {
  vector[P] beta = centre + factor * scaled; // means, slopes
  vector[K * T] w = exp(log_w);
  vector[K] theta = study_effects(z, effects, X * beta, study_scale(tau, group, w), d, v, has_bounds);
  vector[K] mean_logit = 0.5 * (logit1 + logit2) + slope .* (theta - d) + spread .* b;
  vector[K] near = own + own_slope .* (theta - d); // baseline that the counts suggest, given theta
  vector[K] baseline; // arm 2: log odds (link 1) or log risk (link 2)
  vector[K] bound = link == 2 ? -fmax(theta, 0) : rep_vector(positive_infinity(), K); // of the baseline
  if (baseline_random) {
    real m = baseline_mean[1];
    real s = baseline_sd[1];
    if (link == 2) {
      for (i in 1 : K) { // to where q takes it back from
        real x = (fmin(near[i], bound[i] - sqrt(own_variance[i])) - m) / s;
        real inner = fmin(x, 5);
        near[i] = m + s * (std_normal_log_qf(std_normal_lcdf(inner |) - std_normal_lcdf((bound[i] - m) / s |)) + x - inner);
      }
    }
    vector[K] q = deviation(b, rep_vector(m, K), rep_vector(s, K), near, own_variance);
    if (link == 2) {
      for (i in 1 : K) q[i] = std_normal_log_qf(std_normal_lcdf(q[i] |) + std_normal_lcdf((bound[i] - m) / s |));
    }
    baseline = m + s * q;
  } else if (walled) {
    baseline = mean_low + (fmin(bound, mean_high) - mean_low) .* inv_logit(b);
  } else if (link == 2) {
    vector[K] r = exp(theta);
    baseline = log2() - log1p(r + sqrt(square(1 - r) + 4 * r .* exp(-2 * mean_logit)));
  } else {
    baseline = mean_logit - 0.5 * theta;
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
    b ~ deviation(rep_vector(baseline_mean[1], K), rep_vector(baseline_sd[1], K), near, own_variance);
  } else if (walled) {
    if (min(bound) <= mean_low) target += negative_infinity(); // no baseline within the prior
    b ~ logistic(0, 1); // uniform between the bounds, the mass divided out
  } else {
    target += chosen_priors_lpdf(baseline | baseline_prior_family, baseline_prior);
    if (link == 2) {
      target += -log_mass_below(bound, baseline_prior_family, baseline_prior);
      // d baseline / d mean_logit, without the 2
      target += -sum(log(exp(-log1m_exp(baseline + theta)) + exp(-log1m_exp(baseline))));
    }
  }
  if (link == 1) {
    events_1 ~ binomial_logit(total_1, baseline + theta);
    events_2 ~ binomial_logit(total_2, baseline);
  } else {
    target += dot_product(y1, baseline + theta) + dot_product(no1, log1m_exp(baseline + theta));
    target += dot_product(y2, baseline) + dot_product(no2, log1m_exp(baseline));
  }
}
