// What the tiles of the NEON tiers need of a call.
namespace {

struct Call {
  const std::int8_t* a;
  const float* a_scale;
  const std::int8_t* packed;
  const float *w_scale, *bias;
  float* y;
  std::size_t ldy, N, K;
  bool add;
};

}  // namespace
