// The parts of kernel_tests; each checks one table against `reference` or against float64.
#pragma once
#include <cstddef>

#include "kernels/kernels.h"

void test_registry();
void test_float_ops(const sanderling::KernelTable& table, const sanderling::KernelTable& reference);
// moments, dwt and idwt: bit for bit, against float64, and one hash for every machine; `print` shows it.
void test_wavelet_ops(const sanderling::KernelTable& table, const sanderling::KernelTable& reference, bool print);
void test_int8_ops(const sanderling::KernelTable& table, const sanderling::KernelTable& reference);
void test_accuracy(const sanderling::KernelTable& table);
// Hashes of at least 10^6 quantiser rows and of every other op; `print` shows them (reference only).
void test_hashes(const sanderling::KernelTable& table, bool print);
