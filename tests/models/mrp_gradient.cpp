// Gradient of whitened_effects (stan/mrp/mrp.hpp) against that of the same function written densely, which Stan
// differentiates by itself. Reads a problem from the standard input, prints both gradients in two columns.
#include <iostream>
#include <mrp/mrp.hpp>

using Vector = Eigen::VectorXd;
using VarVector = Eigen::Matrix<stan::math::var, -1, 1>;

std::vector<int> ints(int n) {
  std::vector<int> x(n);
  for (int& v : x) std::cin >> v;
  return x;
}

Vector numbers(int n) {
  Vector x(n);
  for (int i = 0; i < n; ++i) std::cin >> x[i];
  return x;
}

// x, log |L| and x' M_j x from dense matrices
VarVector dense(const VarVector& theta, const std::vector<Eigen::MatrixXd>& M, int n) {
  using namespace stan::math;
  const int m = M.size();
  Eigen::Matrix<var, -1, -1> A = theta[0] * M[0];
  for (int j = 1; j < m; ++j) A += theta[j] * M[j];
  auto L = cholesky_decompose(A);
  VarVector shift = theta.segment(m, n), z = theta.segment(m + n, n);
  VarVector w = add(mdivide_left_tri<Eigen::Lower>(L, shift), z);
  Eigen::Matrix<var, -1, -1> upper = L.transpose();
  VarVector x = mdivide_left_tri<Eigen::Upper>(upper, w);
  VarVector out(n + 1 + m);
  out.head(n) = x;
  var log_determinant = 0;
  for (int i = 0; i < n; ++i) log_determinant += log(L(i, i));
  out[n] = log_determinant;
  for (int j = 0; j < m; ++j) out[n + 1 + j] = quad_form(M[j], x);
  return out;
}

int main() {
  int n, nnz, m, entries;
  std::cin >> n >> nnz >> m >> entries;
  const auto column_start = ints(n + 1), row = ints(nnz), row_start = ints(n + 1);
  const auto row_place = ints(nnz - n), row_column = ints(nnz - n), column = ints(nnz);
  const auto matrix_start = ints(m + 1), place = ints(entries);
  const Vector values = numbers(entries), at = numbers(m + 2 * n), weight = numbers(n + 1 + m);
  std::vector<Eigen::MatrixXd> M(m, Eigen::MatrixXd::Zero(n, n));
  for (int j = 0; j < m; ++j) {
    for (int k = matrix_start[j]; k < matrix_start[j + 1]; ++k) {
      const int r = row[place[k]], c = column[place[k]];
      M[j](r, c) = M[j](c, r) = values[k];
    }
  }
  auto sparse = [&](const VarVector& theta) {
    const VarVector c = theta.head(m), shift = theta.segment(m, n), z = theta.segment(m + n, n);
    const VarVector out
        = mrp_model_namespace::whitened_effects(c, shift, z, values, matrix_start, place, column_start, row,
                                                row_start, row_place, row_column, column, nullptr);
    return stan::math::dot_product(out, weight);
  };
  auto by_stan = [&](const VarVector& theta) { return stan::math::dot_product(dense(theta, M, n), weight); };
  double value, expected;
  Vector gradient, reference;
  stan::math::gradient(sparse, at, value, gradient);
  stan::math::gradient(by_stan, at, expected, reference);
  std::cout.precision(17);
  std::cout << value << ' ' << expected << '\n';
  for (int i = 0; i < gradient.size(); ++i) std::cout << gradient[i] << ' ' << reference[i] << '\n';
}
