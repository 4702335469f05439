// The dot products of full.inl on NEON, from the ISA file's dot_rows: a head's keys side by side. Include after full.inl.
namespace {

inline bool full_fits(std::size_t D) { return D % 16 == 0; }

void full_dots(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h) {
  const std::size_t row = args.H * args.D;
  const std::int8_t* keys = reinterpret_cast<const std::int8_t*>(head.keys);
  for (std::size_t i = 0; i < full_queries; ++i)
    dot_rows<true>(args.q + (t + i) * row + h * args.D, keys, args.D, head.padded, args.D, head.logit + i * head.padded);
}

}  // namespace
