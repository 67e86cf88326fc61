/*
 * The function `whitened_effects` of mrp.stan: normal effects with a sparse precision, and their derivatives.
 *
 * A = sum_j c_j M_j is positive definite, the pattern of its Cholesky factor fixed; all vectors are in the order of
 * elimination. Matrix j holds the entries from start[j] to start[j + 1] - 1: their places in the pattern of the
 * factor (lower triangle) and their values. Factor and derivative: functions/sparse_cholesky.hpp.
 */
#ifndef POOLMAP_MRP_HPP
#define POOLMAP_MRP_HPP

#include "functions/sparse_cholesky.hpp"

namespace poolmap {

/* Matrices on the pattern of one Cholesky factor. */
struct OnPattern {
  const std::vector<int>& start;
  const std::vector<int>& place;
  const std::vector<int>& column;  // of each entry of the pattern

  int size() const { return static_cast<int>(start.size()) - 1; }

  /* M_j x, added `times` to y, for the symmetric M_j whose lower triangle is stored */
  template <typename Values, typename X>
  void multiply(const Pattern& p, int j, const Values& value, double times, const X& x, Eigen::VectorXd& y) const {
    for (int k = start[j]; k < start[j + 1]; ++k) {
      const int row = p.row[place[k]], col = column[place[k]];
      y[row] += times * value.coeff(k) * x.coeff(col);
      if (row != col) y[col] += times * value.coeff(k) * x.coeff(row);
    }
  }
};

}  // namespace poolmap

namespace mrp_model_namespace {

/* x = A^-1 shift + L^-T z, then log |L|, then x' M_j x for each j. */
template <typename C, typename S, typename Z, typename Values>
inline Eigen::Matrix<stan::return_type_t<C, S, Z>, -1, 1> whitened_effects(
    const C& c, const S& shift, const Z& z, const Values& values_data, const std::vector<int>& matrix_start,
    const std::vector<int>& place, const std::vector<int>& column_start, const std::vector<int>& row,
    const std::vector<int>& row_start, const std::vector<int>& row_place, const std::vector<int>& row_column,
    const std::vector<int>& column, std::ostream*) {
  using Eigen::VectorXd;
  using stan::math::arena_matrix;
  using stan::math::value_of;
  using Scalar = stan::return_type_t<C, S, Z>;
  const poolmap::Pattern p{column_start, row, row_start, row_place, row_column};
  const poolmap::OnPattern on{matrix_start, place, column};
  const int n = p.n(), m = on.size();
  const VectorXd value = values_data, scalar = value_of(c);
  VectorXd L = VectorXd::Zero(row.size());
  for (int j = 0; j < m; ++j) {
    for (int k = matrix_start[j]; k < matrix_start[j + 1]; ++k) L[place[k]] += scalar[j] * value[k];
  }
  poolmap::factorise(p, L.data());
  VectorXd u = value_of(shift);
  poolmap::solve_lower(p, L.data(), u.data());
  VectorXd x = u + value_of(z);
  poolmap::solve_upper(p, L.data(), x.data());
  VectorXd result(n + 1 + m);
  double log_determinant = 0;
  for (int j = 0; j < n; ++j) log_determinant += std::log(L[column_start[j]]);
  result.head(n) = x;
  result[n] = log_determinant;
  for (int j = 0; j < m; ++j) {
    VectorXd Mx = VectorXd::Zero(n);
    on.multiply(p, j, value, 1, x, Mx);
    result[n + 1 + j] = x.dot(Mx);
  }
  if constexpr (std::is_same<Scalar, double>::value) {
    return result;
  } else {
    using stan::math::to_arena;
    auto c_ = to_arena(c);
    auto shift_ = to_arena(shift);
    auto z_ = to_arena(z);
    arena_matrix<VectorXd> value_(value), L_(L), u_(u), x_(x);
    arena_matrix<Eigen::Matrix<stan::math::var, -1, 1>> out(n + 1 + m);
    for (int i = 0; i < n + 1 + m; ++i) out.coeffRef(i) = stan::math::var(new stan::math::vari(result[i], false));
    const auto *starts = &matrix_start, *places = &place, *begins = &column_start, *rows = &row;
    const auto *row_starts = &row_start, *row_places = &row_place, *row_columns = &row_column, *columns = &column;
    stan::math::reverse_pass_callback([=]() mutable {
      const poolmap::Pattern p{*begins, *rows, *row_starts, *row_places, *row_columns};
      const poolmap::OnPattern on{*starts, *places, *columns};
      const int n = p.n(), m = on.size();
      VectorXd v(n);
      for (int i = 0; i < n; ++i) v[i] = out.coeff(i).adj();
      for (int j = 0; j < m; ++j) {
        if (out.coeff(n + 1 + j).adj() != 0) on.multiply(p, j, value_, 2 * out.coeff(n + 1 + j).adj(), x_, v);
      }
      poolmap::solve_lower(p, L_.data(), v.data());
      VectorXd w = v;
      poolmap::solve_upper(p, L_.data(), w.data());
      VectorXd adjoint(L_.size());
      for (int j = 0; j < n; ++j) {
        for (int q = p.column_start[j]; q < p.column_start[j + 1]; ++q) {
          adjoint[q] = -x_.coeff(p.row[q]) * v[j] - w[p.row[q]] * u_.coeff(j);
        }
        adjoint[p.column_start[j]] += out.coeff(n).adj() / L_.coeff(p.column_start[j]);
      }
      poolmap::factorise_adjoint(p, L_.data(), adjoint.data());
      VectorXd of_c = VectorXd::Zero(m);
      for (int j = 0; j < m; ++j) {
        for (int k = on.start[j]; k < on.start[j + 1]; ++k) of_c[j] += adjoint[on.place[k]] * value_.coeff(k);
      }
      poolmap::add_adjoint(c_, of_c);
      poolmap::add_adjoint(shift_, w);
      poolmap::add_adjoint(z_, v);
    });
    return Eigen::Matrix<stan::math::var, -1, 1>(out);
  }
}

}  // namespace mrp_model_namespace

#endif
