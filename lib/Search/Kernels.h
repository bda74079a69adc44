#ifndef MPOPT_LIB_SEARCH_KERNELS_H
#define MPOPT_LIB_SEARCH_KERNELS_H

#include <cstddef>
#include <cstdint>

namespace mpopt::search {

/// out[i] = least of itself and, over c, bases[c] + sum over r of rows[c * rowCount + r][i]; `rowCount` >= 1. Compiled once
/// per instruction set and chosen when the program loads; only additions and minima, so all give the same bits. `scratch`
/// has n numbers and is used from three rows on.
void minPlus(double *out, const double *bases, const double *const *rows, size_t rowCount, size_t classes,
             double *scratch, int64_t n);

/// out[i] = max(out[i], first - others[i]) where others[i] is finite.
void maxDifference(double *out, double first, const double *others, int64_t n);

/// out[i] = least over c of bases[c] + sum over r of rows[c * rowCount + r][i]. `n` is a multiple of four, `rowCount` >= 1.
void minOfSums(double *out, const double *bases, const double *const *rows, size_t rowCount, size_t classes, int64_t n);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_KERNELS_H
