// Data of the distribution of the studies' effects, for `#include functions/effects_data.stan` in the data
// block, after regression_data.stan: theta[i] has location X[i] * beta and scale tau[group[i]].
int<lower=0> G; // between-study standard deviations tau; 0 for common and independent effects
array[K] int<lower=1> group; // which of them is each study's; of no effect where G = 0
int<lower=0, upper=3> effects; // 0 common (tau = 0), 1 normal, 2 Student t, 3 independent (theta[i] ~ prior of mu)
real<lower=0> df; // degrees of freedom of the Student t
int tau_prior_family;
vector[3] tau_prior;
