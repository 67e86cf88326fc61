/* Densities and bounds of every prior, and draws from one. */
functions {
  #include functions/priors.stanfunctions
}
data {
  int<lower=0> N;
  vector[N] x;
  int code;
  vector[3] numbers;
  real lowest; // bound of the parameter apart from the prior's: 0 for a scale
}
parameters {
  real<lower=fmax(lowest, prior_lower(code, numbers)), upper=prior_upper(code, numbers)> y;
}
model {
  target += chosen_prior_lpdf(y | code, numbers);
}
generated quantities {
  vector[N] log_density;
  real together = chosen_priors_lpdf(x | code, numbers);
  real none = chosen_priors_lpdf(head(x, 0) | code, numbers);
  for (i in 1 : N) log_density[i] = chosen_prior_lpdf(x[i] | code, numbers);
}
