#include "tapegrad/ops/dropout.h"

#include <algorithm>

#include "tapegrad/autograd/services.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/tensor/draws_internal.h"

namespace tapegrad::inline v0 {

static void check(const Tensor& x, double rate) {
  detail::require_floating("dropout", x);
  if (!(rate >= 0 && rate < 1)) fail("dropout", "rate must be in [0, 1), got {}", rate);
  if (x.rank() == 0) fail("dropout", "takes a tensor [samples, ...], not a scalar");
}

Tensor dropout(const Tensor& x, double rate, Generator& generator) {
  const detail::CalledOp called("dropout", {&x});
  check(x, rate);
  detail::require_draws_in_order("dropout");
  Generator::Position position = generator.position();
  position.drawn = replayed(position.drawn);  // the second run of a checkpoint() draws what the first did
  Generator from(position);
  const std::uint64_t low = from.bits(), high = from.bits();
  if (!is_replaying()) generator = from;
  return called.result(dropout(x, rate, Generator(low | high << 32), 0));
}

Tensor dropout(const Tensor& x, double rate, const Generator& key, std::uint64_t first_sample) {
  const detail::CalledOp called("dropout", {&x});
  check(x, rate);
  if (rate == 0 || x.size() == 0) return called.result(copy(x));
  const index_t samples = x.shape()[0], features = x.size() / samples;
  Tensor mask = TensorAccess::empty(x.shape(), x.dtype(), "dropout");
  const auto run = [&]<class T>(std::type_identity<T>) {
    const auto kept = static_cast<T>(1 / (1 - rate));
    T* to = mask.mutable_data<T>();
    parallel_for(samples, kernels::units_in_piece(kernels::kMaskPiece, features),
                 [=, &key](index_t begin, index_t end) {
                   for (index_t i = begin; i < end; ++i) {
                     Generator own = key.child(first_sample + static_cast<std::uint64_t>(i));
                     std::uint32_t words[1024];
                     for (index_t k = 0; k < features;) {
                       const index_t count = std::min<index_t>(features - k, std::size(words));
                       own.fill_bits(std::span(words, static_cast<std::size_t>(count)));
                       std::transform(words, words + count, to + i * features + k, [=](std::uint32_t word) {
                         return word * 0x1p-32 < rate ? T{0} : kept;
                       });
                       k += count;
                     }
                   }
                 });
  };
  dispatch_floating(x.dtype(), run);
  return called.result(detail::weighted(mask, x));  // what is dropped is 0, were it infinite
}

}  // namespace tapegrad::inline v0
