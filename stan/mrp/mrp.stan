/**
 * Multilevel regression of a survey's outcome, aggregated to cells.
 *
 *   eta_ie = alpha_e + x_i beta_e + sum_b (effects of cell i's level in batch b),   e = 1 .. E predictors; the
 *   outcome of cell i, by code:
 *   1 binary             yes_i ~ Binomial(n_i, inv_logit(eta_i))
 *   2 continuous         y ~ N(eta_i, residual_sd^2): by size, mean and within-cell sum of squares
 *   3 count              total_i ~ Poisson(exposure_i exp(eta_i))
 *   4 overdispersed      y with that mean m and variance m + dispersion m^2, by distinct rows
 *   5 ordered            P(answer <= c) = inv_logit(cutpoint_c - eta_i); alpha = 0
 *   6 categorical        answers ~ Multinomial(softmax(0, eta_i1, ..., eta_iE)); the first answer is the reference
 *   7 test with errors   yes_i ~ Binomial(n_i, p_i sens + (1 - p_i)(1 - spec)), p_i = inv_logit(eta_i)
 *
 *   A batch of effects, by code (each e has its own):
 *   1 exchangeable levels with J effects each: N(0, S), S = diag(sigma) R diag(sigma), R ~ LKJ(lkj); J = 1 also
 *     with a fixed precision matrix M in place of I: random walk (RW1), ICAR
 *   2 ar1    stationary, standard deviation sigma, correlation rho of neighbouring levels
 *   3 bym2   sigma (sqrt(1 - rho) theta + sqrt(rho) phi); an area without neighbours N(0, sigma^2)
 *   A field that sums to zero (RW1, ICAR, phi) is sampled without its last level in each component, that of a large
 *   component with the intercept as its mean.
 *
 *   Tests (7): correct answers in validation studies ~ Binomial(of, sens) (spec); either equal in all studies and
 *   the survey, uniform a priori, or logit(sens_s) ~ N(mean, sd^2) for every study and the survey.
 *
 * Priors of alpha (5: of each cutpoint), each beta and each hyperparameter by code (functions/priors.stanfunctions);
 * code 10 for alpha is the logistic distribution, uniform on the share where it is (0, 1).
 *
 * Sampling. Given the hyperparameters the posterior of x = (alpha, beta, effects) is close to a normal one whose
 * precision A is sparse: the information of the data at their approximate mode (a fixed matrix; continuous: times
 * 1 / residual_sd^2) plus the prior precision, which is linear in few scalars c. x is therefore sampled as
 * independent standard variables carried through the Cholesky factor of A, which mrp.hpp works out anew for each
 * value of the hyperparameters. The normal approximation only decides how fast the sampler is: the density is that
 * of the model above, whatever it is. The hyperparameters are centred and scaled for the same reason; where sigma
 * may be near 0, so that log sigma has a long left tail, log sigma = t - bend softplus(bend_at - t)^2 and t is centred
 * and scaled. Of a test (7) the data tell the share of positives, not the prevalence: the log odds of a positive take
 * the place of the intercept, softly bounded by false positives below and the sensitivity above (transformed
 * parameters); the logits of validation studies are whitened given their mean and standard deviation.
 *
 * Sources: Gelman and Little 1997, Survey Methodology 23:127-135; Lewandowski, Kurowicka and Joe 2009, Journal of
 * Multivariate Analysis 100:1989-2001; Riebler, Sorbye, Simpson and Rue 2016, Statistical Methods in Medical Research
 * 25:1145-1165; Gelman and Carpenter 2020, JRSS C 69:1269-1283; sampling in whitened coordinates: Christensen,
 * Roberts and Skold 2006, Journal of Computational and Graphical Statistics 15:1-17.
 */
functions {
  #include functions/priors.stanfunctions

  /**
   * Normal variables with precision A = sum_j c_j M_j = L L' in the order of elimination: x = A^-1 shift + L^-T z,
   * followed by log |L| and x' M_j x for each j.
   */
  vector whitened_effects(vector c, vector shift, vector z, data vector values, data array[] int matrix_start,
                          data array[] int place, data array[] int column_start, data array[] int row,
                          data array[] int row_start, data array[] int row_place, data array[] int row_column,
                          data array[] int column);

  /** Cholesky factor of a correlation matrix from its canonical partial correlations tanh(y), row by row. */
  matrix correlation_factor(vector y, int J) {
    matrix[J, J] L = rep_matrix(0, J, J);
    int at = 1;
    L[1, 1] = 1;
    for (i in 2 : J) {
      real left = 1;
      for (j in 1 : i - 1) {
        L[i, j] = tanh(y[at]) * sqrt(left);
        left -= square(L[i, j]);
        at += 1;
      }
      L[i, i] = sqrt(left);
    }
    return L;
  }

  /** Log density of y such that the correlation matrix is LKJ(shape), up to a constant. */
  real correlation_lpdf(vector y, int J, real shape) {
    real lp = 0;
    int at = 1;
    for (i in 2 : J) {
      for (j in 1 : i - 1) {
        // the j-th partial correlation is 2 Beta(b, b) - 1, b = shape + (J - 1 - j) / 2; tanh' = 1 - tanh^2
        lp += -2 * (shape + 0.5 * (J - 1 - j)) * (log_sum_exp(y[at], -y[at]) - log2());
        at += 1;
      }
    }
    return lp;
  }
}
data {
  int<lower=1> C;                                  // cells of the survey (4: distinct rows)
  int<lower=1> E;                                  // linear predictors
  int<lower=0> P;                                  // coefficients of each
  int<lower=1, upper=7> kind;
  array[C] int<lower=0> n;                         // respondents
  array[kind == 2 || kind >= 5 && kind <= 6 ? 0 : C] int<lower=0> y; // yes (1, 7), total (3), count (4)
  vector[kind == 2 ? C : 0] mean_y;
  real<lower=0> within_ss;                         // over all cells (2)
  vector[kind == 3 || kind == 4 ? C : 0] log_exposure;
  int<lower=0> answers;                            // (5, 6)
  matrix<lower=0>[kind == 5 || kind == 6 ? C : 0, answers] n_answer;
  int<lower=0> pivot;                              // the cutpoint that is -alpha (5)
  int<lower=0, upper=2> test;                      // 1 equal, 2 varying (7)
  array[2] int<lower=0> studies;                   // of sensitivity, of specificity
  array[sum(studies)] int<lower=0> correct;
  array[sum(studies)] int<lower=0> of;
  vector[sum(studies)] study_logit;                // normal approximation of each study (test 2)
  vector<lower=0>[sum(studies)] study_weight;
  vector<lower=0>[2] pooled_sd;                    // of the logits by all studies (test 1)

  int<lower=1> N;                                  // x: intercepts, coefficients, effects
  array[N] int<lower=1, upper=N> order;            // place of each in the order of elimination
  int<lower=0> nonzero;                            // the design of all predictors, E C rows, by rows
  vector[nonzero] design_value;
  array[nonzero] int design_column;
  array[E * C + 1] int design_start;

  vector[test > 0 ? N : 0] average_design;         // average linear predictor of the cells
  real average_at;                                 // where it is, and what it lacks of the average prevalence's logit
  real average_offset;
  real positive_at;                                // log odds of a positive there, their change with the average,
  real positive_slope;                             // and their standard deviation
  real<lower=0> positive_sd;
  int<lower=0> F;                                  // levels of a large field, sampled with its mean
  array[E, F] int<lower=1, upper=N> floating;      // where they stand among the effects

  int<lower=0> K;                                  // batches
  array[K] int<lower=1, upper=3> type;
  array[K] int<lower=1> J;                         // effects of a level
  array[K, 3] int<lower=0> size;                   // dimensions of the parts, for the determinant
  int<lower=0> H;                                  // hyperparameters: of the batches, then the outcome's own
  vector[H] hyper_at;
  matrix[H, H] hyper_scale;
  vector<lower=0>[H] bend;                         // bends the long tails of log standard deviations
  vector[H] bend_at;

  int<lower=2> matrices;                           // information of the data, prior of alpha and beta, then batches
  int nnz;                                         // pattern of the Cholesky factor and of the matrices, from 0
  array[N + 1] int column_start;
  array[nnz] int row;
  array[N + 1] int row_start;
  array[nnz - N] int row_place;
  array[nnz - N] int row_column;
  array[nnz] int column;
  int entries;
  array[matrices + 1] int matrix_start;
  vector[entries] values;
  array[entries] int place;
  vector[N] shift_data;
  vector[N] shift_prior;
  real free_at;                                    // of the intercept's place, where a field has the intercept
  real<lower=0> free_scale;

  real<lower=0> lkj;
  int alpha_prior_family;
  vector[3] alpha_prior;
  int beta_prior_family;
  vector[3] beta_prior;
  int sigma_prior_family;
  vector[3] sigma_prior;
  int rho_prior_family;
  vector[3] rho_prior;
  int correlation_prior_family;
  vector[3] correlation_prior;
  int own_prior_family;                            // of residual_sd, of dispersion
  vector[3] own_prior;
  int test_mean_prior_family;
  vector[3] test_mean_prior;
  int test_sd_prior_family;
  vector[3] test_sd_prior;
}
transformed data {
  int n_sigma = sum(J);
  int n_rho = 0;
  int n_correlation = 0;
  for (k in 1 : K) {
    n_rho += type[k] > 1;
    n_correlation += (J[k] * (J[k] - 1)) %/% 2;
  }
}
parameters {
  vector[H] hyper_z;
  vector[N] x_z;
}
transformed parameters {
  vector[E] alpha;
  vector[E * P] beta;                              // by predictor
  vector[N - E - E * P] effect;
  vector[n_sigma] sigma;
  vector[n_rho] rho;
  vector[n_correlation] correlation;
  vector[kind == 2 ? 1 : 0] residual_sd;
  vector[kind == 4 ? 1 : 0] dispersion;
  vector[kind == 5 ? answers - 1 : 0] cutpoints;
  vector[test > 0 ? 1 : 0] sensitivity;            // in the survey
  vector[test > 0 ? 1 : 0] specificity;
  vector[test == 2 ? 2 : 0] test_mean;             // of the logits, sensitivity first
  vector[test == 2 ? 2 : 0] test_sd;
  real log_density = 0;                            // of x and the hyperparameters, with the Jacobians
  {
    vector[H] straight = hyper_at + hyper_scale * hyper_z;
    vector[H] beyond = log1p_exp(bend_at - straight);
    vector[H] hyper = straight - bend .* square(beyond);
    vector[matrices] c = rep_vector(1, matrices);
    vector[N + 1 + matrices] field;
    vector[N] x;
    int h = 1;                                     // where the next hyperparameter, scalar, ... stands
    int j = 3;
    int i_sigma = 1;
    int i_rho = 1;
    int i_correlation = 1;
    vector[2] logit_accuracy;                      // of a test: sensitivity, specificity in the survey
    vector[2] accuracy_sd;                         // how far the studies tell them
    vector[2] accuracy_away;                       // from the mean of the studies, in standard deviations
    log_density += sum(log1p(2 * bend .* beyond .* inv_logit(bend_at - straight)));
    for (k in 1 : K) {
      vector[J[k]] log_sigma = hyper[h : h + J[k] - 1];
      sigma[i_sigma : i_sigma + J[k] - 1] = exp(log_sigma);
      log_density += sum(log_sigma);               // the Jacobian of exp
      h += J[k];
      if (type[k] == 1) {
        int pairs = (J[k] * (J[k] - 1)) %/% 2;
        vector[pairs] partial = hyper[h : h + pairs - 1];
        matrix[J[k], J[k]] L = correlation_factor(partial, J[k]);
        matrix[J[k], J[k]] inverse = chol2inv(L);
        matrix[J[k], J[k]] R = multiply_lower_tri_self_transpose(L);
        log_density += -size[k, 1] * (sum(log_sigma) + sum(log(diagonal(L))));
        if (pairs > 0) log_density += correlation_lpdf(partial | J[k], lkj);
        h += pairs;
        for (a in 1 : J[k]) {
          for (b in 1 : a) {
            c[j] = inverse[a, b] * exp(-log_sigma[a] - log_sigma[b]);
            j += 1;
            if (b < a) {
              correlation[i_correlation] = R[a, b];
              i_correlation += 1;
            }
          }
        }
      } else {
        real r = inv_logit(hyper[h]);
        real rest = inv_logit(-hyper[h]);
        real precision = exp(-2 * log_sigma[1]);
        if (type[k] == 2) {
          real innovation = precision / (rest * (1 + r));
          c[j : j + 2] = innovation * [1, square(r), -r]';
          log_density += 0.5 * (size[k, 1] * log(innovation) + log(rest) + log1p(r));
          log_density += chosen_prior_lpdf(r | correlation_prior_family, correlation_prior);
        } else {
          c[j : j + 2] = precision * [inv(rest), 1, inv(r)]';
          log_density += 0.5 * dot_product(to_vector(size[k]), log(c[j : j + 2]));
          log_density += chosen_prior_lpdf(r | rho_prior_family, rho_prior);
        }
        log_density += log(r) + log(rest);         // the Jacobian of inv_logit
        rho[i_rho] = r;
        i_rho += 1;
        h += 1;
        j += 3;
      }
      i_sigma += J[k];
    }

    // the outcome's own hyperparameters
    if (kind == 2) {
      residual_sd[1] = exp(hyper[h]);
      c[1] = exp(-2 * hyper[h]);
      log_density += hyper[h] + chosen_prior_lpdf(residual_sd[1] | own_prior_family, own_prior);
    }
    if (kind == 4) {
      dispersion[1] = exp(hyper[h]);
      log_density += hyper[h] + chosen_prior_lpdf(dispersion[1] | own_prior_family, own_prior);
    }
    if (test == 1) {
      logit_accuracy = hyper[h : h + 1];
      accuracy_sd = pooled_sd;
    }
    if (test == 2) {
      int at = h + 4;
      for (s in 1 : 2) {
        int first = s == 1 ? 1 : studies[1] + 1;
        int last = s == 1 ? studies[1] : sum(studies);
        // given their spread, mean and logits are sampled as standard variables of their normal approximation
        vector[studies[s]] weight = study_weight[first : last];
        vector[studies[s]] logit = study_logit[first : last];
        real spread = exp(hyper[h + 2 * s - 1]);
        vector[studies[s]] shrink = inv(1 + weight * square(spread));
        real mean_precision = dot_product(weight, shrink) + inv_square(test_mean_prior[2]);
        real centre = (dot_product(weight .* shrink, logit) + test_mean_prior[1] * inv_square(test_mean_prior[2]))
                      / mean_precision + hyper[h + 2 * s - 2] / sqrt(mean_precision);
        vector[studies[s]] away = spread * weight .* shrink .* (logit - centre)
                                  + sqrt(shrink) .* hyper[at + 1 : at + studies[s]];
        log_density += 0.5 * (sum(log(shrink)) - log(mean_precision)) + std_normal_lpdf(away);
        log_density += binomial_logit_lpmf(correct[first : last] | of[first : last], centre + spread * away);
        log_density += chosen_prior_lpdf(centre | test_mean_prior_family, test_mean_prior);
        log_density += hyper[h + 2 * s - 1] + chosen_prior_lpdf(spread | test_sd_prior_family, test_sd_prior);
        test_mean[s] = centre;
        test_sd[s] = spread;
        accuracy_away[s] = hyper[at];
        accuracy_sd[s] = spread;
        logit_accuracy[s] = centre + spread * hyper[at];
        at += 1 + studies[s];
      }
    }

    field = whitened_effects(c, c[1] * shift_data + shift_prior, x_z, values, matrix_start, place, column_start, row,
                             row_start, row_place, row_column, column);
    x = field[1 : N];
    log_density += -field[N + 1];
    if (matrices > 2) log_density += -0.5 * dot_product(c[3 : matrices], field[N + 4 : N + 1 + matrices]);
    alpha = x[order[1 : E]];
    beta = x[order[E + 1 : E + E * P]];
    effect = x[order[E + E * P + 1 : N]];
    if (F > 0) {
      // sampled with the intercept as its mean, the field stays sparse; the variable in the intercept's place has
      // no part in the model, and the distribution that it has under the normal approximation
      for (e in 1 : E) {
        real mean_field = mean(effect[floating[e]]);
        log_density += normal_lpdf(alpha[e] | free_at, free_scale);
        alpha[e] = mean_field;
        effect[floating[e]] -= mean_field;
      }
    }
    if (test > 0) {
      // Prevalence and accuracy are told together, by the share of positives. Its log odds are sampled in place of
      // the prevalence. They lie above those of a false positive, and those of a true positive below those of the
      // sensitivity: the distances are softened to be above 0, both ends giving way by their variances.
      real average = dot_product(average_design, append_row(append_row(alpha, beta), effect));
      real positive = positive_at + positive_slope * (average - average_at);
      vector[2] width = sqrt(square(positive_sd) + square(accuracy_sd));
      vector[2] distance;
      vector[2] above;
      vector[2] moved;
      real true_positive;
      distance[2] = positive + logit_accuracy[2];
      above[2] = 0.5 * width[2] * log1p_exp(2 * distance[2] / width[2]);
      moved[2] = 0.5 * width[2] * log1p_exp(-2 * distance[2] / width[2]);
      true_positive = positive + square(positive_sd / width[2]) * moved[2] + log1m_exp(-above[2]);
      distance[1] = logit_accuracy[1] - true_positive;
      above[1] = 0.5 * width[1] * log1p_exp(2 * distance[1] / width[1]);
      moved[1] = 0.5 * width[1] * log1p_exp(-2 * distance[1] / width[1]);
      true_positive -= square(positive_sd / width[1]) * moved[1];
      logit_accuracy += square(accuracy_sd ./ width) .* moved;
      // the logit of the prevalence, the share of true positives divided by the sensitivity
      alpha[1] += true_positive - log_inv_logit(logit_accuracy[1]) - log1m_exp(-above[1]) - average_offset - average;
      log_density += sum(log_inv_logit(2 * distance ./ width) - log1m_exp(-above));
      sensitivity[1] = inv_logit(logit_accuracy[1]);
      specificity[1] = inv_logit(logit_accuracy[2]);
      if (test == 2) {
        log_density += std_normal_lpdf(accuracy_away + accuracy_sd ./ square(width) .* moved);
      } else {
        for (s in 1 : 2) {
          int first = s == 1 ? 1 : studies[1] + 1;
          int last = s == 1 ? studies[1] : sum(studies);
          log_density += binomial_logit_lpmf(correct[first : last] | of[first : last], logit_accuracy[s]);
        }
        log_density += sum(log_inv_logit(logit_accuracy)) + sum(log_inv_logit(-logit_accuracy));
      }
    }
    if (kind == 5) {                               // the intercept is the middle cutpoint
      vector[answers - 2] gap = exp(hyper[h : H]);
      cutpoints[pivot] = -alpha[1];
      for (a in pivot + 1 : answers - 1) cutpoints[a] = cutpoints[a - 1] + gap[a - 1];
      for (a in 1 : pivot - 1) cutpoints[pivot - a] = cutpoints[pivot - a + 1] - gap[pivot - a];
      log_density += sum(hyper[h : H]);
      alpha[1] = 0;
    }
  }
}
model {
  vector[E * C] eta;
  {
    vector[N] x;
    x[order] = append_row(append_row(alpha, beta), effect);
    eta = csr_matrix_times_vector(E * C, N, design_value, design_column, design_start, x);
  }
  if (kind == 1) {
    y ~ binomial_logit(n, eta);
  } else if (kind == 2) {
    target += -sum(n) * log(residual_sd[1])
              - 0.5 * inv_square(residual_sd[1]) * (within_ss + dot_product(to_vector(n), square(mean_y - eta)));
  } else if (kind == 3) {
    y ~ poisson_log(log_exposure + eta);
  } else if (kind == 4) {
    // nearer to 0 the gamma functions of the distribution cancel into noise
    real phi = inv(dispersion[1] + 1e-9);
    for (i in 1 : C) target += n[i] * neg_binomial_2_log_lupmf(y[i] | log_exposure[i] + eta[i], phi);
  } else if (kind == 5) {
    for (a in 1 : answers) {
      if (a > 1) target += dot_product(n_answer[ : , a], log_inv_logit(eta - cutpoints[a - 1]));
      if (a < answers) target += dot_product(n_answer[ : , a], log_inv_logit(cutpoints[a] - eta));
      if (a > 1 && a < answers) target += sum(n_answer[ : , a]) * log1m_exp(cutpoints[a - 1] - cutpoints[a]);
    }
  } else if (kind == 6) {
    vector[C] total = log1p_exp(eta[1 : C]);
    for (e in 1 : E) {
      vector[C] mine = eta[(e - 1) * C + 1 : e * C];
      if (e > 1) total += log1p_exp(mine - total);
      target += dot_product(n_answer[ : , e + 1], mine);
    }
    target += -dot_product(to_vector(n), total);
  } else {
    y ~ binomial(n, inv_logit(eta) * (sensitivity[1] + specificity[1] - 1) + (1 - specificity[1]));
  }
  target += log_density;
  if (kind == 5 && alpha_prior_family == 10) cutpoints ~ logistic(alpha_prior[1], alpha_prior[2]);
  else if (kind == 5) cutpoints ~ chosen_priors(alpha_prior_family, alpha_prior);
  else if (alpha_prior_family == 10) alpha ~ logistic(alpha_prior[1], alpha_prior[2]);
  else alpha ~ chosen_priors(alpha_prior_family, alpha_prior);
  beta ~ chosen_priors(beta_prior_family, beta_prior);
  sigma ~ chosen_priors(sigma_prior_family, sigma_prior);
}
