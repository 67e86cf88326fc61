/*
 * The sparse Cholesky factor P = L L' of a precision matrix, and its derivatives, on a pattern that is fixed.
 *
 * The factor is worked out column by column on its own pattern (entries that fill in included), and its derivative
 * by running through the same columns backwards (Smith 1995, Journal of Computational and Graphical Statistics
 * 4:134-147; Murray 2016, arXiv:1602.07527); the last columns, where all are full, as one block. Cost: one
 * factorisation for the value, about two more for the derivative, in place of one derivative for each entry that
 * Stan would record.
 */
#ifndef POOLMAP_SPARSE_CHOLESKY_HPP
#define POOLMAP_SPARSE_CHOLESKY_HPP

#include <stan/math.hpp>
#include <algorithm>
#include <cmath>
#include <ostream>
#include <stdexcept>
#include <vector>

namespace poolmap {

/* Pattern of L: by columns, the diagonal first, and for each row the entries left of the diagonal. */
struct Pattern {
  const std::vector<int>& column_start;
  const std::vector<int>& row;
  const std::vector<int>& row_start;
  const std::vector<int>& row_place;   // where the entries of a row stand in the columns
  const std::vector<int>& row_column;  // and in which column

  int n() const { return static_cast<int>(column_start.size()) - 1; }
};

/* The first of the last columns that are full to the bottom: of the trailing block that Eigen works out. */
inline int first_full(const Pattern& p) {
  int j = p.n();
  while (j > 0 && p.column_start[j] - p.column_start[j - 1] == p.n() - j + 1) --j;
  return j;
}

/* Place of the first entry of column j in row `from` or below; the rows of a column are in order. */
inline int entry_from(const Pattern& p, int j, int from) {
  const auto begin = p.row.begin() + p.column_start[j], end = p.row.begin() + p.column_start[j + 1];
  return static_cast<int>(std::lower_bound(begin, end, from) - p.row.begin());
}

/* The trailing block, its columns one after the other in x. */
inline Eigen::MatrixXd trailing_block(const Pattern& p, int first, const double* x) {
  const int m = p.n() - first;
  Eigen::MatrixXd block = Eigen::MatrixXd::Zero(m, m);
  for (int j = 0; j < m; ++j) {
    for (int i = j; i < m; ++i) block(i, j) = x[p.column_start[first + j] + i - j];
  }
  return block;
}

/* The Cholesky factor of the matrix whose lower triangle is in L, in its place. */
inline void factorise(const Pattern& p, double* L) {
  const int first = first_full(p), m = p.n() - first;
  std::vector<double> work(p.n(), 0.0);
  for (int j = 0; j < first; ++j) {
    const int begin = p.column_start[j], end = p.column_start[j + 1];
    for (int q = begin; q < end; ++q) work[p.row[q]] = L[q];
    for (int k = p.row_start[j]; k < p.row_start[j + 1]; ++k) {
      const int place = p.row_place[k], last = p.column_start[p.row_column[k] + 1];
      const double factor = L[place];
      for (int q = place; q < last; ++q) work[p.row[q]] -= factor * L[q];
    }
    const double diagonal = std::sqrt(work[j]);
    if (!(diagonal > 0)) throw std::domain_error("the precision of the effects is not positive definite");
    L[begin] = diagonal;
    for (int q = begin + 1; q < end; ++q) L[q] = work[p.row[q]] / diagonal;
  }
  if (m == 0) return;
  Eigen::MatrixXd block = trailing_block(p, first, L);
  for (int j = 0; j < first; ++j) {
    const int end = p.column_start[j + 1];
    for (int q = entry_from(p, j, first); q < end; ++q) {
      double* column = block.col(p.row[q] - first).data();
      for (int k = q; k < end; ++k) column[p.row[k] - first] -= L[q] * L[k];
    }
  }
  Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>, Eigen::Lower> factor(block);
  if (factor.info() != Eigen::Success || !(block.diagonal().minCoeff() > 0)) {
    throw std::domain_error("the precision of the effects is not positive definite");
  }
  for (int j = 0; j < m; ++j) {
    for (int i = j; i < m; ++i) L[p.column_start[first + j] + i - j] = block(i, j);
  }
}

/* Turns the adjoint of L into that of the lower triangle of P, in its place. */
inline void factorise_adjoint(const Pattern& p, const double* L, double* adjoint) {
  const int first = first_full(p), m = p.n() - first;
  if (m > 0) {
    const Eigen::MatrixXd factor = trailing_block(p, first, L);
    Eigen::MatrixXd both = factor.transpose() * trailing_block(p, first, adjoint).triangularView<Eigen::Lower>();
    both.triangularView<Eigen::StrictlyUpper>().setZero();
    both.diagonal() *= 0.5;
    factor.triangularView<Eigen::Lower>().transpose().solveInPlace(both);
    factor.triangularView<Eigen::Lower>().solveInPlace<Eigen::OnTheRight>(both);
    both += both.transpose().eval();
    for (int j = 0; j < m; ++j) {
      double* column = adjoint + p.column_start[first + j];
      column[0] = 0.5 * both(j, j);
      for (int i = j + 1; i < m; ++i) column[i - j] = both(i, j);
    }
    for (int j = 0; j < first; ++j) {
      const int begin = entry_from(p, j, first), end = p.column_start[j + 1];
      for (int q = begin; q < end; ++q) {
        const double* column = both.col(p.row[q] - first).data();
        double dot = 0;
        for (int k = begin; k < end; ++k) dot += column[p.row[k] - first] * L[k];
        adjoint[q] -= dot;
      }
    }
  }
  std::vector<double> work(p.n(), 0.0);
  for (int j = first - 1; j >= 0; --j) {
    const int begin = p.column_start[j], end = p.column_start[j + 1];
    double diagonal = adjoint[begin];
    for (int q = begin + 1; q < end; ++q) {
      adjoint[q] /= L[begin];
      diagonal -= adjoint[q] * L[q];
      work[p.row[q]] = adjoint[q];
    }
    work[j] = adjoint[begin] = 0.5 * diagonal / L[begin];
    for (int k = p.row_start[j]; k < p.row_start[j + 1]; ++k) {
      const int place = p.row_place[k], last = p.column_start[p.row_column[k] + 1];
      const double factor = L[place];
      double dot = 0;
      for (int q = place; q < last; ++q) {
        const double w = work[p.row[q]];
        dot += w * L[q];
        adjoint[q] -= w * factor;
      }
      adjoint[place] -= dot;
    }
  }
}

/* x becomes L^-1 x */
inline void solve_lower(const Pattern& p, const double* L, double* x) {
  for (int j = 0; j < p.n(); ++j) {
    const double value = x[j] /= L[p.column_start[j]];
    for (int q = p.column_start[j] + 1; q < p.column_start[j + 1]; ++q) x[p.row[q]] -= L[q] * value;
  }
}

/* x becomes L^-T x */
inline void solve_upper(const Pattern& p, const double* L, double* x) {
  for (int j = p.n() - 1; j >= 0; --j) {
    double value = x[j];
    for (int q = p.column_start[j] + 1; q < p.column_start[j + 1]; ++q) value -= L[q] * x[p.row[q]];
    x[j] = value / L[p.column_start[j]];
  }
}

/* K x for the symmetric K whose lower triangle is on the pattern of L */
inline Eigen::VectorXd multiply(const Pattern& p, const double* K, const Eigen::VectorXd& x) {
  Eigen::VectorXd product = Eigen::VectorXd::Zero(p.n());
  for (int j = 0; j < p.n(); ++j) {
    product[j] += K[p.column_start[j]] * x[j];
    for (int q = p.column_start[j] + 1; q < p.column_start[j + 1]; ++q) {
      product[p.row[q]] += K[q] * x[j];
      product[j] += K[q] * x[p.row[q]];
    }
  }
  return product;
}

/* Adds values to the adjoints of an argument that is sampled; an argument that is data has none. */
template <typename Arena>
inline void add_adjoint(Arena& x, const Eigen::VectorXd& values) {
  if constexpr (stan::is_var<stan::scalar_type_t<Arena>>::value) x.adj() += values;
}

}  // namespace poolmap

#endif
