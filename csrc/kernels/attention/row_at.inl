// The rows of one head; include after lanes/<isa>.h.
namespace {

// Row i of n; a row beyond the end is the last one, so that nothing outside is read.
SANDERLING_LANES const std::int8_t* row_at(const std::int8_t* p, std::size_t row, std::size_t i, std::size_t n) {
  return p + (i < n ? i : n - 1) * row;
}

}  // namespace
