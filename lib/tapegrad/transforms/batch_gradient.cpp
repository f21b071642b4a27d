#include "tapegrad/transforms/batch_gradient.h"

#include <algorithm>
#include <utility>

#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"

namespace tapegrad::inline v0 {
namespace {

using detail::SampleChunk;

constexpr const char* kOp = "batch_gradient";

void check_arguments(const std::vector<Tensor>& batch, const std::vector<Tensor>& parameters,
                     const BatchGradientOptions& options) {
  if (is_recording())
    fail(kOp, "was called while a tape records: it has tapes of its own. Open a NoGrad to call it there");
  if (SampleChunk::current() != nullptr) fail(kOp, "was called by the loss of another batch_gradient");
  if (options.chunk && *options.chunk < 1)
    fail(kOp, "cannot cut a batch into chunks of {} samples", *options.chunk);
  if (batch.empty()) fail(kOp, "the batch has no tensors");
  for (const Tensor& x : batch)
    if (x.rank() == 0 || x.shape()[0] != batch[0].shape()[0])
      fail(kOp, "the tensors of the batch have shapes {} and {}: their first axes must be the same samples",
           batch[0].shape(), x.shape());
  if (batch[0].shape()[0] == 0) fail(kOp, "the batch has no samples (shape {})", batch[0].shape());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i].is_parameter() || parameters[i].is_stopped())
      fail(kOp, "tensor {} (shape {}) is not a parameter(): it has no gradient", i, parameters[i].shape());
}

// Row `row` of rows becomes x.
void put(const Tensor& rows, index_t row, const Tensor& x) {
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    std::copy_n(x.data<T>(), x.size(), const_cast<T*>(rows.data<T>()) + row * x.size());
  });
}

// sum += the first `count` rows, one after the other.
void add_rows(Tensor& sum, const Tensor& rows, index_t count) {
  dispatch(sum.dtype(), [&]<class T>(std::type_identity<T>) {
    constexpr index_t kAdditions = 1 << 16;
    T* to = sum.mutable_data<T>();
    const T* from = rows.data<T>();
    const index_t size = sum.size();
    parallel_for(size, std::max<index_t>(1, kAdditions / count), [=](index_t begin, index_t end) {
      for (index_t r = 0; r < count; ++r)
        for (index_t i = begin; i < end; ++i) to[i] = static_cast<T>(to[i] + from[r * size + i]);
    });
  });
}

}  // namespace

BatchGradient batch_gradient(const TensorFunction& loss, const std::vector<Tensor>& batch,
                             const std::vector<Tensor>& parameters, const BatchGradientOptions& options) {
  check_arguments(batch, parameters, options);
  const index_t samples = batch[0].shape()[0],
                chunk = std::min(options.chunk.value_or(std::clamp<index_t>(samples / 8, 4, 16)), samples);
  const index_t parts = (samples - 1) / chunk + 1;

  // Gradients of so many chunks wait to be added up, in the order of the chunks.
  constexpr index_t kMostWaiting = 32;
  const index_t together = std::min(parts, kMostWaiting);
  BatchGradient result;
  std::vector<Tensor> sums, waiting;
  for (const Tensor& p : parameters) {
    sums.push_back(zeros(p.shape(), p.dtype()));
    waiting.push_back(TensorAccess::empty({together, p.size()}, p.dtype()));
  }
  std::vector<double> losses(static_cast<std::size_t>(parts));
  std::vector<SampleChunk::Count> counts;  // by the first chunk; the others count to the same

  const auto run = [&](index_t number) {
    const index_t first = number * chunk, count = std::min(chunk, samples - first);
    SampleChunk part(first, count, samples);
    std::vector<Tensor> slices;
    for (const Tensor& x : batch) {
      std::vector<index_t> sizes(x.shape().begin(), x.shape().end());
      sizes[0] = count;
      slices.push_back(detail::view("slice", x, Shape(sizes), first * (x.size() / samples)));
    }
    Tape tape;
    const Tensor value = loss(slices);
    if (!value.defined() || value.size() != 1)
      fail(kOp, "the loss of {} samples is not one number: its shape is {}", count,
           value.defined() ? value.shape().str() : "none");
    const double weight = options.mean ? static_cast<double>(count) / static_cast<double>(samples) : 1;
    losses[static_cast<std::size_t>(number)] = weight * value.item();
    const Gradients found =
        tape.gradient(value, parameters, {.output_gradient = full(value.shape(), weight, value.dtype())});
    for (std::size_t i = 0; i < found.size(); ++i) put(waiting[i], number % together, found[i]);
    if (number == 0) counts = part.take_counts();
  };
  for (index_t begin = 0; begin < parts; begin += together) {
    const index_t count = std::min(together, parts - begin);
    parallel_for(count, 1, [&](index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) run(begin + i);
    });
    for (std::size_t i = 0; i < parameters.size(); ++i) add_rows(sums[i], waiting[i], count);
  }
  result.gradients = Gradients(parameters, std::move(sums));
  for (const double value : losses) result.loss += value;
  for (const SampleChunk::Count& count : counts) count.store(count.next);
  return result;
}

}  // namespace tapegrad::inline v0
