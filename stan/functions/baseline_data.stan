// Data of the studies' baselines, for `#include functions/baseline_data.stan` in the data block.
int<lower=0, upper=1> baseline_random; // 0: each with the baseline prior of its own; 1: normal, the prior is its mean's
int baseline_prior_family;
vector[3] baseline_prior;
int baseline_sd_prior_family; // of the standard deviation of random baselines
vector[3] baseline_sd_prior;
