// Eight schools, non-centred (Rubin 1981; Gelman et al. 2013, section 5.5), with variables of each shape, and
// generated quantities that fail where they are asked to.
data {
  int<lower=0> J;
  vector[J] y;
  vector<lower=0>[J] sigma;
  int<lower=0, upper=1> failing;
}
parameters {
  real mu;
  real<lower=0> tau;
  vector[J] theta_raw;
}
transformed parameters {
  vector[J] theta = mu + tau * theta_raw;
}
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  theta_raw ~ std_normal();
  y ~ normal(theta, sigma);
}
generated quantities {
  matrix[2, 3] places;
  array[2] matrix[3, 4] further;
  for (i in 1:2) for (j in 1:3) places[i, j] = 10 * i + j;
  for (i in 1:2) for (j in 1:3) for (k in 1:4) further[i][j, k] = 100 * i + 10 * j + k;
  array[J] real y_rep = normal_rng(theta, sigma);
  if (failing && tau > 3) reject("tau is ", tau);
}
