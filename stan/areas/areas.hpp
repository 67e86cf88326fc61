/*
 * The function `whitened_field` of areas.stan: a normal field with a sparse precision, and its derivatives.
 *
 * P = a K + diag(d) is positive definite, its pattern fixed; all vectors are in the order of elimination. Its
 * Cholesky factor P = L L' and the derivative of that: functions/sparse_cholesky.hpp.
 */
#ifndef POOLMAP_AREAS_HPP
#define POOLMAP_AREAS_HPP

#include "functions/sparse_cholesky.hpp"

namespace areas_model_namespace {

template <typename A, typename D, typename S, typename Z, typename KVector>
inline Eigen::Matrix<stan::return_type_t<A, D, S, Z>, -1, 1> whitened_field(
    const A& a, const D& d, const S& shift, const Z& z, const KVector& K_data,
    const std::vector<int>& column_start, const std::vector<int>& row, const std::vector<int>& row_start,
    const std::vector<int>& row_place, const std::vector<int>& row_column, std::ostream*) {
  using Eigen::VectorXd;
  using stan::math::arena_matrix;
  using stan::math::value_of;
  using Scalar = stan::return_type_t<A, D, S, Z>;
  const poolmap::Pattern p{column_start, row, row_start, row_place, row_column};
  const int n = p.n();
  const VectorXd K = K_data;
  VectorXd L = value_of(a) * K;
  {
    const VectorXd diagonal = value_of(d);
    for (int j = 0; j < n; ++j) L[column_start[j]] += diagonal[j];
  }
  poolmap::factorise(p, L.data());
  VectorXd u = value_of(shift);
  poolmap::solve_lower(p, L.data(), u.data());
  VectorXd b = u + value_of(z);
  poolmap::solve_upper(p, L.data(), b.data());
  const VectorXd Kb = poolmap::multiply(p, K.data(), b);
  double log_determinant = 0;
  for (int j = 0; j < n; ++j) log_determinant += std::log(L[column_start[j]]);
  VectorXd values(n + 2);
  values << b, log_determinant, b.dot(Kb);
  if constexpr (std::is_same<Scalar, double>::value) {
    return values;
  } else {
    using stan::math::to_arena;
    auto a_ = a;
    auto d_ = to_arena(d);
    auto shift_ = to_arena(shift);
    auto z_ = to_arena(z);
    arena_matrix<VectorXd> K_(K), L_(L), u_(u), b_(b), Kb_(Kb);
    arena_matrix<Eigen::Matrix<stan::math::var, -1, 1>> out(n + 2);
    for (int i = 0; i < n + 2; ++i) out.coeffRef(i) = stan::math::var(new stan::math::vari(values[i], false));
    const auto* start = &column_start;
    const auto* rows = &row;
    const auto* starts = &row_start;
    const auto* places = &row_place;
    const auto* columns = &row_column;
    stan::math::reverse_pass_callback([=]() mutable {
      const poolmap::Pattern p{*start, *rows, *starts, *places, *columns};
      const int n = p.n();
      VectorXd v(n);
      for (int i = 0; i < n; ++i) v[i] = out.coeff(i).adj() + 2 * out.coeff(n + 1).adj() * Kb_.coeff(i);
      poolmap::solve_lower(p, L_.data(), v.data());
      VectorXd w = v;
      poolmap::solve_upper(p, L_.data(), w.data());
      VectorXd adjoint(L_.size());
      for (int j = 0; j < n; ++j) {
        for (int q = (*start)[j]; q < (*start)[j + 1]; ++q) {
          adjoint[q] = -b_.coeff((*rows)[q]) * v[j] - w[(*rows)[q]] * u_.coeff(j);
        }
        adjoint[(*start)[j]] += out.coeff(n).adj() / L_.coeff((*start)[j]);
      }
      poolmap::factorise_adjoint(p, L_.data(), adjoint.data());
      VectorXd on_diagonal(n);
      for (int j = 0; j < n; ++j) on_diagonal[j] = adjoint[(*start)[j]];
      if constexpr (stan::is_var<A>::value) a_.adj() += adjoint.dot(K_);
      poolmap::add_adjoint(d_, on_diagonal);
      poolmap::add_adjoint(shift_, w);
      poolmap::add_adjoint(z_, v);
    });
    return Eigen::Matrix<stan::math::var, -1, 1>(out);
  }
}

}  // namespace areas_model_namespace

#endif
