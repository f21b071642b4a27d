#include "tapegrad/transforms/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <set>

#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char* kCheckpoint = "checkpoint";
constexpr const char* kWays =
    "The function must do the same each time: draw random numbers before checkpoint() and pass them as an input (or "
    "draw them with a layer, such as Dropout), and do not change what the function has captured before gradient()";

void require_values(const std::vector<Tensor>& inputs) {
  for (const Tensor& x : inputs)
    if (!x.defined()) fail(kCheckpoint, "an input was never given a value");
}

Tensor defined(Tensor result) {
  if (!result.defined()) fail(kCheckpoint, "the function returned a Tensor that was never given a value");
  return result;
}

// Throws when a constant that the first run read was written to since, even where the result is the same.
void require_unchanged(const std::vector<detail::CheckpointRun::Constant>& captured) {
  for (const auto& [x, version] : captured)
    if (TensorAccess::storage(x)->version() != version)
      fail(kCheckpoint,
           "a tensor of shape {} that the function has captured was changed in place after the first run. {}",
           x.shape(), kWays);
}

std::set<const detail::Storage*> used_parameters(const Tape& tape) {
  std::set<const detail::Storage*> used;
  for (const Tensor& parameter : tape.parameters()) used.insert(TensorAccess::storage(parameter));
  return used;
}

// Throws unless the second run gave the same bits as the first.
void require_same(const Tensor& first, const Tensor& second) {
  if (second.shape() != first.shape() || second.dtype() != first.dtype())
    fail(kCheckpoint,
         "the second run of the function, for the gradient, gave {} {} but the first one {} {}. {}",
         second.dtype(), second.shape(), first.dtype(), first.shape(), kWays);
  const std::size_t width = size_of(first.dtype());
  const std::byte *a = TensorAccess::elements(first), *b = TensorAccess::elements(second);
  const auto size = static_cast<std::size_t>(first.size());
  if (std::memcmp(a, b, size * width) == 0) return;
  std::size_t at = 0, different = 0;
  for (std::size_t i = size; i-- > 0;)
    if (std::memcmp(a + i * width, b + i * width, width) != 0) {
      at = i;
      ++different;
    }
  dispatch(first.dtype(), [&]<class T>(std::type_identity<T>) {
    fail(
        kCheckpoint,
        "the second run of the function, for the gradient, gave another result than the first in {} of {} elements "
        "(element {} of the flattened result, of shape {}, was {} and is {}). {}",
        different, size, at, first.shape(), first.values<T>()[at], second.values<T>()[at], kWays);
  });
}

// Throws unless the second run, on this tape, used the parameters that the first one used, and no others that are not known.
void require_same_parameters(const Tape& tape, const std::set<const detail::Storage*>& known,
                             const std::vector<Tensor>& of_first_run) {
  for (const Tensor& parameter : tape.parameters())
    if (!known.contains(TensorAccess::storage(parameter)))
      fail(
          kCheckpoint,
          "the second run of the function, for the gradient, uses another parameter (shape {}) than the first. {}",
          parameter.shape(), kWays);
  const std::set<const detail::Storage*> used = used_parameters(tape);
  for (const Tensor& parameter : of_first_run)
    if (!used.contains(TensorAccess::storage(parameter)))
      fail(
          kCheckpoint,
          "the second run of the function, for the gradient, does not use a parameter (shape {}) that the first one "
          "used. {}",
          parameter.shape(), kWays);
}

struct FirstRun {
  Tensor y;
  std::vector<detail::CheckpointRun::Constant> captured;
};

// The first run is on a tape of its own, which tells what parameters were used (these are added to the sources), and is then
// thrown away.
FirstRun run_first(const TensorFunction& f, const std::vector<Tensor>& inputs, const TapeOptions& options,
                   std::vector<std::uint64_t>& values, std::vector<Tensor>& sources) {
  const NoGrad no_grad;
  detail::CheckpointRun run(values, false);
  Tensor y;
  {
    Tape scout(options);
    y = defined(f(scout.watch(inputs, Constants::Keep)));
    y = TensorAccess::view(y, y.shape());
    std::ranges::copy(scout.parameters(), std::back_inserter(sources));
  }
  return {std::move(y), run.take_captured()};
}

}  // namespace

Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  if (!f) fail(kCheckpoint, "the function is empty");
  require_values(inputs);
  if (!is_recording()) return defined(f(inputs));

  std::vector<Tensor> sources = inputs;
  const auto values = std::make_shared<std::vector<std::uint64_t>>();
  // Both runs look for what is not finite if the tape around them does, and name the op inside.
  const TapeOptions options{.check_finite = detail::active_recording(detail::context())->check_finite};
  FirstRun first = run_first(f, inputs, options, *values, sources);
  std::vector<Saved> saved;
  for (const Tensor& x : sources) saved.emplace_back(x);

  const auto rule = [f, values, options, saved = std::move(saved), captured = std::move(first.captured),
                     count = inputs.size()](const Tensor& g, const Tensor& first_result,
                                            const std::vector<bool>& wanted) {
    std::vector<Tensor> xs;
    for (const Saved& x : saved) xs.push_back(x());
    const auto first_parameter = xs.begin() + static_cast<std::ptrdiff_t>(count);
    Tape tape(options);  // inside the one that runs this rule, if that records; else on its own
    std::vector<Tensor> variables = tape.watch({xs.begin(), first_parameter}, Constants::Keep);
    std::set<const detail::Storage*> known = used_parameters(tape);
    for (const Tensor& x : xs) known.insert(TensorAccess::storage(x));
    const Tensor again = [&] {
      const detail::CheckpointRun second(*values, true);
      Tensor result = defined(f(variables));
      if (!second.finished())
        fail(kCheckpoint,
             "the second run of the function, for the gradient, asks its layers for less than the first. {}",
             kWays);
      return result;
    }();
    require_same(first_result, again);
    require_unchanged(captured);
    require_same_parameters(tape, known, {first_parameter, xs.end()});
    variables.insert(variables.end(), first_parameter, xs.end());

    std::vector<Tensor> asked;
    for (std::size_t i = 0; i < variables.size(); ++i)
      if (wanted[i]) asked.push_back(variables[i]);
    Gradients found = tape.gradient(again, asked, {.zeros_for_unreached = true, .output_gradient = g});
    std::vector<Tensor> gradients(variables.size());
    for (std::size_t i = 0, next = 0; i < gradients.size(); ++i)
      if (wanted[i]) gradients[i] = std::move(found[next++]);
    return gradients;
  };
  return record_joint(kCheckpoint, std::move(first.y), sources, rule);
}

}  // namespace tapegrad::inline v0
