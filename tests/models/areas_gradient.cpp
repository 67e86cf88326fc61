// Gradient of whitened_field (stan/areas/areas.hpp) against that of the same function written densely, which Stan
// differentiates by itself. Reads a problem from the standard input, prints both gradients in two columns.
#include <iostream>
#include <areas/areas.hpp>

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

// b, log |L| and b' K b from dense matrices
VarVector dense(const VarVector& theta, const Eigen::MatrixXd& K, int n) {
  using namespace stan::math;
  Eigen::Matrix<var, -1, -1> P = theta[0] * K;
  for (int i = 0; i < n; ++i) P(i, i) += theta[1 + i];
  auto L = cholesky_decompose(P);
  VarVector shift = theta.segment(1 + n, n), z = theta.segment(1 + 2 * n, n);
  VarVector u = mdivide_left_tri<Eigen::Lower>(L, shift);
  VarVector w = add(u, z);
  Eigen::Matrix<var, -1, -1> upper = L.transpose();
  VarVector b = mdivide_left_tri<Eigen::Upper>(upper, w);
  VarVector out(n + 2);
  out.head(n) = b;
  var log_determinant = 0;
  for (int i = 0; i < n; ++i) log_determinant += log(L(i, i));
  out[n] = log_determinant;
  out[n + 1] = quad_form(K, b);
  return out;
}

int main() {
  int n, nnz;
  std::cin >> n >> nnz;
  const auto column_start = ints(n + 1), row = ints(nnz), row_start = ints(n + 1);
  const auto row_place = ints(nnz - n), row_column = ints(nnz - n);
  const Vector K = numbers(nnz), at = numbers(1 + 3 * n), weight = numbers(n + 2);
  Eigen::MatrixXd full = Eigen::MatrixXd::Zero(n, n);
  for (int j = 0; j < n; ++j) {
    for (int q = column_start[j]; q < column_start[j + 1]; ++q) full(row[q], j) = full(j, row[q]) = K[q];
  }
  auto sparse = [&](const VarVector& theta) {
    const stan::math::var a = theta[0];
    const VarVector d = theta.segment(1, n), shift = theta.segment(1 + n, n), z = theta.segment(1 + 2 * n, n);
    const VarVector out = areas_model_namespace::whitened_field(a, d, shift, z, K, column_start, row, row_start,
                                                                row_place, row_column, nullptr);
    return stan::math::dot_product(out, weight);
  };
  auto by_stan = [&](const VarVector& theta) { return stan::math::dot_product(dense(theta, full, n), weight); };
  double value, expected;
  Vector gradient, reference;
  stan::math::gradient(sparse, at, value, gradient);
  stan::math::gradient(by_stan, at, expected, reference);
  std::cout.precision(17);
  std::cout << value << ' ' << expected << '\n';
  for (int i = 0; i < gradient.size(); ++i) std::cout << gradient[i] << ' ' << reference[i] << '\n';
}
