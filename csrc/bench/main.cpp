// bench_kernels MODEL.gguf [--json FILE] [--rounds N] [--isa NAME]: this machine's peaks and how near the INT8 products come.
//
// One core, times of the thread. Every round times one slice of each piece; a figure is the median of the rounds. The JSON has
//   machine   {cpu, arch, l1_bytes, l2_bytes, l3_bytes, compiler, rounds}
//   model     the file's name
//   peaks     [{isa, int8_gmacs, fp32_gmacs, l1_gbs, l2_gbs, dram_gbs, l1_copy_gbs, l2_copy_gbs, dram_copy_gbs}]
//             10^9 multiply-accumulates and 10^9 bytes a second; a copy's bytes are counted once
//   gemm      [{isa, name, M, N, K, times, median_us, p10_us, p90_us, gmacs, of_peak, of_peak_best, gbs, of_l2, of_l2_best,
//             checked}]
//             a time is of one product. name "model": the model's matrices one after another, as often as a patch of one channel
//             needs them (N, K: 0; times: their number, and the times are of all). gbs: bytes of weights a second.
//             of_peak, of_l2: medians of the ratios to slices of peak, and of reads of as many bytes, taken beside the product's;
//             *_best: the shortest slice against the shortest, for machines that others use too.
// Weights are repeated until half of L2 is full, so that they come from there. checked: the answer equals the reference's bits.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "bench/gemm.h"
#include "bench/machine.h"
#include "bench/peaks.h"

namespace {

using namespace sanderling;
using namespace sanderling::bench;

constexpr std::size_t row_counts[] = {1, 4, 8, 64, 128};
constexpr double slice_us = 150.0;

struct PeakRow {
  const Peak* peak;
  Sample int8, fp32, read[n_levels], copy[n_levels];
  double int8_macs = 0.0, fp32_macs = 0.0;  // of one repetition
};

struct GemmRow {
  const Shape* shape;  // nullptr: the whole model
  std::size_t M, products;
  const PeakRow* peak;
  Gemm gemm;
  bool checked;
  Sample int8, read;  // the tier's peak and L2, measured beside the product
  std::vector<double> of_peak, of_l2;
  double read_bytes = 0.0;
};

struct Options {
  const char *model = nullptr, *json = nullptr, *isa = nullptr;
  std::size_t rounds = 31;
};

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const bool value = i + 1 < argc;
    if (std::strcmp(argv[i], "--json") == 0 && value) {
      options->json = argv[++i];
    } else if (std::strcmp(argv[i], "--isa") == 0 && value) {
      options->isa = argv[++i];
    } else if (std::strcmp(argv[i], "--rounds") == 0 && value) {
      options->rounds = std::strtoul(argv[++i], nullptr, 10);
    } else if (argv[i][0] != '-' && options->model == nullptr) {
      options->model = argv[i];
    } else {
      return false;
    }
  }
  return options->model != nullptr && options->rounds > 0;
}

void measure(PeakRow* row, Memory* memory) {
  row->int8.slice(slice_us, [&](std::size_t n) { row->int8_macs = row->peak->int8(256 * n) / static_cast<double>(n); });
  row->fp32.slice(slice_us, [&](std::size_t n) { row->fp32_macs = row->peak->fp32(256 * n) / static_cast<double>(n); });
  for (std::size_t level = 0; level < n_levels; ++level) {
    const std::size_t bytes = memory->bytes(level);
    row->read[level].slice(slice_us, [&](std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) row->peak->read(memory->take(level), bytes);
    });
    row->copy[level].slice(slice_us, [&](std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        std::uint8_t* from = memory->take(level);
        row->peak->copy(from, from + bytes / 2, bytes / 2);
      }
    });
  }
}

// A product between a slice of the tier's peak and reads of as many bytes as it has weights: what else the machine does meanwhile
// slows all three.
void measure(GemmRow* row, Memory* memory) {
  const Peak& peak = *row->peak->peak;
  double peak_macs = 0.0;
  const double peak_us = row->int8.slice(slice_us / 3, [&](std::size_t n) { peak_macs = peak.int8(256 * n) / static_cast<double>(n); });
  const double us = row->gemm.sample.slice(slice_us, [&](std::size_t n) { row->gemm.run(n); });
  const std::size_t as_many = static_cast<std::size_t>(row->gemm.bytes()) / 2048 * 2048 + 2048;
  const double l2_us = row->read.slice(slice_us / 3, [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) peak.read(memory->take(1), as_many);
  });
  row->read_bytes = static_cast<double>(as_many);
  row->of_peak.push_back(row->gemm.macs() / us / (peak_macs / peak_us));
  row->of_l2.push_back(row->gemm.bytes() / us / (row->read_bytes / l2_us));
}

double per_second(double amount, const Sample& sample) { return amount / sample.quantiles().median * 1e-3; }  // 10^9

struct GemmFigures {
  Quantiles us;
  double gmacs, of_peak, of_peak_best, gbs, of_l2, of_l2_best;
};

GemmFigures figures(const GemmRow& row) {
  Quantiles us = row.gemm.sample.quantiles();
  const double gmacs = row.gemm.macs() / us.median * 1e-3, gbs = row.gemm.bytes() / us.median * 1e-3;
  const double passes = row.gemm.bytes() / static_cast<double>(row.shape ? row.shape->N * row.shape->K : 1);
  const double each = row.shape ? 1.0 / passes : 1.0;
  const double least = us.least;
  us = {us.median * each, us.p10 * each, us.p90 * each, us.least * each};
  const double peak_best = row.peak->int8_macs / row.int8.quantiles().least, read_best = row.read_bytes / row.read.quantiles().least;
  return {us,  gmacs, quantiles(row.of_peak).median, row.gemm.macs() / least / peak_best,
          gbs, quantiles(row.of_l2).median, row.gemm.bytes() / least / read_best};
}

void write_json(std::FILE* out, const Options& options, const Memory& memory, const std::vector<PeakRow>& peak_rows,
                const std::vector<GemmRow>& gemm_rows) {
  std::fprintf(out, "{\n\"machine\": {");
  write_machine(out);
  const char* slash = std::strrchr(options.model, '/');
  std::fprintf(out, ", \"rounds\": %zu},\n\"model\": \"%s\",\n\"peaks\": [", options.rounds, slash ? slash + 1 : options.model);
  const char* separator = "\n";
  for (const PeakRow& row : peak_rows) {
    std::fprintf(out, "%s{\"isa\": \"%s\", \"int8_gmacs\": %.1f, \"fp32_gmacs\": %.1f", separator, row.peak->isa,
                 per_second(row.int8_macs, row.int8), per_second(row.fp32_macs, row.fp32));
    for (std::size_t i = 0; i < n_levels; ++i)
      std::fprintf(out, ", \"%s_gbs\": %.1f", level_names[i], per_second(static_cast<double>(memory.bytes(i)), row.read[i]));
    for (std::size_t i = 0; i < n_levels; ++i)
      std::fprintf(out, ", \"%s_copy_gbs\": %.1f", level_names[i], per_second(static_cast<double>(memory.bytes(i) / 2), row.copy[i]));
    std::fprintf(out, "}");
    separator = ",\n";
  }
  std::fprintf(out, "\n],\n\"gemm\": [");
  separator = "\n";
  for (const GemmRow& row : gemm_rows) {
    const GemmFigures f = figures(row);
    std::fprintf(out,
                 "%s{\"isa\": \"%s\", \"name\": \"%s\", \"M\": %zu, \"N\": %zu, \"K\": %zu, \"times\": %zu, \"median_us\": %.3f, "
                 "\"p10_us\": %.3f, \"p90_us\": %.3f, \"gmacs\": %.2f, \"of_peak\": %.3f, \"of_peak_best\": %.3f, "
                 "\"gbs\": %.2f, \"of_l2\": %.3f, \"of_l2_best\": %.3f, \"checked\": %s}",
                 separator, row.peak->peak->isa, row.shape ? row.shape->name.c_str() : "model", row.M, row.shape ? row.shape->N : 0,
                 row.shape ? row.shape->K : 0, row.products,
                 f.us.median, f.us.p10, f.us.p90, f.gmacs, f.of_peak, f.of_peak_best, f.gbs, f.of_l2, f.of_l2_best,
                 row.checked ? "true" : "false");
    separator = ",\n";
  }
  std::fprintf(out, "\n]\n}\n");
}

void print(const Memory& memory, const std::vector<PeakRow>& peak_rows, const std::vector<GemmRow>& gemm_rows) {
  std::printf("| ISA | INT8 GMAC/s | FP32 GMAC/s | L1 GB/s | L2 GB/s | DRAM GB/s |\n|---|---|---|---|---|---|\n");
  for (const PeakRow& row : peak_rows) {
    std::printf("| %s | %.0f | %.0f |", row.peak->isa, per_second(row.int8_macs, row.int8), per_second(row.fp32_macs, row.fp32));
    for (std::size_t i = 0; i < n_levels; ++i) std::printf(" %.0f |", per_second(static_cast<double>(memory.bytes(i)), row.read[i]));
    std::printf("\n");
  }
  for (const PeakRow& peak : peak_rows) {
    std::printf("\n%s; M = 1: GB/s of weights (share of L2's reads, best share); else GMAC/s (share of the peak, best share)\n\n",
                peak.peak->isa);
    std::printf("| product | N x K |");
    for (const std::size_t M : row_counts) std::printf(" M = %zu |", M);
    std::printf("\n|---|---|%s\n", "---|---|---|---|---|");
    for (const GemmRow& first : gemm_rows) {
      if (first.peak != &peak || first.M != row_counts[0]) continue;
      std::printf("| %s | ", first.shape ? first.shape->name.c_str() : "model");
      if (first.shape) std::printf("%zu x %zu", first.shape->N, first.shape->K);
      for (const GemmRow& row : gemm_rows) {
        if (row.peak != &peak || row.shape != first.shape) continue;
        const GemmFigures f = figures(row);
        const bool one = row.M == 1;
        std::printf(" | %.0f (%.0f %%, %.0f %%)%s", one ? f.gbs : f.gmacs, 100.0 * (one ? f.of_l2 : f.of_peak),
                    100.0 * (one ? f.of_l2_best : f.of_peak_best), row.checked ? "" : " WRONG");
      }
      std::printf(" |\n");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options)) {
    std::fprintf(stderr, "usage: bench_kernels MODEL.gguf [--json FILE] [--rounds N] [--isa NAME]\n");
    return 2;
  }
  std::vector<Shape> shapes;
  Error error = {};
  if (!read_shapes(options.model, &shapes, &error)) {
    std::fprintf(stderr, "%s\n", error.message);
    return 2;
  }
  Memory memory;
  std::size_t count = 0;
  const Peak* all = peaks(&count);
  std::vector<PeakRow> peak_rows;
  for (std::size_t i = 0; i < count; ++i)
    if ((!options.isa || std::strcmp(options.isa, all[i].isa) == 0) && select_kernels(all[i].isa, nullptr))
      peak_rows.push_back({&all[i], {}, {}, {}, {}});
  std::vector<GemmRow> gemm_rows;
  bool right = true;
  for (const PeakRow& peak : peak_rows) {
    const KernelTable& table = *select_kernels(peak.peak->isa, nullptr);
    const auto add = [&](const Shape* shape, const std::vector<Shape>& of, std::size_t products, std::size_t M) {
      gemm_rows.push_back({shape, M, products, &peak, Gemm(table, of, M, shape ? memory.l2() / 2 : 0), false, {}, {}, {}, {}, 0.0});
      gemm_rows.back().checked = gemm_rows.back().gemm.equals_reference();
      right = right && gemm_rows.back().checked;
    };
    for (const std::size_t M : row_counts) {
      std::size_t products = 0;
      for (const Shape& shape : shapes) {
        add(&shape, {{shape.name, shape.N, shape.K, 1, shape.rows}}, shape.times, M);
        products += shape.times;
      }
      add(nullptr, shapes, products, M);
    }
  }
  for (std::size_t round = 0; round < options.rounds; ++round) {
    for (PeakRow& row : peak_rows) measure(&row, &memory);
    for (GemmRow& row : gemm_rows) measure(&row, &memory);
  }
  print(memory, peak_rows, gemm_rows);
  if (options.json) {
    std::FILE* out = std::fopen(options.json, "w");
    if (!out) {
      std::fprintf(stderr, "expected a file to write, found %s; give another path\n", options.json);
      return 2;
    }
    write_json(out, options, memory, peak_rows, gemm_rows);
    if (std::fclose(out) != 0) return 1;
  }
  return right ? 0 : 1;
}
