// What full.inl asks of a tier that multiplies the keys by four queries at a time; include before it.
namespace {

constexpr std::size_t full_queries = 4, full_depth = 16;

SANDERLING_LANES f32x16 full_logit(const float* at) { return load(at); }
SANDERLING_LANES void full_awake(std::size_t) {}

}  // namespace
