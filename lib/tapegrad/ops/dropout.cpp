#include "tapegrad/ops/dropout.h"

#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad::inline v0 {

Tensor dropout(const Tensor& x, double rate, const Generator& generator, std::uint64_t first_sample) {
  detail::require_floating("dropout", x);
  if (!(rate >= 0 && rate < 1)) fail("dropout", "the rate is {} but must be in [0, 1)", rate);
  if (x.rank() == 0) fail("dropout", "takes a tensor [samples, ...], not a scalar");
  if (rate == 0 || x.size() == 0) return x;
  const index_t samples = x.shape()[0], features = x.size() / samples;
  Tensor mask = TensorAccess::empty(x.shape(), x.dtype());
  const auto run = [&]<class T>(std::type_identity<T>) {
    constexpr index_t kPiece = 8192;  // elements; each costs as much as some of another op
    const auto kept = static_cast<T>(1 / (1 - rate));
    T* to = mask.mutable_data<T>();
    parallel_for(
        samples, std::max<index_t>(1, kPiece / features), [=, &generator](index_t begin, index_t end) {
          for (index_t i = begin; i < end; ++i) {
            Generator own = generator.child(first_sample + static_cast<std::uint64_t>(i));
            std::uint32_t words[1024];
            for (index_t k = 0; k < features;) {
              const index_t count = std::min<index_t>(features - k, std::size(words));
              own.fill_bits(std::span(words, static_cast<std::size_t>(count)));
              std::transform(words, words + count, to + i * features + k,
                             [=](std::uint32_t word) { return word * 0x1p-32 < rate ? T{0} : kept; });
              k += count;
            }
          }
        });
  };
  x.dtype() == DType::Float32 ? run(std::type_identity<float>{}) : run(std::type_identity<double>{});
  return x * mask;
}

}  // namespace tapegrad::inline v0
