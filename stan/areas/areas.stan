/**
 * Disease map: counts, proportions or survey estimates by area, with area effects that neighbours may share.
 *
 *   eta_i = x_i' beta + v_g[i] + re_i;   the likelihood of area i, by code:
 *   1 Poisson             y_i ~ Poisson(E_i exp(eta_i))
 *   2 negative binomial   y_i with that mean m_i and variance m_i + dispersion m_i^2
 *   3 binomial            y_i ~ Binomial(n_i, inv_logit(eta_i))
 *   4 beta-binomial       y_i ~ Binomial(n_i, p_i), p_i beta with mean inv_logit(eta_i) and intraclass
 *                         correlation `dispersion`
 *   5 normal              y_i ~ N(eta_i, se_i^2), se_i known (Fay and Herriot 1979, JASA 74:269-277)
 *   6 zero-inflated       y_i = 0 with probability `zero`, else Poisson as 1
 *   A count known to lie between two bounds only ("< 5") adds the log probability of that range.
 *
 *   The area effects re, by code. Q = s_c (D - A) is the Laplacian of the graph, scaled in component c so that
 *   the geometric mean of the variances of its field is 1; an area without neighbours has re_i ~ N(0, sigma^2).
 *   1 iid      re_i ~ N(0, sigma^2)
 *   2 ICAR     re = sigma phi, phi ~ N(0, Q^-), which sums to zero in each component
 *   3 BYM2     re = sigma (sqrt(1 - rho) theta + sqrt(rho) phi), theta_i ~ N(0, 1)
 *   4 Leroux   re ~ N(0, sigma^2 (rho (D - A) + (1 - rho) I)^-1)
 *   5 CAR      re ~ N(0, sigma^2 (D - rho A)^-1)
 *
 *   The first A of the beta are intercepts: one, or one for each component of the graph; alpha is their mean
 *   by given weights. The effects v of G regions, if any, are v_g ~ N(0, sigma_region^2). Of J covariates,
 *   columns of X, only a measurement with errors is given: x_i ~ N(true x_i, se_i^2), true x_i ~ N(mu_x,
 *   sigma_x^2), mu_x ~ N(0, scale^2), sigma_x half-normal(scale); se_i = 0 where x_i is known.
 *
 *   Priors of the intercepts (alpha), the other beta, sigma, rho, dispersion, zero and sigma_region by code
 *   (functions/priors.stanfunctions); code 9 for rho is the penalised-complexity prior of BYM2 below.
 *
 * Sampling. Given the standard deviations the posterior of the effects is close to a normal one whose precision
 * is sparse. The structured effects b and the unstructured ones t are therefore sampled as independent
 * standard variables carried through its Cholesky factor, which areas.hpp works out anew for each value of the
 * standard deviations. The normal approximation (working weights W and responses r, as in Fisher scoring) only
 * decides how fast the sampler is: the density is that of the model above, whatever W and r are. beta and the
 * hyperparameters are centred and scaled by their approximate posterior for the same reason.
 *
 * With regions, intercepts, coefficients and v have a whitening of their own, which follows sigma_region.
 *
 * Given the measurement, a true covariate is normal about its mean m_i with variance tau_i^2 = 1 / (1 / se_i^2
 * + 1 / sigma_x^2). It enters eta linearly: beta m_i, and an independent effect of the area with variance beta^2
 * tau_i^2. That is part of re here: the true values are integrated out of the sampled parameters exactly.
 *
 * The mean of an intrinsic field over a component is no part of the model: b enters less its mean. The mean
 * itself has a normal distribution of its own, chosen to agree with the approximation.
 *
 * Sources: BYM2: Riebler, Sorbye, Simpson and Rue 2016, Statistical Methods in Medical Research 25:1145-1165;
 * components: Freni-Sterrantino, Ventrucci and Rue 2018, Spatial and Spatio-temporal Epidemiology 26:25-34;
 * covariates with errors: Carroll, Ruppert, Stefanski and Crainiceanu 2006, Measurement Error in Nonlinear
 * Models, 2nd edition, chapters 4 and 8;
 * Leroux, Lei and Breslow 2000 (in: Statistical Models in Epidemiology, 179-191); CAR: Besag 1974, JRSS B
 * 36:192-236; sampling in whitened coordinates: Christensen, Roberts and Skold 2006, Journal of Computational
 * and Graphical Statistics 15:1-17.
 */
functions {
  #include functions/priors.stanfunctions

  /**
   * Normal field with precision P = a K + diag(d) = L L' in the order of elimination: b = P^-1 shift + L^-T z,
   * followed by log |L| and b' K b. K holds the values of the sparse matrix on the pattern of L.
   */
  vector whitened_field(real a, vector d, vector shift, vector z, data vector K,
                        data array[] int column_start, data array[] int row,
                        data array[] int row_start, data array[] int row_place, data array[] int row_column);

  real count_lpmf(int y, int likelihood, real log_exposure, int trials, real eta, real dispersion, real zero) {
    if (likelihood == 1) return poisson_log_lpmf(y | log_exposure + eta);
    if (likelihood == 2) return neg_binomial_2_log_lpmf(y | log_exposure + eta, inv(dispersion));
    if (likelihood == 3) return binomial_logit_lpmf(y | trials, eta);
    if (likelihood == 4) {
      real size = inv(dispersion) - 1;
      return beta_binomial_lpmf(y | trials, size * inv_logit(eta), size * inv_logit(-eta));
    }
    if (y > 0) return log1m(zero) + poisson_log_lpmf(y | log_exposure + eta);
    return log_mix(zero, 0, poisson_log_lpmf(0 | log_exposure + eta));
  }

  /** Log density of exp(-rate d(rho)), d(rho)^2 = sum_k rho g_k - log(1 + rho g_k), truncated at rho = 1. */
  real pc_rho_lpdf(real rho, real rate, vector g) {
    real d = sqrt(sum(rho * g - log1p(rho * g)));
    real slope = 0.5 / d * sum(rho * square(g) ./ (1 + rho * g));
    real d_1 = sqrt(sum(g - log1p(g)));
    return log(rate) - rate * d + log(slope) - log1m_exp(-rate * d_1);
  }
}
data {
  int<lower=1> N;                                  // areas
  int<lower=0, upper=N> N_field;                   // those with a structured effect: the first, in the order
                                                   // of elimination; iid: none
  array[N] int<lower=1, upper=N> place;            // where each area of the map stands in that order

  int<lower=1, upper=6> likelihood;
  int<lower=0, upper=N> N_exact;
  array[N_exact] int<lower=1, upper=N> exact;      // areas observed
  array[likelihood == 5 ? 0 : N_exact] int<lower=0> cases;
  array[likelihood == 3 || likelihood == 4 ? N : 0] int<lower=0> trials;
  vector[likelihood == 5 ? N_exact : 0] direct;    // direct estimate
  vector<lower=0>[likelihood == 5 ? N_exact : 0] se;
  int<lower=0, upper=N> N_censored;
  array[N_censored] int<lower=1, upper=N> censored;
  array[N_censored] int<lower=0> at_least;
  array[N_censored] int<lower=0> at_most;
  vector[N] log_exposure;                          // log E; 0 where there is none
  int<lower=1> K;                                  // columns of X
  matrix[N, K] X;
  int<lower=1, upper=K> A;                         // of these, intercepts
  vector[A] alpha_weight;
  int<lower=0> G;                                  // regions
  array[G > 0 ? N : 0] int<lower=1, upper=G> region;
  int<lower=0, upper=K> J;                         // covariates with errors
  array[J] int<lower=1, upper=K> measured;         // their columns of X
  array[J] vector<lower=0>[N] se_x;
  vector<lower=0>[J] x_scale;

  int<lower=1, upper=5> effects;
  int<lower=0> nnz;                                // pattern of the Cholesky factor, numbered from 0
  vector[nnz] laplacian;                           // Q (2, 3) or D - A (4, 5) on that pattern
  array[N_field + 1] int column_start;
  array[nnz] int row;
  array[N_field + 1] int row_start;
  array[nnz - N_field] int row_place;
  array[nnz - N_field] int row_column;
  vector[N_field] degree;                          // D (5)
  int<lower=0> N_components;                       // of at least two areas
  array[N_field] int<lower=1> component;
  vector[N_components] size;
  vector[effects == 4 || effects == 5 || effects == 3 ? N_field : 0] spectrum;
  // g_k (3; 0 on the null space), eigenvalues of D - A (4), of D^-1/2 A D^-1/2 (5)

  vector<lower=0>[N] W;                            // the normal approximation
  vector[N] r;
  vector[N_components] mean_at;                    // of the mean of b: at beta_at
  matrix[N_components, K + G] mean_slope;
  vector<lower=0>[N_components] mean_scale;
  vector[K + G] linear_at;                         // of beta and v
  matrix[G > 0 ? 0 : K, G > 0 ? 0 : K] beta_scale;
  matrix[G > 0 ? K + G : 0, G > 0 ? K + G : 0] linear_precision;  // without that of v's prior
  vector[G > 0 ? K + G : 0] linear_shift;
  int<lower=1, upper=5> H;                         // hyperparameters
  vector[H] hyper_at;
  matrix[H, H] hyper_scale;
  array[J] vector[2] measured_at;                  // of mu_x and log sigma_x
  array[J] matrix[2, 2] measured_scale;

  int alpha_prior_family;
  vector[3] alpha_prior;
  int beta_prior_family;
  vector[3] beta_prior;
  int sigma_prior_family;
  vector[3] sigma_prior;
  int rho_prior_family;
  vector[3] rho_prior;
  int dispersion_prior_family;
  vector[3] dispersion_prior;
  int zero_prior_family;
  vector[3] zero_prior;
  int sigma_region_prior_family;
  vector[3] sigma_region_prior;
}
transformed data {
  int intrinsic = effects == 2 || effects == 3;
  int has_rho = effects >= 3;
  int has_dispersion = likelihood == 2 || likelihood == 4;
  int has_zero = likelihood == 6;
  // unstructured effects: of all areas, or of those without field
  int N_t = effects == 3 || J > 0 ? N : N - N_field;
  int first_t = N - N_t;
  vector[J] moved;                                 // weight of mu_x in the mean of the true values
  for (j in 1 : J) {
    real at = exp(2 * measured_at[j][2]);
    moved[j] = mean(square(se_x[j]) ./ (at + square(se_x[j])));
  }
}
parameters {
  vector[H] hyper_z;
  vector[K + G] beta_z;
  array[J] vector[2] measured_z;
  vector[N_field] field_z;
  vector[N_t] unstructured_z;
}
transformed parameters {
  vector[H] hyper = hyper_at + hyper_scale * hyper_z;
  vector[K + G] linear;                            // beta_all and region_effect, as whitened
  vector[K] beta_all;
  vector[G] region_effect;
  real alpha;
  vector[K - A] beta;
  real sigma = exp(hyper[1]);
  vector[G > 0] sigma_region;
  vector[J] mu_x;
  vector[J] sigma_x;
  vector[J > 0 ? N : 0] from_measured;             // beta (m - x), m: the mean of true x given x
  vector[has_rho] rho;
  vector[has_dispersion] dispersion;
  vector[has_zero] zero;
  vector[N] re;
  real log_density = 0;                            // of the effects, with the Jacobian of the whitening
  if (has_rho) rho[1] = inv_logit(hyper[2]);
  if (has_dispersion) dispersion[1] = likelihood == 2 ? exp(hyper[2 + has_rho]) : inv_logit(hyper[2 + has_rho]);
  if (has_zero) zero[1] = inv_logit(hyper[2 + has_rho]);
  if (G > 0) {
    sigma_region[1] = exp(hyper[H]);
    vector[K + G] unit = append_row(ones_vector(K), rep_vector(sigma_region[1], G));
    matrix[K + G, K + G] L = cholesky_decompose(symmetrize_from_lower_tri(
      add_diag(quad_form_diag(linear_precision, unit), append_row(zeros_vector(K), ones_vector(G)))));
    vector[K + G] scaled = mdivide_right_tri_low(
      (mdivide_left_tri_low(L, unit .* linear_shift) + beta_z)', L)';
    log_density += -sum(log(diagonal(L))) - 0.5 * dot_self(scaled[K + 1 : K + G]);
    linear = unit .* scaled;
    region_effect = linear[K + 1 : K + G];
  } else {
    linear = linear_at + beta_scale * beta_z;
  }
  beta_all = linear[1 : K];
  for (j in 1 : J) {
    vector[2] moments = measured_at[j] + measured_scale[j] * measured_z[j];
    mu_x[j] = moments[1];
    sigma_x[j] = exp(moments[2]);
    // the intercepts take up what the mean of the true values moves the linear predictor by
    beta_all[1 : A] -= beta_all[measured[j]] * moved[j] * (mu_x[j] - measured_at[j][1]);
  }
  alpha = dot_product(alpha_weight, beta_all[1 : A]);
  beta = beta_all[A + 1 : K];
  {
    vector[N] fixed = X * beta_all;
    vector[N] b = rep_vector(0, N);
    vector[N] t = rep_vector(0, N);
    vector[N] s2 = rep_vector(0, N);
    if (effects == 3) s2 = rep_vector(square(sigma) * (1 - rho[1]), N);
    for (i in N_field + 1 : N) s2[i] = square(sigma);
    if (G > 0) fixed += region_effect[region];
    if (J > 0) {
      from_measured = zeros_vector(N);
      for (j in 1 : J) {
        real slope = beta_all[measured[j]];
        vector[N] kept = square(sigma_x[j]) ./ (square(sigma_x[j]) + square(se_x[j]));  // reliability
        from_measured += slope * (1 - kept) .* (mu_x[j] - col(X, measured[j]));
        s2 += square(slope) * kept .* square(se_x[j]);
      }
      fixed += from_measured;
      s2 += 1e-12 * square(sigma);                 // a root that can be differentiated
    }
    if (N_field > 0) {
      real a;
      vector[N_field] c = rep_vector(0, N_field);
      vector[N_field] d = (W ./ (1 + s2 .* W))[1 : N_field];
      vector[N_field + 2] field;
      if (effects == 2) a = inv_square(sigma);
      if (effects == 3) a = inv_square(sigma) / rho[1];
      if (effects >= 4) a = inv_square(sigma) * rho[1];
      if (effects == 4) c = rep_vector(inv_square(sigma) * (1 - rho[1]), N_field);
      if (effects == 5) c = inv_square(sigma) * (1 - rho[1]) * degree;
      field = whitened_field(a, c + d, d .* (r - fixed)[1 : N_field], field_z, laplacian,
                             column_start, row, row_start, row_place, row_column);
      b[1 : N_field] = field[1 : N_field];
      log_density += -field[N_field + 1] - 0.5 * a * field[N_field + 2];
      if (intrinsic) {
        vector[N_components] sum_b = rep_vector(0, N_components);
        vector[N_components] mean_b;
        for (i in 1 : N_field) sum_b[component[i]] += b[i];
        mean_b = sum_b ./ size;
        b[1 : N_field] -= mean_b[component];
        log_density += 0.5 * (N_field - N_components) * log(a);
        log_density += normal_lpdf(mean_b | mean_at - mean_slope * (linear - linear_at), mean_scale);
      } else {
        log_density += -0.5 * dot_product(c, square(b[1 : N_field])) - N_field * log(sigma);
        if (effects == 4) log_density += 0.5 * sum(log(rho[1] * spectrum + 1 - rho[1]));
        if (effects == 5) log_density += 0.5 * sum(log1m(rho[1] * spectrum));
      }
    }
    if (N_t > 0) {
      vector[N_t] s = sqrt(s2[first_t + 1 : N]);
      vector[N_t] shrunk = 1 + s2[first_t + 1 : N] .* W[first_t + 1 : N];
      vector[N_t] u = s .* W[first_t + 1 : N] ./ shrunk .* (r - fixed - b)[first_t + 1 : N]
                      + unstructured_z ./ sqrt(shrunk);
      t[first_t + 1 : N] = s .* u;
      log_density += -0.5 * dot_self(u) - 0.5 * sum(log(shrunk));
    }
    re = (b + t)[place];
    if (J > 0) from_measured = from_measured[place];
  }
}
model {
  {
    vector[N] eta;
    eta[place] = re;
    if (J > 0) eta[place] += from_measured;
    eta += X * beta_all;
    if (G > 0) eta += region_effect[region];
    // nearer to 0 the gamma functions of the two distributions cancel into noise
    real psi = has_dispersion ? dispersion[1] + 1e-9 : 0;
    real pi0 = has_zero ? zero[1] : 0;
    if (likelihood == 1) {
      cases ~ poisson_log(log_exposure[exact] + eta[exact]);
    } else if (likelihood == 2) {
      cases ~ neg_binomial_2_log(log_exposure[exact] + eta[exact], inv(psi));
    } else if (likelihood == 3) {
      cases ~ binomial_logit(trials[exact], eta[exact]);
    } else if (likelihood == 5) {
      direct ~ normal(eta[exact], se);
    } else {
      for (i in 1 : N_exact) {
        int k = exact[i];
        target += count_lpmf(cases[i] | likelihood, log_exposure[k], has_zero ? 0 : trials[k], eta[k], psi, pi0);
      }
    }
    for (i in 1 : N_censored) {
      int k = censored[i];
      vector[at_most[i] - at_least[i] + 1] lp;
      for (y in at_least[i] : at_most[i]) {
        lp[y - at_least[i] + 1] = count_lpmf(y | likelihood, log_exposure[k],
                                          likelihood == 3 || likelihood == 4 ? trials[k] : 0, eta[k], psi, pi0);
      }
      target += log_sum_exp(lp);
    }
  }
  target += log_density;
  for (j in 1 : J) {
    col(X, measured[j]) ~ normal(mu_x[j], sqrt(square(sigma_x[j]) + square(se_x[j])));
    mu_x[j] ~ normal(0, x_scale[j]);
    sigma_x[j] ~ normal(0, x_scale[j]);
    target += log(sigma_x[j]);
  }
  beta_all[1 : A] ~ chosen_priors(alpha_prior_family, alpha_prior);
  beta ~ chosen_priors(beta_prior_family, beta_prior);
  // the Jacobians of exp and inv_logit
  sigma ~ chosen_prior(sigma_prior_family, sigma_prior);
  target += hyper[1];
  if (G > 0) {
    sigma_region ~ chosen_priors(sigma_region_prior_family, sigma_region_prior);
    target += hyper[H];
  }
  if (has_rho) {
    if (rho_prior_family == 9) rho[1] ~ pc_rho(rho_prior[1], spectrum);
    else rho ~ chosen_priors(rho_prior_family, rho_prior);
    target += log(rho[1]) + log1m(rho[1]);
  }
  if (has_dispersion) {
    dispersion ~ chosen_priors(dispersion_prior_family, dispersion_prior);
    target += log(dispersion[1]) + (likelihood == 4 ? log1m(dispersion[1]) : 0);
  }
  if (has_zero) {
    zero ~ chosen_priors(zero_prior_family, zero_prior);
    target += log(zero[1]) + log1m(zero[1]);
  }
}
