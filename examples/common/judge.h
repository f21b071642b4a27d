#pragma once

#include <filesystem>
#include <optional>

#include "common/options.h"
#include "tapegrad/nn/layers.h"

namespace common {

/// A LeNet that tells what a program has drawn, with the weights in this file, which mnist_classifier wrote; nothing if no
/// file is named. To be called before anything is trained: the file may be missing, or another net's.
std::optional<tg::Sequential> read_judge(const std::filesystem::path& weights);

/// The same, trained on options.data for two epochs, and written to classifier.safetensors in options.out.
tg::Sequential train_judge(const TrainingOptions& options);

/// Prints how many of these images, [n, 28, 28, 1] in [0, 1], the judge takes for which digit, those alone
/// that it is at least 90% sure of.
void print_digits(tg::Module& judge, const tg::Tensor& images);

}  // namespace common
