// The discrete wavelets by their names in PyWavelets: haar, db, sym, coif, bior, rbio, dmey.
#pragma once
#include <cstddef>

namespace sanderling {

constexpr std::size_t max_taps = 102;  // coif17

// The i-th name, families in the order above; nullptr past the last.
const char* wavelet_name(std::size_t i);

// The low-pass filters of a wavelet, to dec_lo and rec_lo [max_taps]; returns their length, which is even, or 0 for an unknown name.
// The others follow: dec_hi[k] = -(-1)^k rec_lo[k], rec_hi[k] = (-1)^k dec_lo[k]. float64, as PyWavelets has them.
std::size_t wavelet_filters(const char* name, double* dec_lo, double* rec_lo);

}  // namespace sanderling
