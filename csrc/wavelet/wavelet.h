// The decimated wavelet transform over one axis of an array, for offline use: PyWavelets' conventions of length, boundary and order
// (docs/wavelet.md). Mallat, A Theory for Multiresolution Signal Decomposition, 1989. Filters: filters.h.
//
// Arrays are contiguous [outer][time][lanes], float, or double where a bank is wide. Values may be anything, NaN and infinities too.
#pragma once
#include <cstddef>

#include "../kernels/kernels.h"

namespace sanderling {

// How a signal goes on beyond its ends (x_0 .. x_N-1):
//   zero           0
//   constant       x_0; x_N-1
//   symmetric      mirrored, the end itself repeated: x_1 x_0 | x_0 x_1
//   reflect        mirrored at the end: x_2 x_1 | x_0 x_1; N > 1
//   periodic       x_N-1 | x_0
//   smooth         a line through the two samples at the end; N = 1: constant
//   antisymmetric  as symmetric, the sign changing at every mirror
//   antireflect    as reflect, turned about the end's value: 2 x_0 - x_1 | x_0; N > 1
//   periodization  periodic, with x_N-1 repeated where N is odd; as few coefficients as samples
enum class Extension { zero, constant, symmetric, reflect, periodic, smooth, antisymmetric, antireflect, periodization };
constexpr std::size_t n_extensions = 9;
extern const char* const extension_names[n_extensions];

// Rows t0 .. t0 + rows - 1 of the signal x [n][lanes] and its extension, n >= 1 (reflect, antireflect: 2): to [rows][lanes].
template <typename T>
void extend(Extension mode, const T* x, std::size_t n, std::size_t lanes, std::ptrdiff_t t0, std::size_t rows, T* to);

// Four filters of `taps` coefficients, even, as the kernels read them: float, or double if wide.
struct FilterBank {
  const void *dec_lo, *dec_hi, *rec_lo, *rec_hi;
  std::size_t taps;
  bool wide;
};

// Coefficients of one level of n samples: (n + taps - 1) / 2; periodization: (n + 1) / 2.
std::size_t dwt_length(std::size_t n, std::size_t taps, Extension mode);
// Samples from n coefficients: 2n - taps + 2; periodization: 2n. 0: too few for these filters.
std::size_t idwt_length(std::size_t n, std::size_t taps, Extension mode);

// x [outer][n][lanes] -> out[0] = cA_levels, out[1] = cD_levels, .., out[levels] = cD_1; levels >= 1, n as for extend. False: no memory.
bool wavedec(const KernelTable& kernels, const FilterBank& bank, Extension mode, std::size_t outer, std::size_t n, std::size_t lanes,
             std::size_t levels, const void* x, void* const* out);

// The inverse. in as wavedec's out, with their lengths; every level's approximation, in[0] or rebuilt, may have one row more than its
// detail, which is dropped. out: idwt_length(lengths[levels]) rows. False: no memory.
bool waverec(const KernelTable& kernels, const FilterBank& bank, Extension mode, std::size_t outer, std::size_t lanes,
             std::size_t levels, const void* const* in, const std::size_t* lengths, void* out);

}  // namespace sanderling
