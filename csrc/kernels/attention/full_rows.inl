// The integer parts of full.inl on NEON, from the ISA file's dot_rows and weigh_rows: a head's rows side by side, so that none is looked
// for and none lies beyond the end. Include after full.inl.
namespace {

void full_pack(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t h) {
  const std::size_t row = args.H * args.D, D = args.D;
  const std::int8_t *k = args.k + h * D, *v = args.v + h * D;
  for (std::size_t j = 0; j < head.padded; ++j) {
    __builtin_memcpy(head.keys + j * D, row_at(k, row, j, head.n), D);
    __builtin_memcpy(head.values + j * D, row_at(v, row, j, head.n), D);
  }
}

void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t,
                const float (&factor)[full_queries]) {
  const std::size_t row = args.H * args.D;
  for (std::size_t i = 0; i < full_queries; ++i)
    weigh_rows<true>(head.p + i * head.padded, head.values, args.D, head.padded, args.D, factor[i], args.out + (t + i) * row + h * args.D);
}

}  // namespace
