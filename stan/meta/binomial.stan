/**
 * Random-effects meta-analysis of two-arm studies with the exact binomial likelihood of each arm.
 *
 *   events_1[i] ~ binomial(total_1[i], p1[i]),  events_2[i] ~ binomial(total_2[i], p2[i])
 *   theta[i]    ~ normal(mu, tau)               study i = 1..K
 *
 *   odds ratio:  logit(p2) = baseline,  logit(p1) = baseline + theta
 *   risk ratio:  log(p2)   = baseline,  log(p1)   = baseline + theta
 *
 * Each study's baseline is a nuisance parameter with a prior of its own, independent between studies, so
 * that no information on the effect comes from comparing arms of different studies. A zero cell needs no
 * correction.
 *
 * Risk ratio: both risks must stay below 1, which bounds the baseline by -max(0, theta). The baseline's prior
 * is its chosen prior truncated there and divided by its mass there. With that divisor theta ~ normal(mu, tau)
 * holds as written, and mu and tau keep their meaning; without it the bound would pull theta down.
 *
 * What is sampled, chosen for geometry only (the change of variables is exact):
 *
 *   z        theta = mu + tau * u,  u = tau (d - mu) / (v + tau^2) + sqrt(v / (v + tau^2)) z, where d and v are
 *            study i's empirical effect and variance (1/2 added to each cell). Were the likelihood normal, z
 *            would be standard normal a posteriori whatever mu and tau are: the centred form where a study is
 *            informative, the non-centred one where tau is small.
 *   w        the mean of the arms' logits, (logit(p1) + logit(p2)) / 2, centred and scaled by its empirical
 *            regression on theta. For the risk ratio this mean and theta may take any values together, that
 *            is, the bound above disappears (half the log odds product; Richardson, Robins & Wang 2017), with
 *            p2 = 2 / (1 + r + sqrt((1 - r)^2 + 4 r exp(-2 mean))), r = exp(theta)
 *            d baseline / d mean = 2 / (1 / (1 - p1) + 1 / (1 - p2)).
 *
 * Priors: mu, tau and baseline as chosen in the config.
 * Source: Smith, Spiegelhalter & Thomas 1995, Stat Med 14:2685-2699 (odds ratio); Warn, Thompson &
 * Spiegelhalter 2002, Stat Med 21:1601-1623 (risk ratio and its constraint); Richardson, Robins & Wang 2017,
 * J Am Stat Assoc 112:1121-1130 (log odds product).
 */
functions {
  #include functions/priors.stanfunctions

  /** Log of the prior mass below each bound, for the location-scale families of priors.stanfunctions. */
  real log_mass_below(vector bound, int code, vector numbers) {
    if (code == 1) return normal_lcdf(bound | numbers[1], numbers[2]);
    if (code == 2) return student_t_lcdf(bound | numbers[3], numbers[1], numbers[2]);
    if (code == 3) return cauchy_lcdf(bound | numbers[1], numbers[2]);
    reject("the baseline prior is normal, student_t or cauchy, not code ", code);
  }
}
data {
  int<lower=2> K; // studies
  array[K] int<lower=0> events_1;
  array[K] int<lower=1> total_1;
  array[K] int<lower=0> events_2;
  array[K] int<lower=1> total_2;
  int<lower=1, upper=2> link; // 1: logit, theta is a log odds ratio; 2: log, theta is a log risk ratio
  int mu_prior_family;
  vector[3] mu_prior;
  int tau_prior_family;
  vector[3] tau_prior;
  int baseline_prior_family;
  vector[3] baseline_prior;
}
transformed data {
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
}
parameters {
  real mu; // pooled effect: log odds ratio or log risk ratio
  real<lower=0> tau; // between-study standard deviation
  vector[K] z;
  vector[K] w;
}
transformed parameters {
  vector[K] u;
  vector[K] theta; // study effects
  vector[K] mean_logit;
  vector[K] baseline; // arm 2: log odds (link 1) or log risk (link 2)
  {
    vector[K] within = v ./ (v + square(tau));
    u = tau * (d - mu) ./ (v + square(tau)) + sqrt(within) .* z;
    theta = mu + tau * u;
    mean_logit = 0.5 * (logit1 + logit2) + slope .* (theta - d) + spread .* w;
  }
  if (link == 1) {
    baseline = mean_logit - 0.5 * theta;
  } else {
    vector[K] r = exp(theta);
    baseline = log2() - log1p(r + sqrt(square(1 - r) + 4 * r .* exp(-2 * mean_logit)));
  }
}
model {
  target += chosen_prior_lpdf(mu | mu_prior_family, mu_prior);
  target += chosen_prior_lpdf(tau | tau_prior_family, tau_prior);
  target += std_normal_lpdf(u) - 0.5 * sum(log(v + square(tau))); // theta ~ normal(mu, tau), in terms of z
  target += chosen_priors_lpdf(baseline | baseline_prior_family, baseline_prior);
  if (link == 1) {
    events_1 ~ binomial_logit(total_1, mean_logit + 0.5 * theta);
    events_2 ~ binomial_logit(total_2, mean_logit - 0.5 * theta);
  } else {
    vector[K] log_risk1 = baseline + theta;
    vector[K] log_safe1 = log1m_exp(log_risk1);
    vector[K] log_safe2 = log1m_exp(baseline);
    target += -log_mass_below(-fmax(theta, 0), baseline_prior_family, baseline_prior);
    target += -sum(log(exp(-log_safe1) + exp(-log_safe2))); // d baseline / d mean_logit, without the 2
    target += dot_product(y1, log_risk1) + dot_product(no1, log_safe1);
    target += dot_product(y2, baseline) + dot_product(no2, log_safe2);
  }
}
