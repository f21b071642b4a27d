#include "tapegrad/autograd/checkpoint.h"

#include <algorithm>
#include <iterator>

#include "tapegrad/autograd/record.h"
#include "tapegrad/autograd/tape.h"

namespace tapegrad {
namespace {

// The inputs as variables of a tape; what has no gradient stays as it is.
std::vector<Tensor> watch_all(Tape& tape, const std::vector<Tensor>& xs) {
  std::vector<Tensor> watched;
  for (const Tensor& x : xs) watched.push_back(is_floating(x.dtype()) && !x.is_stopped() ? tape.watch(x) : x);
  return watched;
}

}  // namespace

Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  if (!is_recording()) return f(inputs);

  // The first run is on a tape of its own, which tells what parameters were used, and is then thrown away.
  std::vector<Tensor> sources = inputs;
  Tensor y;
  {
    const PauseRecording pause;
    Tape scout;
    y = f(watch_all(scout, inputs));
    y = TensorAccess::view(y, y.shape());
    std::ranges::copy(scout.parameters(), std::back_inserter(sources));
  }
  std::vector<Saved> saved;
  for (const Tensor& x : sources) saved.emplace_back(x);

  const auto rule = [f, saved = std::move(saved), count = inputs.size()](const Tensor& g, const Tensor&,
                                                                         const std::vector<bool>& wanted) {
    std::vector<Tensor> xs;
    for (const Saved& x : saved) xs.push_back(x());
    const auto first_parameter = xs.begin() + static_cast<std::ptrdiff_t>(count);
    Tape tape;  // inside the one that runs this rule, if that records; else on its own
    std::vector<Tensor> variables = watch_all(tape, {xs.begin(), first_parameter});
    const Tensor again = f(variables);
    variables.insert(variables.end(), first_parameter, xs.end());

    std::vector<Tensor> asked;
    for (std::size_t i = 0; i < variables.size(); ++i)
      if (wanted[i]) asked.push_back(variables[i]);
    auto found = tape.gradient(again, asked, {.zeros_for_unreached = true, .output_gradient = g});
    std::vector<Tensor> gradients(variables.size());
    for (std::size_t i = 0, next = 0; i < gradients.size(); ++i)
      if (wanted[i]) gradients[i] = std::move(found[next++]);
    return gradients;
  };
  return record_joint("checkpoint", std::move(y), sources, rule);
}

}  // namespace tapegrad
