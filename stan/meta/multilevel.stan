/**
 * Meta-analysis of studies with several effects each: three-level, with correlated sampling errors.
 *
 *   y[i] = X[i] beta + u[j] + w[i] + e[i]       effect i = 1..K of study j = study[i]
 *   u[j] ~ normal(0, tau)                       between studies
 *   w[i] ~ normal(0, tau_within)                within studies (left out by within = 0)
 *   e    ~ multivariate normal, cov(e[i], e[k]) = rho[j] se[i] se[k] within study j, 0 between studies
 *
 * With common effects there is no u and no w. All are integrated out: the effects of study j are multivariate
 * normal with mean X beta and covariance
 *
 *   V = A + U C U',   A = diag((1 - rho) se^2 + tau_within^2),  U = [se, 1],  C = diag(rho, tau^2)
 *
 * diagonal plus rank 2, so that with B = U' A^-1 U and residuals r (Woodbury; Sherman-Morrison where rho = 0)
 *
 *   log det V = log det A + log det(I + C B)
 *   r' V^-1 r = r' A^-1 r - (U' A^-1 r)' (I + C B)^-1 C (U' A^-1 r)
 *
 * in a few sums over the effects of each study. u + w is drawn exactly after sampling
 * (poolmap/families/meta/multilevel.py).
 *
 * Priors: each mean, each slope, tau and tau_within as chosen in the config (the last two on values > 0).
 * Source: Konstantopoulos 2011, Res Synth Methods 2:61-76; Gleser & Olkin 2009, in Cooper, Hedges & Valentine,
 * The Handbook of Research Synthesis, 2nd edition, chapter 19 (correlated sampling errors).
 */
functions {
  #include functions/priors.stanfunctions
  #include functions/regression.stanfunctions

  /** Sum of each study's elements of `x`, which come study after study, `size` of each. */
  vector study_sums(vector x, array[] int size) {
    int J = num_elements(size);
    vector[J] sums;
    int at = 1;
    for (j in 1 : J) {
      sums[j] = sum(segment(x, at, size[j]));
      at += size[j];
    }
    return sums;
  }
}
data {
  #include functions/regression_data.stan
  #include functions/effects_data.stan
  int<lower=0, upper=1> within; // whether effects vary within studies too
  int<lower=1> J; // studies
  array[K] int<lower=1, upper=J> study; // whose effect each is; every study has one or more
  vector<lower=-1, upper=1>[J] rho; // correlation of the study's sampling errors, above -1 / (effects - 1)
  vector[K] y; // effect estimates, on the scale of analysis
  vector<lower=0>[K] se; // their standard errors
  int tau_within_prior_family;
  vector[3] tau_within_prior;
}
transformed data {
  array[K] int order = sort_indices_asc(study);
  array[J] int size = zeros_int_array(J);
  for (i in 1 : K) size[study[i]] += 1;
  int correlated = max(abs(rho)) > 0;
  matrix[K, P] XX = X[order]; // study after study, as all below
  vector[K] yy = y[order];
  vector[K] s = se[order];
  vector[K] own = (1 - rho[study[order]]) .* square(s); // of A

  vector[P] lowest = by_kind(P, M, prior_lower(mu_prior_family, mu_prior),
                             prior_lower(beta_prior_family, beta_prior));
  vector[P] highest = by_kind(P, M, prior_upper(mu_prior_family, mu_prior),
                              prior_upper(beta_prior_family, beta_prior));
  vector[P] precision = by_kind(P, M, rough_precision(mu_prior_family, mu_prior),
                                rough_precision(beta_prior_family, beta_prior));
  vector[P] location = by_kind(P, M, mu_prior[1], beta_prior[1]);
  // for the geometry only: heterogeneity like the median sampling variance, one study's effects like one
  vector[K] weight = inv((square(s) + (G > 0 ? quantile(square(s), 0.5) : 0))
                         .* to_vector(size[study[order]]));
  matrix[P, P] factor = coefficient_factor(XX, weight, precision, bounded(lowest, highest));
  vector[P] centre = coefficient_centre(XX, weight, yy, precision, location, bounded(lowest, highest));
}
parameters {
  vector<lower=lowest, upper=highest>[P] scaled;
  vector<lower=fmax(0, prior_lower(tau_prior_family, tau_prior)),
         upper=prior_upper(tau_prior_family, tau_prior)>[G] tau; // standard deviation between studies
  vector<lower=fmax(0, prior_lower(tau_within_prior_family, tau_within_prior)),
         upper=prior_upper(tau_within_prior_family, tau_within_prior)>[within] tau_within; // within studies
}
transformed parameters {
  vector[P] beta = centre + factor * scaled; // means, slopes
}
model {
  vector[K] a = inv(within ? own + square(tau_within[1]) : own); // diagonal of A^-1
  real tau2 = G > 0 ? square(tau[1]) : 0;
  vector[K] r = yy - XX * beta;
  vector[K] ar = a .* r;
  vector[J] sum_a = study_sums(a, size);
  vector[J] sum_ar = study_sums(ar, size);
  vector[J] determinant = 1 + tau2 * sum_a; // of I + C B
  vector[J] explained = tau2 * square(sum_ar); // (U' A^-1 r)' (I + C B)^-1 C (U' A^-1 r), times determinant
  if (correlated) {
    vector[J] sum_as = study_sums(a .* s, size);
    vector[J] sum_asr = study_sums(ar .* s, size);
    vector[J] one = 1 + rho .* study_sums(a .* square(s), size);
    explained = rho .* determinant .* square(sum_asr) - 2 * tau2 * rho .* sum_as .* sum_asr .* sum_ar
                + one .* explained;
    determinant = one .* determinant - tau2 * rho .* square(sum_as);
  }
  beta ~ coefficients(M, mu_prior_family, mu_prior, beta_prior_family, beta_prior);
  target += chosen_priors_lpdf(tau | tau_prior_family, tau_prior);
  target += chosen_priors_lpdf(tau_within | tau_within_prior_family, tau_within_prior);
  target += 0.5 * (sum(log(a)) - sum(log(determinant)) - dot_product(ar, r) + sum(explained ./ determinant));
}
