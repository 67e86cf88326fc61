// Data of a meta-regression, for `#include functions/regression_data.stan` in the data block. The expected
// effect of study i is X[i] * beta; unrelated effects have P = 0.
int<lower=1> K; // studies (or effects)
int<lower=0> P; // coefficients beta
int<lower=0, upper=P> M; // of them means: of all studies, or of each subgroup; the others are slopes
matrix[K, P] X;
int mu_prior_family; // of each mean
vector[3] mu_prior;
int beta_prior_family; // of each slope
vector[3] beta_prior;
