#include "common/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "common/lenet.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/random.h"
#include "tapegrad/data/loader.h"
#include "tapegrad/io/safetensors.h"
#include "tapegrad/nn/losses.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/optim/optimizers.h"

namespace common {

std::optional<tg::Sequential> read_judge(const std::filesystem::path& weights) {
  if (weights.empty()) return std::nullopt;
  tg::Generator generator(0);
  tg::Sequential judge = make_lenet(generator);
  judge.load_state(tg::read_safetensors(weights));
  return judge;
}

tg::Sequential train_judge(const TrainingOptions& options) {
  tg::Generator generator(options.seed);
  tg::Sequential judge = make_lenet(generator);
  const tg::Loader loader(read_digits(options.data, tg::Split::Train),
                          {.batch_size = 64, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = judge.parameters();
  tg::Adam adam(parameters);
  for (tg::index_t epoch = 0; epoch < 2; ++epoch)
    for (const tg::Batch& batch : loader.epoch(epoch)) {
      tg::Tape tape;
      adam.step(tape.gradient(tg::cross_entropy(judge(batch.inputs), batch.targets), parameters));
    }
  tg::write_safetensors(options.out / "classifier.safetensors", judge.state_view());
  return judge;
}

void print_digits(tg::Module& judge, const tg::Tensor& images) {
  const tg::Tensor probabilities = tg::softmax(logits_of(judge, images));
  const tg::Tensor digits = tg::argmax(probabilities, -1), certainties = tg::max(probabilities, {-1});
  std::array<int, 10> counts{};
  for (tg::index_t i = 0; i < digits.size(); ++i)
    if (certainties.at({i}) >= 0.9) ++counts[static_cast<std::size_t>(digits.at({i}))];

  fmt::print("{} samples; a classifier is at least 90% sure of {}:\n    digit", images.shape()[0],
             std::accumulate(counts.begin(), counts.end(), 0));
  for (std::size_t digit = 0; digit < counts.size(); ++digit) fmt::print("{:5}", digit);
  fmt::print("\n  samples");
  for (const int count : counts) fmt::print("{:5}", count);
  fmt::print("\n{} of the ten digits are among them\n",
             counts.size() - static_cast<std::size_t>(std::ranges::count(counts, 0)));
}

}  // namespace common
