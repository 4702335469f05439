#include "filters.h"

#include <algorithm>
#include <cstring>

namespace sanderling {
namespace {

struct Stored {
  const char* name;
  std::size_t taps;
  const double *dec_lo, *rec_lo;  // rec_lo nullptr: dec_lo reversed, an orthogonal wavelet
};

#include "filters_bior_dmey.inl"
#include "filters_db.inl"
#include "filters_sym_coif.inl"


// Every name as the table row that it is made from: as it stands, or the bior row read backwards.
struct Entry {
  const char* name;
  const Stored* row;
  bool reversed;
};

constexpr const char* rbio_names[] = {"rbio1.1", "rbio1.3", "rbio1.5", "rbio2.2", "rbio2.4", "rbio2.6", "rbio2.8", "rbio3.1",
                                      "rbio3.3", "rbio3.5", "rbio3.7", "rbio3.9", "rbio4.4", "rbio5.5", "rbio6.8"};
constexpr std::size_t n_rbio = sizeof rbio_names / sizeof *rbio_names, n_db = sizeof db_wavelets / sizeof *db_wavelets,
                      n_sym_coif = sizeof sym_coif_wavelets / sizeof *sym_coif_wavelets,
                      n_bior_dmey = sizeof bior_dmey_wavelets / sizeof *bior_dmey_wavelets, n_bior = n_bior_dmey - 1;
static_assert(n_rbio == n_bior, "an rbio for every bior");

Entry entry(std::size_t i) {
  if (i == 0) return {"haar", &db_wavelets[0], false};
  i -= 1;
  if (i < n_db) return {db_wavelets[i].name, &db_wavelets[i], false};
  i -= n_db;
  if (i < n_sym_coif) return {sym_coif_wavelets[i].name, &sym_coif_wavelets[i], false};
  i -= n_sym_coif;
  if (i < n_bior) return {bior_dmey_wavelets[i].name, &bior_dmey_wavelets[i], false};
  i -= n_bior;
  if (i < n_rbio) return {rbio_names[i], &bior_dmey_wavelets[i], true};
  i -= n_rbio;
  if (i == 0) return {bior_dmey_wavelets[n_bior].name, &bior_dmey_wavelets[n_bior], false};
  return {nullptr, nullptr, false};
}

}  // namespace

const char* wavelet_name(std::size_t i) { return entry(i).name; }

std::size_t wavelet_filters(const char* name, double* dec_lo, double* rec_lo) {
  for (std::size_t i = 0; entry(i).name != nullptr; ++i) {
    const Entry found = entry(i);
    if (std::strcmp(found.name, name) != 0) continue;
    const Stored& row = *found.row;
    const double* end = row.dec_lo + row.taps;
    if (row.rec_lo == nullptr || found.reversed)
      std::reverse_copy(row.dec_lo, end, rec_lo);
    else
      std::copy_n(row.rec_lo, row.taps, rec_lo);
    if (found.reversed && row.rec_lo != nullptr)
      std::reverse_copy(row.rec_lo, row.rec_lo + row.taps, dec_lo);
    else
      std::copy(row.dec_lo, end, dec_lo);
    return row.taps;
  }
  return 0;
}

}  // namespace sanderling
