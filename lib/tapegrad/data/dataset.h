#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tapegrad/data/samples.h"

namespace tapegrad {

/// Images, or rows of numbers, and what belongs to each. Any Samples make a data set, tensors among them:
/// Dataset{.images = x, .labels = y}.
struct Dataset {
  Samples images{};  ///< [n, ...]
  Samples labels{};  ///< [n, ...], as a rule Int32 of shape [n]; not defined if there are none
  std::vector<std::string> class_names{};  ///< of the labels 0, 1, ..., if they are known
};

enum class Split { Train, Test };

/// Reads MNIST, or any data set that comes in the same files (Fashion-MNIST does): in directory,
/// train-images-idx3-ubyte and train-labels-idx1-ubyte for Split::Train, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte for Split::Test, each plain or with ".gz" at the end. Images are UInt8, [n, 28, 28,
/// 1], 0 the background and 255 full ink; labels Int32, [n]. Throws, naming the files,
/// when they are not there, damaged, not 28 x 28 pixels, or of different lengths.
Dataset read_mnist(const std::filesystem::path& directory, Split split);

}  // namespace tapegrad
