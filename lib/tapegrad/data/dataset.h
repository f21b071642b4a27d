#pragma once

#include <filesystem>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

struct Dataset {
  Tensor images;  ///< UInt8, [n, height, width, 1]: 0 is the background, 255 full ink
  Tensor labels;  ///< Int32, [n]
};

enum class Split { Train, Test };

/// Reads MNIST, or any data set that comes in the same files (Fashion-MNIST does): in directory,
/// train-images-idx3-ubyte and train-labels-idx1-ubyte for Split::Train, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte for Split::Test, each plain or with ".gz" at the end. Throws, naming the files,
/// when they are not there, damaged, not 28 x 28 pixels, or of different lengths.
Dataset read_mnist(const std::filesystem::path& directory, Split split);

}  // namespace tapegrad
