#include "tapegrad/transforms/checkpoint.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  if (!is_recording()) return f(inputs);

  // The first run is on a tape of its own, which tells what parameters were used, and is then thrown away.
  std::vector<Tensor> sources = inputs;
  const auto values = std::make_shared<std::vector<std::uint64_t>>();
  Tensor y;
  {
    const NoGrad no_grad;
    const detail::CheckpointRun first(*values, false);
    Tape scout;
    y = f(scout.watch(inputs, Constants::Keep));
    y = TensorAccess::view(y, y.shape());
    std::ranges::copy(scout.parameters(), std::back_inserter(sources));
  }
  std::vector<Saved> saved;
  for (const Tensor& x : sources) saved.emplace_back(x);

  const auto rule = [f, values, saved = std::move(saved), count = inputs.size()](
                        const Tensor& g, const Tensor&, const std::vector<bool>& wanted) {
    std::vector<Tensor> xs;
    for (const Saved& x : saved) xs.push_back(x());
    const auto first_parameter = xs.begin() + static_cast<std::ptrdiff_t>(count);
    Tape tape;  // inside the one that runs this rule, if that records; else on its own
    std::vector<Tensor> variables = tape.watch({xs.begin(), first_parameter}, Constants::Keep);
    const Tensor again = [&] {
      const detail::CheckpointRun second(*values, true);
      return f(variables);
    }();
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
  return record_joint("checkpoint", std::move(y), sources, rule);
}

}  // namespace tapegrad::inline v0
